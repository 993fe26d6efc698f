"""One camera for a recipe: named once, read alike in training and production."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from onspec.domain import UsageError, Verdict
from onspec.imaging.camera import Camera
from onspec.imaging.preparation import Extent, InputSpec
from onspec.imaging.writing import encode_image, write_image
from onspec.recipe.package import Package
from onspec.recipe.reading import with_digest
from onspec.recipe.schema import Recipe
from onspec.runtime import sources
from onspec.runtime.inspector import Inspector

MakePart = Callable[..., NDArray[np.uint8]]
MakeModel = Callable[..., bytes]


def of_camera(package: Package, camera: Camera, **values: object) -> Package:
    """The package, whose input now comes from that camera."""
    spec = InputSpec.model_validate({**package.recipe.input.model_dump(), "camera": camera, **values})
    recipe = Recipe.model_validate({**package.recipe.model_dump(by_alias=True), "input": spec})
    return with_digest(replace(package, recipe=recipe))


def test_12_bits_are_judged_as_8_are(tiny_package: Package, make_part: MakePart) -> None:
    package = of_camera(tiny_package, Camera(bits=12), dtype="uint16")
    for spots, verdict in (((), Verdict.OK), (((30, 20, 10, 6),), Verdict.NG)):
        part = make_part(*spots)
        with closing(Inspector(tiny_package, threads=1)) as made:
            plain = made.inspect_bytes(encode_image(part), "8.png").inspection
        with closing(Inspector(package, threads=1)) as made:
            deep = made.inspect_bytes(encode_image(part.astype(np.uint16) * 16 + 8), "12.png").inspection
        assert deep.verdict is plain.verdict is verdict
        assert deep.score is not None
        assert plain.score is not None
        assert abs(deep.score - plain.score) < 0.02


def test_values_that_the_camera_cannot_give_are_an_error(tiny_package: Package, make_part: MakePart) -> None:
    part = make_part().astype(np.uint16) * 16
    part[5, 5] = 4096
    with closing(Inspector(of_camera(tiny_package, Camera(bits=12), dtype="uint16"), threads=1)) as made:
        told = made.inspect_bytes(encode_image(part), "part.png").inspection
    assert told.verdict is Verdict.ERROR
    assert told.error is not None
    assert told.error.startswith("part.png: holds the value 4096; of 12 bits the largest is 4095")


def test_a_mosaic_is_judged_in_colour(tiny_package: Package, make_model: MakeModel) -> None:
    side = Extent(min=64, max=128)
    package = replace(
        of_camera(tiny_package, Camera(bayer="RGGB"), channels=3, height=side, width=side), model=make_model(channels=3)
    )
    mosaic = np.full((64, 96), 20, np.uint8)
    mosaic[20:30, 20:30] = 240
    with closing(Inspector(package, threads=1)) as made:
        result = made.inspect_bytes(encode_image(mosaic), "part.png")
        colour = made.inspect_bytes(encode_image(np.dstack([mosaic] * 3)), "colour.png").inspection
    assert result.inspection.verdict is Verdict.NG
    assert result.image is not None
    assert result.image.shape == (64, 96, 3)
    assert colour.verdict is Verdict.ERROR
    assert colour.error is not None
    assert "a colour image, where a RGGB mosaic was named" in colour.error


def test_the_page_with_the_defect_is_named_or_nothing_is_ok(
    tiny_package: Package, make_part: MakePart, tmp_path: Path
) -> None:
    path = tmp_path / "part.tif"
    tifffile.imwrite(path, np.stack([make_part(), make_part((30, 20, 10, 6))]), photometric="minisblack")
    verdicts = []
    for camera in (Camera(), Camera(page=0), Camera(page=1)):
        with closing(Inspector(of_camera(tiny_package, camera), threads=1)) as made:
            one = made.inspect_file(path).inspection
            many = [result.inspection for result in made.inspect_files([path])]
        assert [m.verdict for m in many] == [one.verdict]
        verdicts.append(one.verdict)
    assert verdicts == [Verdict.ERROR, Verdict.OK, Verdict.NG]


def test_a_recipe_keeps_its_camera_in_json(tiny_package: Package) -> None:
    recipe = of_camera(tiny_package, Camera(bits=10, bayer="GRBG", page=2), dtype="uint16").recipe
    assert Recipe.model_validate_json(recipe.to_json()) == recipe
    assert recipe.input.camera == Camera(bits=10, bayer="GRBG", page=2)


def test_nothing_is_written_beside_the_images(tiny_package: Package, make_part: MakePart, tmp_path: Path) -> None:
    write_image(tmp_path / "parts" / "1.PNG", make_part())
    write_image(tmp_path / "parts" / "zwei\nZeilen.png", make_part((30, 20, 10, 6)))
    (tmp_path / "parts").chmod(0o555)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts", *(tmp_path / "parts").iterdir())}
    found, _ = sources.find_sources([str(tmp_path / "parts")])
    with closing(Inspector(tiny_package, threads=1)) as made:
        told = [result.inspection for result in made.inspect_files(source.path for source in found)]
    assert [t.verdict for t in told] == [Verdict.OK, Verdict.NG]
    assert told[1].image.endswith("zwei\nZeilen.png")
    assert "\n" not in told[1].to_json()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((tmp_path / "parts").iterdir())) == 2
    (tmp_path / "parts").chmod(0o755)


def test_a_path_that_is_too_long_ends_as_error_beside_the_others(
    tiny_package: Package, make_part: MakePart, tmp_path: Path
) -> None:
    write_image(tmp_path / "1.png", make_part())
    names = [str(tmp_path / ("a" * 300 + ".png")), str(tmp_path / "1.png")]
    found, _ = sources.find_sources(names)
    streamed = list(sources._of_lines([name.encode() for name in names]))
    assert [source.path for source in found] == [source.path for source in streamed]
    with closing(Inspector(tiny_package, threads=1)) as made:
        told = [result.inspection for result in made.inspect_files(source.path for source in found)]
    assert [t.verdict for t in told] == [Verdict.ERROR, Verdict.OK]
    assert told[0].error is not None
    assert "File name too long" in told[0].error


def test_a_folder_that_cannot_be_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "1.png").touch()
    (tmp_path / "shut").mkdir()
    scan = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(UsageError, match=r"shut: the folder cannot be listed \(Permission denied\); check its rights"):
        sources.find_sources([str(tmp_path)])

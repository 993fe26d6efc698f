"""Image → verdict; and whatever goes wrong is ERROR, never OK."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import onspec.runtime.inspector as inspecting
from onspec.decision.rules import RuleSet
from onspec.decision.zones import Zone
from onspec.domain import EngineError, UnexpectedImageError, Verdict
from onspec.imaging.preparation import Extent, InputSpec, decode_for
from onspec.imaging.reading import Image
from onspec.imaging.writing import encode_image, write_image
from onspec.recipe.package import Package
from onspec.runtime.inspector import Inspector
from onspec.runtime.lanes import Lanes

MakePart = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def inspector(tiny_package: Package) -> Iterator[Inspector]:
    with closing(Inspector(tiny_package, threads=1)) as made:
        yield made


class Broken:
    """An engine whose output a test decides."""

    name = "broken"

    def __init__(self, output: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self.output = output

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.output(batch)

    def close(self) -> None:
        """Nothing to give back."""


def broken(package: Package, output: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Inspector:
    """An inspector that started well and whose engine now gives `output`."""
    made = Inspector(package, threads=1)
    made.lanes = Lanes([Broken(output)])
    return made


def test_a_good_part_is_ok_and_a_defective_one_ng(inspector: Inspector, make_part: MakePart) -> None:
    good = inspector.inspect_bytes(encode_image(make_part()), "good.png", "P1").inspection
    assert (good.verdict, good.image, good.part_id, good.size, good.error) == (
        Verdict.OK, "good.png", "P1", (96, 64), None,
    )  # fmt: skip
    assert good.score is not None
    assert good.score < 0.01
    result = inspector.inspect_bytes(encode_image(make_part((30, 20, 10, 6))), "bad.png")
    assert result.inspection.verdict is Verdict.NG
    assert result.inspection.reasons == ("defect: score 1.00 >= 0.50",)
    assert [d.bbox for d in result.inspection.defects] == [(30, 20, 10, 6)]
    assert result.inspection.recipe == inspector.identity
    assert result.inspection.engine == "onnxruntime"
    assert set(result.inspection.ms) == {"read", "infer", "decide"}
    assert all(ms >= 0 for ms in result.inspection.ms.values())
    assert result.maps[0].size == (96, 64)
    assert result.image is not None


def test_the_maps_are_the_networks_scores_in_the_pixels_of_the_image(inspector: Inspector, make_part: MakePart) -> None:
    image = make_part((30, 20, 10, 6), size=(97, 65))  # not multiples of the stride
    (score_map,) = inspector.maps(image)
    expected = 1 / (1 + np.exp(-12.0 * (image / 127.5 - 1.0)))
    assert np.abs(score_map.values - expected).max() < 1e-4


def test_tiles_change_nothing(tiny_package: Package, make_part: MakePart) -> None:
    spec = InputSpec(width=Extent(min=16, max=999), height=Extent(min=16, max=999), stride=16, tile=64, halo=16)
    recipe = tiny_package.recipe.model_copy(update={"input": spec})
    image = make_part((250, 80, 70, 30), (3, 3, 4, 4), size=(333, 222))
    with closing(Inspector(replace(tiny_package, recipe=recipe), threads=1)) as tiled:
        with_tiles = tiled.inspect_bytes(encode_image(image), "x.png").inspection
    whole_spec = spec.model_copy(update={"tile": 1024})
    recipe = recipe.model_copy(update={"input": whole_spec})
    with closing(Inspector(replace(tiny_package, recipe=recipe), threads=1)) as whole:
        in_one = whole.inspect_bytes(encode_image(image), "x.png").inspection
    assert with_tiles.defects == in_one.defects
    assert (with_tiles.verdict, with_tiles.score) == (in_one.verdict, in_one.score)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not an image that can be decoded"),
        (b"hello", "not an image that can be decoded"),
        (encode_image(np.zeros((64, 96), np.uint8))[:-20], "truncated"),
        (encode_image(np.zeros((64, 96), np.uint16)), "pixels are uint16; this recipe takes uint8"),
        (encode_image(np.zeros((64, 300), np.uint8)), r"300×64 px; this recipe takes 64…128×48…96 px"),
        (encode_image(np.full((64, 96, 3), (200, 0, 0), np.uint8)), "a colour image; this recipe takes gray"),
    ],
)
def test_an_image_that_cannot_be_judged_is_error(data: bytes, says: str, inspector: Inspector) -> None:
    result = inspector.inspect_bytes(data, "x.png")
    assert result.inspection.verdict is Verdict.ERROR
    assert result.inspection.error is not None
    assert result.inspection.error.startswith("x.png: ")
    assert says in result.inspection.error
    assert (result.inspection.score, result.maps) == (None, ())


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (lambda batch: np.full_like(batch, np.nan), "scores from nan to nan"),
        (lambda batch: np.full_like(batch, -np.inf), "scores from -inf"),
        (lambda batch: np.full_like(batch, -5.0), "allowed: 0 to 1"),  # logits: clipped, they would all be OK
        (lambda batch: np.full_like(batch, 1.1), "allowed: 0 to 1"),
        (lambda batch: batch[:, :, :8], r"this recipe takes float32 (1, 1, 64, 96)"),
        (lambda batch: np.concatenate([batch, batch], axis=1), r"gave float32 (1, 2, 64, 96)"),
        (lambda batch: batch.astype(np.float64), "gave float64"),
    ],
)
def test_an_output_that_is_no_score_is_error(
    output: Callable[[NDArray[np.float32]], NDArray[np.float32]], says: str, tiny_package: Package, make_part: MakePart
) -> None:
    inspection = broken(tiny_package, output).inspect_bytes(encode_image(make_part()), "x.png").inspection
    assert inspection.verdict is Verdict.ERROR
    assert says in str(inspection.error)


def test_rounding_beyond_the_range_is_no_fault(tiny_package: Package, make_part: MakePart) -> None:
    made = broken(tiny_package, lambda batch: np.full_like(batch, -1e-6))
    assert made.inspect_bytes(encode_image(make_part()), "x.png").inspection.verdict is Verdict.OK


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError(), KeyError("x"), AssertionError()])
def test_an_unexpected_fault_is_error_and_logged(
    error: Exception, tiny_package: Package, make_part: MakePart, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: NDArray[np.float32]) -> NDArray[np.float32]:
        raise error

    with caplog.at_level(logging.ERROR):
        inspection = broken(tiny_package, fail).inspect_bytes(encode_image(make_part()), "x.png").inspection
    assert inspection.verdict is Verdict.ERROR
    assert f"unexpected fault ({type(error).__name__}" in str(inspection.error)
    assert caplog.records[0].exc_info


def test_a_fault_in_the_decision_is_error(
    inspector: Inspector, make_part: MakePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(inspecting, "judge", fail)
    inspection = inspector.inspect_bytes(encode_image(make_part()), "x.png").inspection
    assert (inspection.verdict, inspection.size) == (Verdict.ERROR, (96, 64))
    assert {"read", "infer"} <= set(inspection.ms)


def test_a_rule_that_cannot_be_applied_is_error(tiny_package: Package, make_part: MakePart) -> None:
    rules = RuleSet(zones={"far": Zone(rectangle=(100, 0, 5, 5), use="ignore")})
    package = replace(tiny_package, recipe=tiny_package.recipe.model_copy(update={"rules": rules}))
    with closing(Inspector(package, threads=1)) as made:
        inspection = made.inspect_bytes(encode_image(make_part()), "x.png").inspection
    assert inspection.verdict is Verdict.ERROR
    assert "zone far lies outside" in str(inspection.error)


def test_maps_raises_for_an_image_of_another_size(inspector: Inspector) -> None:
    with pytest.raises(UnexpectedImageError, match=r"part: 5×5 px"):
        inspector.maps(np.zeros((5, 5), np.uint8), "part")


def test_a_model_that_does_not_fit_its_recipe_is_found_at_the_start(
    tiny_package: Package, make_model: Callable[..., bytes]
) -> None:
    with pytest.raises(EngineError, match=r"recipe tiny: .*\(1, 1, 48, 64\)"):
        Inspector(replace(tiny_package, model=make_model(channels=3)), threads=1)
    with pytest.raises(EngineError, match=r"gave float32 \(1, 2, 48, 64\); this recipe takes float32 \(1, 1, 48, 64\)"):
        Inspector(replace(tiny_package, model=make_model(classes=2)), threads=1)


def test_one_bad_image_among_many_does_not_stop_the_rest(
    inspector: Inspector, make_part: MakePart, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{i:02d}.png" for i in range(40)]
    for path in paths:
        write_image(path, make_part((30, 20, 10, 6)) if int(path.stem) % 2 else make_part())
    paths[7].write_bytes(b"hello")
    paths[9].unlink()
    inspections = [r.inspection for r in inspector.inspect_files(paths, workers=3)]
    assert [i.image for i in inspections] == [str(path) for path in paths]
    expected = [Verdict.NG if i % 2 else Verdict.OK for i in range(40)]
    expected[7] = expected[9] = Verdict.ERROR
    assert [i.verdict for i in inspections] == expected
    assert "no such image file" in str(inspections[9].error)


def test_so_many_files_are_read_at_a_time(
    inspector: Inspector, make_part: MakePart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{i:02d}.png" for i in range(12)]
    for path in paths:
        write_image(path, make_part())
    together = threading.Barrier(4)  # a drive that answers when four ask

    def slow(path: Path) -> bytes:
        together.wait(20)
        return path.read_bytes()

    monkeypatch.setattr(inspecting, "read_bytes", slow)
    assert [r.inspection.verdict for r in inspector.inspect_files(paths, workers=4)] == [Verdict.OK] * 12


@pytest.mark.parametrize(("cores", "lanes", "threads"), [(2, 2, 2), (2, 1, 2), (1, 2, 2), (64, 1, 5)])
def test_more_threads_than_lanes_judge_only_where_cores_are_left(
    cores: int, lanes: int, threads: int, tiny_package: Package, make_part: MakePart, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(inspecting, "usable_cores", lambda: cores)
    paths = [tmp_path / f"{i:02d}.png" for i in range(40)]
    for path in paths:
        write_image(path, make_part())
    judging: set[int] = set()
    together = threading.Barrier(threads)

    def noted(spec: InputSpec, data: bytes, name: str) -> Image:
        judging.add(threading.get_ident())
        together.wait(20)
        return decode_for(spec, data, name)

    monkeypatch.setattr(inspecting, "decode_for", noted)
    with closing(Inspector(tiny_package, "onnxruntime", threads=1, lanes=lanes)) as made:
        assert [r.inspection.verdict for r in made.inspect_files(paths)] == [Verdict.OK] * 40
    assert len(judging) == threads


def test_a_name_that_is_not_utf8_still_becomes_json(inspector: Inspector, tmp_path: Path) -> None:
    result = inspector.inspect_file(tmp_path / "a\udcff.png")
    assert result.inspection.verdict is Verdict.ERROR
    assert "a\\\\udcff.png" in result.inspection.to_json()


def test_threads_may_share_an_inspector(inspector: Inspector, make_part: MakePart) -> None:
    good, bad = encode_image(make_part()), encode_image(make_part((30, 20, 10, 6)))
    wrong: list[str] = []

    def judge_many(data: bytes, verdict: Verdict) -> None:
        for _ in range(20):
            got = inspector.inspect_bytes(data, "x.png").inspection.verdict
            if got is not verdict:
                wrong.append(got)

    threads = [
        threading.Thread(target=judge_many, args=args)
        for args in itertools.islice(itertools.cycle([(good, Verdict.OK), (bad, Verdict.NG)]), 6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_closed_inspector_says_error(inspector: Inspector, make_part: MakePart) -> None:
    inspector.close()
    assert inspector.inspect_bytes(encode_image(make_part()), "x.png").inspection.verdict is Verdict.ERROR

"""What a plan needs to know of a set, read once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onspec.domain import Box, DataError, Sample, UnreadableImageError
from onspec.imaging.writing import write_image
from onspec.training.survey import survey


def sample_of(image: Path, *annotations: Box, defective: bool = False, cls: str | None = None) -> Sample:
    return Sample(image.name, image, image.stem, defective or bool(annotations), annotations, cls=cls)


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    """A gray image of 64×48 px."""
    write_image(tmp_path / "blank.png", np.full((48, 64), 51, np.uint8))
    return tmp_path / "blank.png"


def test_it_reads_sizes_and_defects(grain_samples: list[Sample]) -> None:
    facts = survey(grain_samples)
    assert (facts.images, facts.good, facts.defective, facts.parts, facts.defective_parts) == (32, 16, 16, 32, 16)
    assert facts.widths == facts.heights == (96, 96)
    assert (facts.channels, facts.dtype, facts.located, facts.unlocated) == (1, "uint8", "pixels", 0)
    assert facts.coherence < 0.1
    assert len(facts.defect_areas) == 16
    assert facts.small_defect_side == pytest.approx(np.sqrt(np.pi * 14 * 9), rel=0.1)
    assert facts.narrow_defect_width == pytest.approx(2 * 9, abs=1.5)
    assert facts.touching == 0


def test_light_is_a_share_of_the_range(blank: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "bright.png", np.full((48, 64), 153, np.uint8))
    facts = survey([sample_of(blank), sample_of(tmp_path / "bright.png")])
    assert facts.mean_spread == pytest.approx(0.2)
    assert facts.deviation == 0
    half = np.zeros((48, 64), np.uint16)
    half[:, 32:] = 65535
    write_image(tmp_path / "half.png", half)
    assert survey([sample_of(tmp_path / "half.png")]).deviation == pytest.approx(0.5)


def test_how_defects_are_told(blank: Path, kind_parts: list[object], make_samples: Callable[..., list[Sample]]) -> None:
    by_how = {how: survey(make_samples(kind_parts[:6], how, True)) for how in ("masks", "boxes", "classes")}
    assert {how: facts.located for how, facts in by_how.items()} == {
        "masks": "pixels", "boxes": "boxes", "classes": "nowhere",
    }  # fmt: skip
    assert all(facts.class_parts == {"coarse": 2, "pale": 2} for facts in by_how.values())
    assert by_how["classes"].unlocated == 4
    assert by_how["classes"].small_defect_side is None
    assert all(not facts.unlocated_classes for facts in by_how.values())
    parts = [sample_of(blank, Box(0, 0, 9, 9, "a")), sample_of(blank, Box(0, 0, 9, 9, "a"))]
    facts = survey([replace(s, name=f"{i}") for i, s in enumerate(parts)])
    assert (facts.class_parts, facts.defective_parts) == ({"a": 1}, 1)


def test_unlocated_images_beside_located_ones_are_counted(
    grain_samples: list[Sample], unlocated: Callable[[Sample], Sample]
) -> None:
    facts = survey([*grain_samples[:20], *map(unlocated, grain_samples[20:24])])
    assert (facts.located, facts.unlocated, facts.defective) == ("pixels", 4, 8)


def test_classes_of_which_no_defect_is_located_are_told(blank: Path) -> None:
    located = replace(sample_of(blank, Box(0, 0, 9, 9, "a")), name="0")
    named, nameless = (replace(located, name=n, part=n, annotations=(), cls=c) for n, c in (("1", "b"), ("2", None)))
    facts = survey([located, named, nameless, replace(named, name="3", part="3", cls="a")])
    assert facts.class_parts == {"a": 2, "b": 1, "defect": 1}
    assert facts.unlocated_classes == {"b", "defect"}
    assert not survey([named, nameless]).unlocated_classes


@pytest.mark.parametrize("box", [Box(0, 0, 64, 48), Box(0, 0, 20, 48), Box(10, 10, 20, 20)])
def test_a_defect_is_no_wider_than_what_the_image_shows_of_it(blank: Path, box: Box) -> None:
    assert survey([sample_of(blank, box)]).narrow_defect_width == pytest.approx(min(box.width, box.height), abs=1.5)


def test_objects_that_touch_are_counted(blank: Path) -> None:
    touching = sample_of(blank, Box(0, 0, 10, 10), Box(10, 0, 10, 10), Box(30, 30, 5, 5))
    assert survey([touching]).touching == pytest.approx(2 / 3)
    assert survey([sample_of(blank, Box(0, 0, 10, 10), Box(11, 0, 10, 10))]).touching == 0


def test_stripes_have_a_direction(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.tile((np.arange(64) % 8 * 30).astype(np.uint8), (64, 1)))
    assert survey([sample_of(tmp_path / "a.png")]).coherence > 0.99


def test_lines_that_cross_are_told_from_what_has_no_direction(tmp_path: Path) -> None:
    x, y = np.mgrid[0:64, 0:64]
    write_image(tmp_path / "net.png", (60 * (np.sin(x) + np.sin(y)) + 128).astype(np.uint8))
    write_image(tmp_path / "sand.png", np.random.default_rng(0).integers(0, 255, (256, 256), np.uint8))
    net, sand = survey([sample_of(tmp_path / "net.png")]), survey([sample_of(tmp_path / "sand.png")])
    assert net.coherence < 0.1
    assert net.fourfold > 0.3
    assert max(sand.coherence, sand.fourfold) < 0.1


def test_gray_images_stored_in_colour_are_gray(tmp_path: Path) -> None:
    gray = np.repeat(np.random.default_rng(0).integers(0, 255, (20, 20, 1), np.uint8), 3, axis=2)
    write_image(tmp_path / "gray.png", gray)
    assert survey([sample_of(tmp_path / "gray.png")]).channels == 1
    gray[3, 3] = (255, 0, 0)
    write_image(tmp_path / "red.png", gray)
    assert survey([sample_of(tmp_path / "gray.png"), sample_of(tmp_path / "red.png")]).channels == 3


def test_different_pixel_types_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    write_image(tmp_path / "b.png", np.zeros((8, 8), np.uint16))
    with pytest.raises(DataError, match="uint16, uint8"):
        survey([sample_of(tmp_path / n) for n in ("a.png", "b.png")])


def test_nothing_to_read_and_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image to train on"):
        survey([])
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"a\.png"):
        survey([sample_of(tmp_path / "a.png")])

"""DAGM 2007, official and older."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.domain import Ellipse, LabelError, Split

Pixels = NDArray[np.uint8]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]

LIST = "1\n0001\t0\t0001.PNG\t0\t0\t\n0002\t1\t0002.PNG\t0\t0002_label.PNG\n"


def official(picture: Make, mask: Make, prefix: str = "", start: int = 0) -> dict[str, Pixels | str | bytes]:
    files: dict[str, Pixels | str | bytes] = {}
    for n, split in enumerate(("Train", "Test")):
        files[f"{prefix}{split}/0001.PNG"] = picture(start + 2 * n)
        files[f"{prefix}{split}/0002.PNG"] = picture(start + 2 * n + 1)
        files[f"{prefix}{split}/Label/0002_label.PNG"] = mask()
        files[f"{prefix}{split}/Label/Labels.txt"] = LIST
    return files


def test_one_class(build: Build, picture: Make, mask: Make) -> None:
    dataset = load(build(official(picture, mask)))
    assert dataset.layout == "dagm"
    assert [(s.name, s.defective, s.split) for s in dataset.samples] == [
        ("Test/0001.PNG", False, Split.TEST),
        ("Test/0002.PNG", True, Split.TEST),
        ("Train/0001.PNG", False, Split.TRAIN),
        ("Train/0002.PNG", True, Split.TRAIN),
    ]
    assert int(load_mask(dataset.samples[1], (40, 30)).sum()) == 48
    assert dataset.problems == ()


def test_several_classes_are_read_together_under_prefixed_names(build: Build, picture: Make, mask: Make) -> None:
    files = official(picture, mask, "Class1/") | official(picture, mask, "Class2/", start=10)
    dataset = load(build(files))
    assert [s.name for s in dataset.samples][:2] == ["Class1/Test/0001.PNG", "Class1/Test/0002.PNG"]
    assert len(dataset.samples) == 8
    assert len({s.part for s in dataset.samples}) == 8


def test_without_the_list_label_files_tell(build: Build, picture: Make, mask: Make) -> None:
    files = official(picture, mask)
    dataset = load(build({k: v for k, v in files.items() if not k.endswith(".txt")}))
    assert (dataset.layout, dataset.good, dataset.defective) == ("dagm", 2, 2)


def test_a_split_of_good_parts_without_labels_is_read_too(build: Build, picture: Make, mask: Make) -> None:
    files = official(picture, mask)
    dataset = load(build({k: v for k, v in files.items() if "Test/Label" not in k and k != "Test/0002.PNG"}))
    assert [s.name for s in dataset.samples if s.split is Split.TEST] == ["Test/0001.PNG"]


def test_a_label_that_the_list_denies_is_a_problem_and_counts(build: Build, picture: Make, mask: Make) -> None:
    files = official(picture, mask) | {"Train/Label/0001_label.PNG": mask()}
    dataset = load(build(files))
    assert [p.code for p in dataset.problems] == ["label-list"]
    assert next(s for s in dataset.samples if s.name == "Train/0001.PNG").defective


def test_a_listed_label_that_is_absent_never_makes_a_part_good(build: Build, picture: Make, mask: Make) -> None:
    files = official(picture, mask)
    del files["Train/Label/0002_label.PNG"]
    sample = next(s for s in load(build(files)).samples if s.name == "Train/0002.PNG")
    assert sample.defective
    with pytest.raises(LabelError, match=r"0002_label\.PNG: no such"):
        load_mask(sample, (40, 30))


def test_a_broken_list_is_named_with_its_line(build: Build, picture: Make, mask: Make) -> None:
    files = official(picture, mask) | {"Train/Label/Labels.txt": "1\n0001\tyes\t0001.PNG\n"}
    with pytest.raises(LabelError, match=r"Labels\.txt, line 2: got .*expected tab separated"):
        load(build(files))


@pytest.fixture
def older(build: Build, picture: Make) -> Path:
    return build(
        {
            "Class1/1.png": picture(1),
            "Class1/2.png": picture(2),
            "Class1_def/1.png": picture(3),
            "Class1_def/2.png": picture(4),
            "Class1_def/labels.txt": f"1\t10.0\t3.0\t{math.pi / 2:.9f}\t20.0\t15.0\n1\t2\t2\t0\t5\t5\n",
        }
    )


def test_the_older_form_has_axes_before_angle_before_centre(older: Path) -> None:
    dataset = load(older)
    assert (dataset.layout, dataset.good, dataset.defective) == ("dagm", 2, 2)
    sample = next(s for s in dataset.samples if s.name == "Class1_def/1.png")
    first = sample.annotations[0]
    assert isinstance(first, Ellipse)
    assert (first.x, first.y, first.a, first.b) == (20, 15, 10, 3)
    assert first.angle_deg == pytest.approx(90, abs=1e-4)
    assert len(sample.annotations) == 2


def test_an_ellipse_is_drawn_where_it_lies(older: Path) -> None:
    sample = next(s for s in load(older).samples if s.name == "Class1_def/1.png")
    drawn = load_mask(sample, (40, 30))[0]
    assert drawn[15 - 9, 20] == 1  # the long axis stands upright
    assert drawn[15, 20 + 5] == 0
    assert drawn[5, 5] == 1
    assert drawn.sum() == pytest.approx(math.pi * (10 * 3 + 2 * 2), rel=0.2)


def test_a_defective_image_without_an_ellipse_is_defective_somewhere(older: Path) -> None:
    dataset = load(older)
    sample = next(s for s in dataset.samples if s.name == "Class1_def/2.png")
    assert sample.defective
    assert sample.annotations == ()
    assert [p.code for p in dataset.problems] == ["unlocated"]


@pytest.mark.parametrize("line", ["1\t0\t3\t0\t20\t15", "1\t10\t3", "x\t10\t3\t0\t20\t15"])
def test_a_broken_ellipse_is_named_with_its_line(older: Path, line: str) -> None:
    (older / "Class1_def" / "labels.txt").write_text(f"1\t10\t3\t0\t20\t15\n{line}\n")
    with pytest.raises(LabelError, match=r"labels\.txt, line 2: .*semi-major"):
        load(older)

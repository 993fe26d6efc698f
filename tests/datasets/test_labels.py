"""Labels → masks."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from onspec.datasets.labels import load_mask
from onspec.domain import Ellipse, LabelError, MaskFile, Sample


def sample(*annotations: MaskFile | Ellipse) -> Sample:
    return Sample("a.png", Path("a.png"), "a", defective=True, annotations=annotations)


def test_a_good_sample_has_zeros_a_plane_a_class() -> None:
    planes = load_mask(Sample("a.png", Path("a.png"), "a", defective=False), (7, 5), ("x", "y"))
    assert (planes.shape, int(planes.sum())) == ((2, 5, 7), 0)


def test_another_size_is_named_with_both(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    cv2.imwrite(str(path), np.ones((20, 30), np.uint8))
    with pytest.raises(LabelError, match=r"m\.png: label of 30×20 px for image a\.png of 20×30 px"):
        load_mask(sample(MaskFile(path)), (20, 30))


def test_each_class_has_its_plane_and_one_class_takes_all() -> None:
    both = sample(Ellipse(5, 5, 2, 2, 0, "dent"), Ellipse(15, 5, 2, 2, 0, "crack"))
    dent, crack = load_mask(both, (20, 10), ("dent", "crack"))
    assert (dent[5, 5], dent[5, 15], crack[5, 5], crack[5, 15]) == (1, 0, 0, 1)
    assert load_mask(both, (20, 10))[0].sum() == dent.sum() + crack.sum()


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(LabelError, match="unknown class 'dent'; known: crack, hole"):
        load_mask(sample(Ellipse(5, 5, 2, 2, 0, "dent")), (20, 10), ("crack", "hole"))


def test_an_ellipse_outside_the_image_is_refused() -> None:
    with pytest.raises(LabelError, match=r"ellipse at \(50, 5\) px lies outside the image of 20×10 px"):
        load_mask(sample(Ellipse(50, 5, 2, 2, 0)), (20, 10))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"a\.png: its label cannot be read: .*absent\.png: no such"):
        load_mask(sample(MaskFile(tmp_path / "absent.png")), (20, 10))

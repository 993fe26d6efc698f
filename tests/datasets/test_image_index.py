"""Which image a label file means."""

from pathlib import PurePosixPath

import pytest

from onspec.datasets.image_index import index_images, tidy
from onspec.domain import LabelError

IMAGES = ("a.png", "images/b.PNG", "images/lot 1/c.jpg", "lot1/d.png", "lot2/d.png", "train/e.png", "val/e.png")


def find(listed: str, label: str = "labels.json", *hints: str, images: tuple[str, ...] = IMAGES) -> str | None:
    found = index_images([PurePosixPath(i) for i in images]).find(listed, PurePosixPath(label), hints)
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("listed", "label", "image"),
    [
        ("a.png", "labels.json", "a.png"),
        ("./a.png", "labels.json", "a.png"),
        ("../a.png", "ann/x.json", "a.png"),
        ("b.png", "labels.json", "images/b.PNG"),
        ("b", "labels.json", "images/b.PNG"),
        ("b.tiff", "labels.json", "images/b.PNG"),
        ("lot%201/c.jpg", "labels.json", "images/lot 1/c.jpg"),
        ("https://plant.example/lot%201/c.jpg", "labels.json", "images/lot 1/c.jpg"),
        ("D:\\set\\lot2\\d.png", "labels.json", "lot2/d.png"),
        ("d.png", "lot1/x.json", "lot1/d.png"),
        ("e.png", "train/x.json", "train/e.png"),
        ("e.png", "ann/val/x.json", "val/e.png"),
        ("0a1b2c3d-a.png", "labels.json", "a.png"),
        ("z.png", "labels.json", None),
        ("a.png", "val/x.json", "a.png"),
        ("", "labels.json", None),
    ],
)
def test_names_as_tools_write_them(listed: str, label: str, image: str | None) -> None:
    assert find(listed, label) == image


def test_a_hint_and_a_folder_of_images_tell_images_of_one_name_apart() -> None:
    assert find("d.png", "labels.json", "lot2") == "lot2/d.png"
    assert find("1.png", images=("images/1.png", "thumbs/1.png")) == "images/1.png"


def test_what_may_mean_either_is_refused_with_both() -> None:
    with pytest.raises(LabelError, match=r"labels\.json: 'd\.png' may mean lot1/d\.png or lot2/d\.png"):
        find("d.png")


def test_an_image_of_another_split_is_never_meant() -> None:
    assert find("e.png", "test/x.json") is None
    assert find("e.png", "val/x.json", images=("train/e.png",)) is None


def test_what_is_tidied_away() -> None:
    assert tidy("..\\..\\media\\upload\\4\\x.png") == PurePosixPath("media/upload/4/x.png")
    assert tidy("/data/local-files/?d=lot/x.png") == PurePosixPath("lot/x.png")
    assert tidy("../..") == PurePosixPath()

"""What a user names → image files, and names for what is made from them."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from onspec.domain import UsageError
from onspec.runtime import sources
from onspec.runtime.sources import OutputNames, Source, find_sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images in subfolders, in another order than their names, and other files; also the current one."""
    for name in ("b/2.png", "a/2.PNG", "a/1.jpg", "3.tif", "notes.txt", "a/.hidden.png", "a/labels.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def named(names: list[str]) -> list[tuple[str, str]]:
    """Path and place below the named folder, of each source."""
    found, _ = find_sources(names)
    return [(source.path.as_posix(), source.below.as_posix()) for source in found]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["."], [("3.tif", "3.tif"), ("a/1.jpg", "a/1.jpg"), ("a/2.PNG", "a/2.PNG"), ("b/2.png", "b/2.png")]),
        (["a"], [("a/1.jpg", "1.jpg"), ("a/2.PNG", "2.PNG")]),
        (["a/1.jpg", "b"], [("a/1.jpg", "1.jpg"), ("b/2.png", "2.png")]),
        (["notes.txt"], [("notes.txt", "notes.txt")]),  # named, so it is tried
        (["absent.png"], [("absent.png", "absent.png")]),  # ends as ERROR, the others are judged
        (["*/2.*"], [("a/2.PNG", "a/2.PNG"), ("b/2.png", "b/2.png")]),
        (["a/*"], [("a/1.jpg", "1.jpg"), ("a/2.PNG", "2.PNG")]),
        (["**/*.png"], [("b/2.png", "b/2.png")]),
    ],
)
def test_files_folders_and_globs(names: list[str], found: list[tuple[str, str]]) -> None:
    assert named(names) == found


def test_an_absolute_glob(folder: Path) -> None:
    assert named([f"{folder}/*/2.*"])[0] == (f"{folder}/a/2.PNG", "a/2.PNG")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent", "no such file or folder"),
        ("absent/", "no such file or folder"),
        ("x*.png", "no images here"),
        ("empty", "no images here; image files end with .png"),
        ("**x/*.png", "no images here|not a pattern"),
    ],
)
def test_what_stands_for_no_image(name: str, says: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UsageError, match=says):
        find_sources([name])


def test_a_dash_is_standard_input() -> None:
    assert find_sources(["-"]) == ([], True)


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The writing end of a pipe that stands for standard input."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as fake:
        monkeypatch.setattr("sys.stdin", fake)
        yield writing


def test_names_over_stdin_come_one_by_one(stdin: int, folder: Path) -> None:
    os.write(stdin, b"a/1.jpg\r\n\nno such \xff.png\nhalf")
    found = sources.stdin_sources()
    assert next(found).path == Path("a/1.jpg")
    assert os.fsencode(next(found).path) == b"no such \xff.png"
    os.write(stdin, b".png\na\nlast.png")
    os.close(stdin)
    assert [s.path.name for s in found] == ["half.png", "1.jpg", "2.PNG", "last.png"]
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("made", "stems"),
    [
        (["f/a/1.png:f", "f/b/1.png:f"], ["a/1", "b/1"]),
        (["a/1.png", "b/1.png", "c/1.png"], ["1", "b/1", "c/1"]),
        (["a/1.png", "a/1.jpg", "a/1.bmp"], ["1", "1.jpg", "1.bmp"]),
        (["a/x.png", "a/X.png"], ["x", "X.png"]),
        (["a/1.png", "a/1.png", "a/1.png"], ["1", "1.png", "1.png-2"]),
        (["x/a/1.png", "y/a/1.png", "z/a/1.png"], ["1", "a/1", "a/1-2"]),
    ],
)
def test_no_two_images_share_a_name(made: list[str], stems: list[str]) -> None:
    names = OutputNames()
    for entry, stem in zip(made, stems, strict=True):
        path, _, root = entry.partition(":")
        below = PurePath(path).relative_to(root) if root else PurePath(PurePath(path).name)
        assert names.stem(Source(Path(path), below)).as_posix() == stem

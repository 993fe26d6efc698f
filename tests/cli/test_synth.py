"""`onspec synth`, and docs/synth.md."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from onspec.datasets.synth import LAYOUTS, kinds_of
from onspec.datasets.textures import TEXTURES

Run = Callable[..., tuple[int, str, str]]

PAGE = Path(__file__).parents[2] / "docs" / "synth.md"
DOCS = PAGE.read_text("utf-8")


def test_it_writes_a_set_and_says_so(onspec: Run, tmp_path: Path) -> None:
    code, out, err = onspec("synth", tmp_path / "set", "--textures", 1, "--good", 2, "--defective", 2, "--seed", 3)
    assert (code, err) == (0, "")
    assert out == f"{tmp_path / 'set'}: 1 textures of 2 good and 2 defective images\n"
    assert len(list((tmp_path / "set" / "Class1").glob("T*/*.PNG"))) == 4


def test_a_folder_with_something_in_it_is_refused(onspec: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    code, out, err = onspec("synth", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"onspec: {tmp_path} is not empty; choose a folder that is new or empty\n"


def test_too_many_textures_are_refused(onspec: Run, tmp_path: Path) -> None:
    code, _, err = onspec("synth", tmp_path / "set", "--textures", 99)
    assert (code, err) == (2, "onspec: textures is 99; choose 1 … 10\n")


def test_help_has_an_example(onspec: Run) -> None:
    code, out, _ = onspec("synth", "--help")
    assert code == 0
    assert "Example: onspec synth" in out


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--contrast", "0", "contrast is 0; choose a number over 0 and up to 1"),
        ("--size", "9", "size is 9; choose 0.2 … 2"),
        ("--layout", "tar", "Unknown layout 'tar'; choose dagm, coco, folders"),
    ],
)
def test_what_cannot_be_is_refused(option: str, value: str, sentence: str, onspec: Run, tmp_path: Path) -> None:
    code, out, err = onspec("synth", tmp_path / "set", option, value)
    assert (code, out, err) == (2, "", f"onspec: {sentence}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_can_be_asked_for(layout: str, onspec: Run, tmp_path: Path) -> None:
    arguments = ("--textures", 1, "--good", 2, "--defective", 2, "--layout", layout, "--contrast", 0.7, "--size", 0.5)
    assert onspec("synth", tmp_path / "set", *arguments)[0] == 0
    images = [p for p in (tmp_path / "set").rglob("*") if p.suffix.lower() == ".png" and "label" not in p.name]
    assert len(images) == 4


@pytest.mark.parametrize("line", re.findall(r"^onspec synth .*$", DOCS, re.MULTILINE))
def test_the_commands_of_the_page_run(line: str, onspec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line.split("#", maxsplit=1)[0])[1:]
    few = {"--good": "2", "--defective": "2"}
    words = [few.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    words += [word for option, value in few.items() if option not in words for word in (option, value)]
    assert onspec(*words)[0] == 0


def test_the_page_names_what_there_is() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \| `(.+?)` \| ", DOCS, re.MULTILINE)
    assert [(int(number), name, kind) for number, name, kind in rows] == [
        (n, t.name, t.defect) for n, t in enumerate(TEXTURES, 1)
    ]
    assert all(f"\n| `{layout}` | " in DOCS for layout in LAYOUTS)
    assert all(f"`{kind}`" in DOCS for texture in range(len(TEXTURES)) for kind in kinds_of(texture))


def test_the_pictures_of_the_page_exist() -> None:
    for name in re.findall(r"!\[.*?\]\((.+?)\)", DOCS):
        assert cv2.imread(str(PAGE.parent / name)) is not None

"""`onspec synth`."""

from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]


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
    assert (code, err) == (2, "onspec: textures is 99; choose 1 … 8\n")


def test_help_has_an_example(onspec: Run) -> None:
    code, out, _ = onspec("synth", "--help")
    assert code == 0
    assert "Example: onspec synth" in out

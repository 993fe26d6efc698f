"""The commands of docs/speed.md run, and the page says what the code does."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onspec.cli.alike import AP_LOSS
from onspec.cli.hasten import LEAST_GAIN
from onspec.imaging.blocks import BLOCK
from onspec.runtime import lanes
from onspec.runtime.limit import MARGIN
from onspec.runtime.precision import LOWERINGS

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def place(tiny_recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `tile.onspec` and `images`, in which the commands run."""
    from onspec.recipe.reading import open_package

    monkeypatch.chdir(tmp_path)
    tiny_recipe_path.rename("tile.onspec")
    Path("images").mkdir()
    for sample in open_package(Path("tile.onspec")).golden:
        (tmp_path / "images" / sample.name).write_bytes(sample.data)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("onspec bench ")])
def test_bench_as_the_page_calls_it(command: str, onspec: Run, place: Path) -> None:
    assert onspec(*shlex.split(command)[1:], "--rounds", 3)[0] == 0
    assert (place / "bench.png").is_file() == ("--out" in command)


@pytest.mark.slow
def test_folder_speed_as_the_page_calls_it(place: Path) -> None:
    (command,) = (c for c in COMMANDS if "folder_speed" in c)
    words = [str(place / word) if word in ("tile.onspec", "images") else word for word in shlex.split(command)]
    done = subprocess.run(
        [sys.executable, *words[1:], "--engine", "onnxruntime"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for begin in ("folder, ", "stages, µs: ", "single: ", "start, inspect: ", "start, import onnxruntime: "):
        assert f"\n{begin}" in done.stdout


def test_the_page_knows_its_numbers() -> None:
    assert f"From {lanes.FOLDER} images on" in TEXT
    assert all(f"`{name}`" in TEXT or f"--precision {name}" in TEXT for name in LOWERINGS)
    for figure in (
        f"falls by no more than {AP_LOSS:g}",
        f"at least {LEAST_GAIN:g} times",
        f"by a margin of {MARGIN}",
        f"block of {BLOCK}×{BLOCK} px",
    ):
        assert figure in TEXT, figure
    assert any(c.startswith("onspec hasten tile.onspec parts/ --out ") for c in COMMANDS)
    (command,) = (c for c in COMMANDS if "benchmarks.peers" in c)
    named = shlex.split(command)[shlex.split(command).index("--only") + 1 :]
    assert all((ROOT / "benchmarks" / "peers" / f"{name}.py").is_file() for name in named)

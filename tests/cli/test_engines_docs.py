"""docs/engines.md names what there is, and its commands run."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from onspec.cli.alike import AP_LOSS
from onspec.cli.quantize import SCORE_CHANGE
from onspec.runtime.cache import VARIABLE
from onspec.runtime.choosing import MANY
from onspec.runtime.engines import ENGINES
from onspec.runtime.exports import EXPORTS
from onspec.runtime.precision import LOWERINGS
from onspec.runtime.rewrites import REWRITES

Run = Callable[..., tuple[int, str, str]]
DOCS = Path(__file__).parents[2] / "docs" / "engines.md"


def test_it_names_every_engine_rewrite_precision_and_format() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name in (*ENGINES, *REWRITES, *LOWERINGS, VARIABLE):
        assert f"`{name}`" in text, name
    for name in EXPORTS:
        assert f"--to {name}" in text, name
    for figure in (f"fewer than {MANY} images", f"no more than {AP_LOSS:g}", f"its score within {SCORE_CHANGE:g}"):
        assert figure in text, figure


def test_the_table_of_rewrites_says_what_the_code_says() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| (`[^|]*`) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    told = {name: set(re.findall(r"`([a-z-]+)`", engines)) for name, engines in rows if name in REWRITES}
    assert told == {name: set(entry.engines) for name, entry in REWRITES.items()}


def test_its_exports_run(onspec: Run, tiny_recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tile.onspec").write_bytes(tiny_recipe_path.read_bytes())
    commands = re.findall(r"^onspec (export .*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert onspec(*command.split())[0] == 0, command
    for made in ("tile.onnx", "tile.xml", "tile.bin", "models/tiny/config.pbtxt"):
        assert Path(made).is_file(), made

"""The commands of docs/recipe.md do what the page says."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from onspec.recipe import archive
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.runtime.engines import ENGINES

Run = Callable[..., tuple[int, str, str]]
DOCS = Path(__file__).parents[2] / "docs" / "recipe.md"


def test_its_commands_run(onspec: Run, tiny_package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_draft(Path("run"), tiny_package.recipe, tiny_package.model, [(g.name, g.data) for g in tiny_package.golden])
    Path("rules.yaml").write_text("rules:\n  - name: large\n    when: {min_area_px: 20}\n")
    Path("images").mkdir()
    Path("images/1.png").write_bytes(tiny_package.golden[0].data)
    (block,) = re.findall(r"```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines():
        assert onspec(*line.split()[1:])[0] == 0, line
    for made in ("verdicts.jsonl", "maps/1.png", "overlays/1.png", "tile.onnx"):
        assert Path(made).is_file(), made


def test_it_names_every_member_and_every_engine() -> None:
    text = DOCS.read_text(encoding="utf-8")
    members = (archive.RECIPE, archive.MODEL, archive.SPLIT, archive.GOLDEN, archive.SUMS, archive.SIGNATURE)
    for name in (*members, archive.EXPECTED, *ENGINES):
        assert f"`{name}`" in text, name

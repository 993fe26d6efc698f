"""docs/data.md names what the code has."""

import re
from pathlib import Path

import pytest

from onspec.datasets import checking
from onspec.datasets.layouts import LAYOUTS

DOCS = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
SOURCE = "".join(p.read_text("utf-8") for p in sorted(Path(checking.__file__).parent.rglob("*.py")))


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_has_a_row(layout: str) -> None:
    assert f"\n| `{layout}` | " in DOCS


def test_every_problem_has_a_row_and_every_row_a_problem() -> None:
    in_source = set(re.findall(r'(?:code = |code=|_problem\("\w+", )"([a-z-]+)"', SOURCE))
    in_source |= set(re.findall(r'code = "[a-z-]+" if .* else "([a-z-]+)"', SOURCE))
    in_docs = set(re.findall(r"^\| `([a-z-]+)` \| (?:error|warning)", DOCS, re.MULTILINE))
    assert len(in_source) >= 15
    assert in_source <= in_docs
    assert all(f'"{code}"' in SOURCE for code in in_docs)

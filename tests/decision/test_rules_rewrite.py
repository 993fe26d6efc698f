"""A pixel size goes into a rules file, and everything else in it stays."""

from pathlib import Path

import pytest

from onspec.decision.rules import read_rules
from onspec.decision.rules_rewrite import pixel_size_line, set_pixel_size, with_pixel_size
from onspec.domain import RulesError
from onspec.domain.pixel_size import PixelSize

BOTH = PixelSize(x=0.05, y=0.0502)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "pixel_size_mm: 0.05\n"),
        ("# none yet\n", "# none yet\npixel_size_mm: 0.05\n"),
        ("# none yet", "# none yet\npixel_size_mm: 0.05\n"),
        ("pixel_size_mm: 0.2  # old\nrules: []\n", "pixel_size_mm: 0.05  # old\nrules: []\n"),
        ("rules: []\npixel_size_mm: {x: 1, y: 2} # two", "rules: []\npixel_size_mm: 0.05 # two"),
        ("pixel_size_mm:\n  x: 1\n  y: 2\n# rules\nrules: []\n", "pixel_size_mm: 0.05\n# rules\nrules: []\n"),
        ("---\n# a\nrules:   []\n", "---\n# a\npixel_size_mm: 0.05\nrules:   []\n"),
        ("# a\r\nrules: []\r\n", "# a\r\npixel_size_mm: 0.05\r\nrules: []\r\n"),
    ],
)
def test_only_the_entry_changes(before: str, after: str) -> None:
    assert with_pixel_size(before, 0.05, "rules.yaml") == after


def test_two_sides_are_written_as_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    set_pixel_size(path, BOTH)
    assert path.read_text() == pixel_size_line(BOTH) + "\n" == "pixel_size_mm: {x: 0.05, y: 0.0502}\n"
    assert read_rules(path).pixel_size_mm == BOTH


@pytest.mark.parametrize("text", ["{rules: []}\n", "rules: [\n", "zone: {}\n"])
def test_what_cannot_be_changed_safely_is_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(RulesError):
        set_pixel_size(path, 0.05)
    assert path.read_text() == text

"""Rules files: what is read, and the sentence for whatever is wrong in one."""

import re
from pathlib import Path

import pytest

from onspec.decision.conditions import Limit
from onspec.decision.rules import RuleSet, read_rules
from onspec.domain import RulesError

DOCS = Path(__file__).parents[2] / "docs" / "rules.md"

FULL = """\
# what the customer accepts
pixel_size_mm: 0.05
zones:
  rim: {rectangle: [0, 0, 96, 4], use: ignore}
  seal:
    polygon: [[10, 10], [30, 10], [20, 30]]
    use: forbid
  edge: {rectangle: [80, 0, 16, 64]}
rules:
  - name: large-scratch
    when: {class: defect, min_area_mm2: 1.0}
  - name: edge-specks
    when:
      zone: edge
      min_score: 0.7
    max_count: 3
    outcome: REVIEW
"""


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    return tmp_path / "rules.yaml"


def sentence(path: Path, text: str) -> str:
    """The error for a rules file with this text, without the path of its folder."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RulesError) as raised:
        read_rules(path)
    return str(raised.value).removeprefix(f"{path.parent}/")


def test_a_full_file_is_read(rules_file: Path) -> None:
    rules_file.write_text(FULL, encoding="utf-8")
    rules = read_rules(rules_file)
    assert [rule.name for rule in rules.rules] == ["large-scratch", "edge-specks"]
    assert rules.rules[0].when.cls == ("defect",)
    assert rules.rules[0].when.limits == (Limit("area_mm2", ">=", 1.0),)
    assert (rules.rules[1].max_count, rules.rules[1].outcome) == (3, "REVIEW")
    assert list(rules.zones_of("ignore")) == ["rim"]
    assert list(rules.zones_of("forbid")) == ["seal"]
    assert not rules.needs_pixel_size  # the file says it itself


def test_rules_survive_the_way_through_json(rules_file: Path) -> None:
    rules_file.write_text(FULL, encoding="utf-8")
    rules = read_rules(rules_file)
    assert RuleSet.model_validate_json(rules.model_dump_json()) == rules
    assert '"class":"defect"' in rules.model_dump_json()


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "rules: []\n"])
def test_an_empty_file_has_no_rules(text: str, rules_file: Path) -> None:
    rules_file.write_text(text, encoding="utf-8")
    assert read_rules(rules_file) == RuleSet()


@pytest.mark.parametrize(
    ("measure", "needed"),
    [("min_area_mm2", True), ("min_length_mm", True), ("min_area_px", False), ("min_length_px", False)],
)
def test_limits_in_mm_need_a_pixel_size(measure: str, needed: bool, rules_file: Path) -> None:
    rules_file.write_text(f"rules: [{{name: a, when: {{{measure}: 2}}}}]", encoding="utf-8")
    assert read_rules(rules_file).needs_pixel_size is needed


@pytest.mark.parametrize(
    ("text", "begins", "says"),
    [
        ("rules:\n  - name: a\n    when: {min_aera_px: 5}\n", "rules.yaml:3:12", "did you mean 'min_area_px'"),
        ("rules:\n  - name: a\n    outcom: NG\n", "rules.yaml:3:5", "did you mean 'outcome'"),
        ("rules:\n  - name: a\n    outcome: FAIL\n", "rules.yaml:3:5", "got 'FAIL'; allowed: 'NG' or 'REVIEW'"),
        ("rules:\n  - when: {min_score: 0.5}\n", "rules.yaml:2:5", "'rules[0].name' is missing"),
        ("rules:\n  - name: a\n    when: {min_score: much}\n", "rules.yaml:3:12", "got 'much'; allowed: a number"),
        (
            "rules:\n  - name: a\n    when: {min_score: 1.5}\n",
            "rules.yaml:3:12",
            "got 1.5; allowed: less than or equal",
        ),
        ("rules:\n  - name: a\n    when: {min_area_px: .nan}\n", "rules.yaml:3:12", "got nan"),
        ("rules:\n  - name: a\n    max_count: 1.5\n", "rules.yaml:3:5", "allowed: a whole number"),
        ("rules:\n  - name: a/b\n", "rules.yaml:2:5", "got 'a/b'"),
        ("rules:\n  - name: a\n  - name: a\n", "rules.yaml:3:5", "rule names must differ; got 'a'"),
        ("rules:\n  name: a\n", "rules.yaml:1:1", "allowed: a"),
        ("pixel_size_mm: 0\n", "rules.yaml:1:1", "got 0; allowed: greater than 0"),
        ("zones:\n  a: {rectangle: [0, 0, 5]}\n", "rules.yaml:2:7", "zones.a.rectangle[3]' is missing"),
        ("zones:\n  a: {rectangle: [0, 0, 5, 0]}\n", "rules.yaml:2:3", "width and height must be over 0"),
        ("zones:\n  a: {rectangle: [0, 0, 5, .inf]}\n", "rules.yaml:2:3", "numbers of px"),
        ("zones:\n  a: {polygon: [[0, 0], [5, 5]]}\n", "rules.yaml:2:7", "got [[0, 0], [5, 5]]; allowed: at least 3"),
        ("zones:\n  a: {use: ignore}\n", "rules.yaml:2:3", "a zone has one shape"),
        ("zones:\n  a: {rectangle: [0, 0, 5, 5], use: skip}\n", "rules.yaml:2:32", "allowed: 'ignore' or 'forbid'"),
        ("zones:\n  a b: {rectangle: [0, 0, 5, 5]}\n", "rules.yaml:2:3", "zone names are letters"),
        ("rules:\n  - name: a\n    when: {zone: rim}\n", "rules.yaml:3:12", "names the zone 'rim'; zones: none"),
        (
            "zones:\n  rim: {rectangle: [0, 0, 5, 5], use: ignore}\nrules:\n  - name: a\n    when: {zone: rim}\n",
            "rules.yaml:5:12",
            "which is ignored: it never fires",
        ),
        ("rules:\n  - name: [a\n", "rules.yaml:3:1", "not YAML"),
        ("rules: []\nrules: []\n", "rules.yaml:2:1", 'duplicate key "rules"'),
        ("just a sentence\n", "rules.yaml:1:1", "allowed: a mapping"),
        (
            f"rules: {'[' * 30}{']' * 30}\n",
            "rules.yaml",
            "not YAML (more than 100000 values, or nested deeper than 20)",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, begins: str, says: str, rules_file: Path) -> None:
    got = sentence(rules_file, text)
    assert got.startswith(begins + ":"), got
    assert says in got
    assert "pydantic" not in got
    assert "\n" not in got


@pytest.mark.parametrize("key", ["{{ name }}", "[a, b]", "? [a]\n  "])
def test_a_key_that_is_no_word_is_said_with_its_place(key: str, rules_file: Path) -> None:
    got = sentence(rules_file, f"pixel_size_mm: 1\nzones:\n  {key}: 1\n")
    assert got.startswith("rules.yaml:3:"), got
    assert "a key must be a word, got a mapping or a list; put text with braces or brackets in quotes" in got


def test_a_second_fault_is_announced(rules_file: Path) -> None:
    assert "(1 more after this one)" in sentence(rules_file, "pixel_size_mm: 0\nrule: []\n")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="cannot read the rules"):
        read_rules(tmp_path / "absent.yaml")


def test_a_file_that_is_not_text(rules_file: Path) -> None:
    rules_file.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(RulesError, match="not UTF-8"):
        read_rules(rules_file)


def test_a_file_that_is_too_large(rules_file: Path) -> None:
    rules_file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(RulesError, match="at most 1000000"):
        read_rules(rules_file)


def test_yaml_makes_no_objects(rules_file: Path) -> None:
    made = rules_file.with_name("made")
    got = sentence(rules_file, f"pixel_size_mm: !!python/object/apply:pathlib.Path.touch ['{made}']\n")
    assert "rules.yaml:1:1" in got
    assert not made.exists()


def test_few_lines_do_not_become_billions_of_values(rules_file: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "more than 100000 values" in sentence(rules_file, "\n".join(lines))


def test_the_example_in_the_docs_is_a_rules_file(rules_file: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    rules_file.write_text(example, encoding="utf-8")
    assert len(read_rules(rules_file).rules) == 8


def test_the_docs_name_every_key() -> None:
    text = DOCS.read_text(encoding="utf-8")
    schema = RuleSet.model_json_schema(by_alias=True)
    kinds = [kind for name, kind in schema["$defs"].items() if name != "PartSpec"]  # docs of its own
    for model in (schema, *kinds):
        for key in model["properties"]:
            assert re.search(rf"\b{key}\b", text), key

"""Versions count up, name their parent and tell what was changed."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from onspec.decision.conditions import Condition
from onspec.decision.rules import Rule, RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.recipe.life import MOST_DIFFERENCES, Change, Parent
from onspec.recipe.lineage import first_version, next_version
from onspec.recipe.package import Golden, Package
from onspec.recipe.reading import with_digest
from onspec.recipe.schema import Recipe

AT = "2026-01-02T03:04:05+00:00"


def with_rules(package: Package, *rules: Rule) -> Package:
    return with_digest(replace(package, recipe=package.recipe.model_copy(update={"rules": RuleSet(rules=rules)})))


def test_a_next_version_names_its_parent_and_what_it_changed(tiny_package: Package) -> None:
    made = next_version(with_rules(tiny_package, Rule(name="large")), tiny_package, at=AT, by="A", note="why")
    recipe = Recipe.model_validate_json(made.recipe.to_json())
    assert (recipe.version, recipe.parent) == (2, Parent(name="tiny", version=1, content=tiny_package.content))
    assert recipe.changes == (Change(version=2, at=AT, by="A", note="why", differences=("rules: rule large: added",)),)
    assert made.content != tiny_package.content


def test_the_log_goes_on(tiny_package: Package) -> None:
    first = first_version(tiny_package, at=AT, by="A", note="begun")
    second = next_version(with_rules(first, Rule(name="large")), first, at=AT, by="B", note="rule")
    lower = second.recipe.model_copy(update={"thresholds": Thresholds(image=0.4)})
    third = next_version(with_digest(replace(second, recipe=lower)), second, at=AT, by="C", note="lower")
    assert [(c.version, c.by, c.note) for c in third.recipe.changes] == [
        (1, "A", "begun"),
        (2, "B", "rule"),
        (3, "C", "lower"),
    ]
    assert third.recipe.changes[-1].differences == ("thresholds: image: 0.5 → 0.4",)
    assert third.recipe.parent == Parent(name="tiny", version=2, content=second.content)


def test_a_log_is_to_be_read(tiny_package: Package) -> None:
    rules = [Rule(name=f"r{i}", when=Condition(min_area_px=i)) for i in range(MOST_DIFFERENCES + 50)]
    made = next_version(with_rules(tiny_package, *rules), tiny_package, at=AT, by="A", note="many")
    told = made.recipe.changes[0].differences
    assert len(told) == MOST_DIFFERENCES + 1
    assert told[-1] == "and 50 more"
    assert Recipe.model_validate_json(made.recipe.to_json()) == made.recipe


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"version": 2}, "version 2 without a parent cannot be; allowed: 1"),
        ({"version": 0}, "greater than or equal to 1"),
        (
            {"version": 4, "parent": {"name": "tiny", "version": 2, "content": f"sha256:{'a' * 64}"}},
            "version 4 of the parent version 2 cannot be; allowed: 3",
        ),
        ({"changes": [{"version": 2, "at": AT}]}, "up to 1; got"),
        ({"parent": {"name": "tiny", "version": 1, "content": "md5:1"}}, "parent.content"),
    ],
)
def test_what_is_no_life(values: dict[str, object], says: str, tiny_package: Package) -> None:
    with pytest.raises(ValidationError, match=says):
        Recipe.model_validate({**tiny_package.recipe.model_dump(by_alias=True), **values})


def test_golden_samples_are_part_of_the_content(tiny_package: Package) -> None:
    other = with_digest(replace(tiny_package, golden=(*tiny_package.golden, Golden("more.png", b"x"))))
    assert other.content != tiny_package.content

"""`recipe.json`."""

import json
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from onspec.decision.conditions import Condition
from onspec.decision.rules import Rule, RuleSet
from onspec.domain import Task
from onspec.recipe.package import Package
from onspec.recipe.schema import Recipe


def changed(package: Package, **values: object) -> Recipe:
    """The tiny recipe with other values, validated."""
    return Recipe.model_validate({**package.recipe.model_dump(by_alias=True), **values})


def test_a_recipe_survives_the_way_through_json(tiny_package: Package) -> None:
    rules = RuleSet(rules=(Rule(name="r", when=Condition(cls="defect", min_area_mm2=1.0), max_count=2),))
    recipe = changed(tiny_package, rules=rules, pixel_size_mm=0.05)
    assert Recipe.model_validate_json(recipe.to_json()) == recipe
    assert '"class": "defect"' in recipe.to_json()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "../x"}, "name"),
        ({"classes": ()}, "classes must be named once each"),
        ({"classes": ("a", "a")}, "classes must be named once each"),
        ({"pixel_size_mm": 0}, "greater than 0"),
        ({"pixel_size_mm": float("inf")}, "allowed: greater than 0"),
        ({"surprise": 1}, "surprise"),
        ({"schema_version": 0}, "schema_version"),
        ({"task": "guess"}, "'segment', 'detect' or 'classify'"),
        ({"task": "detect", "separate": True}, "touching objects of task segment apart; got it with task detect"),
        ({"task": "classify", "classes": ("good", "bad")}, "no class may be called 'good'"),
        ({"task": "detect", "thresholds": {"pooling": "odds"}}, "got it with task detect; allowed: peak"),
        ({"rules": {"rules": [{"name": "r", "when": {"min_area_mm2": 1}}]}}, "give the recipe a pixel size"),
        ({"rules": {"rules": [{"name": "r", "when": {"class": "pore"}}]}}, "would never fire; classes: defect"),
    ],
)
def test_what_is_no_recipe(values: dict[str, object], says: str, tiny_package: Package) -> None:
    with pytest.raises(ValidationError, match=says):
        changed(tiny_package, **values)


def test_a_recipe_of_an_earlier_version_is_read() -> None:
    text = """{"schema_version": 1, "name": "tile", "task": "segment", "classes": ["defect"],
      "input": {"width": {"min": 64, "max": 128}, "height": {"min": 48, "max": 96}, "channels": 1, "dtype": "uint8",
                "scale": 1.0, "normalise": "range", "stride": 16, "tile": 256, "halo": 32},
      "pixel_size_mm": null, "thresholds": {"image": 0.4, "pixel": 0.5, "window": 5, "review": null, "basis": ""},
      "rules": {"pixel_size_mm": null, "zones": {}, "rules": []},
      "provenance": {"created": "2026-01-01T00:00:00Z", "onspec": "0.1.0", "data": null, "training": {},
                     "metrics": {}, "versions": {}}}"""
    recipe = Recipe.model_validate_json(text)
    assert (recipe.task, recipe.separate, recipe.input.cell, recipe.planes) == (Task.SEGMENT, False, 1, 1)
    assert (recipe.thresholds.pooling, recipe.thresholds.sharpness) == ("peak", 1.0)


@pytest.mark.parametrize("task", Task)
def test_the_task_is_a_word_in_the_file(task: Task, make_toned: Callable[..., Package]) -> None:
    recipe = make_toned(task).recipe
    assert json.loads(recipe.to_json())["task"] == {"segment": "segment", "detect": "detect"}.get(task, "classify")
    assert Recipe.model_validate_json(recipe.to_json()) == recipe
    assert recipe.planes == {Task.SEGMENT: 2, Task.DETECT: 6, Task.CLASSIFY: 2}[task]


def test_an_unknown_input_setting_is_not_passed_over(tiny_package: Package) -> None:
    spec = {**tiny_package.recipe.input.model_dump(), "gamma": 2.2}
    with pytest.raises(ValidationError, match="gamma"):
        changed(tiny_package, input=spec)

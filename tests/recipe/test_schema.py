"""`recipe.json`."""

import pytest
from pydantic import ValidationError

from onspec.decision.rules import Condition, Rule, RuleSet
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
        ({"pixel_size_mm": float("inf")}, "finite"),
        ({"surprise": 1}, "surprise"),
        ({"schema_version": 0}, "schema_version"),
        ({"rules": {"rules": [{"name": "r", "when": {"min_area_mm2": 1}}]}}, "give the recipe a pixel size"),
        ({"rules": {"rules": [{"name": "r", "when": {"class": "pore"}}]}}, "would never fire; classes: defect"),
    ],
)
def test_what_is_no_recipe(values: dict[str, object], says: str, tiny_package: Package) -> None:
    with pytest.raises(ValidationError, match=says):
        changed(tiny_package, **values)


def test_an_unknown_input_setting_is_not_passed_over(tiny_package: Package) -> None:
    spec = {**tiny_package.recipe.input.model_dump(), "gamma": 2.2}
    with pytest.raises(ValidationError, match="gamma"):
        changed(tiny_package, input=spec)

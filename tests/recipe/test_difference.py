"""What two recipes differ in is said in the terms of the trade."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from onspec.decision.conditions import Condition
from onspec.decision.rules import Rule, RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.decision.zones import Zone
from onspec.domain import Verdict
from onspec.recipe.difference import differences
from onspec.recipe.package import Expected, Golden, Package
from onspec.recipe.reading import with_digest
from onspec.recipe.schema import DataProvenance

SPLIT = "sha256:a3c72b6f1e35…"
LARGE = Rule(name="large", when=Condition(min_area_px=20.0))
DATA = DataProvenance(name="parts", layout="dagm", fingerprint="sha256:1", images={"train_good": 3}, parts={"train": 3})


def changed(package: Package, **values: object) -> Package:
    return with_digest(replace(package, recipe=package.recipe.model_copy(update=values)))


def told(before: Package, after: Package) -> list[str]:
    return [str(difference) for difference in differences(before, after)]


def test_a_recipe_is_the_same_as_itself(tiny_package: Package) -> None:
    assert differences(tiny_package, replace(tiny_package)) == ()


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({}, {"rules": RuleSet(rules=(LARGE,))}, ["rules: rule large: added: min_area_px 20"]),
        ({"rules": RuleSet(rules=(LARGE,))}, {"rules": RuleSet()}, ["rules: rule large: removed: min_area_px 20"]),
        (
            {"rules": RuleSet(rules=(LARGE,))},
            {"rules": RuleSet(rules=(LARGE.model_copy(update={"max_count": 2, "when": Condition(min_area_px=9)}),))},
            ["rules: rule large: when.min_area_px: 20 → 9", "rules: rule large: max_count: added: 2"],
        ),
        (
            {"rules": RuleSet(rules=(LARGE, Rule(name="any", max_count=3)))},
            {"rules": RuleSet(rules=(Rule(name="any", max_count=3), LARGE))},
            ["rules: order: rule large, rule any → rule any, rule large"],
        ),
        (
            {"rules": RuleSet(zones={"rim": Zone(rectangle=(0, 0, 9, 9))})},
            {"rules": RuleSet(zones={"rim": Zone(rectangle=(0, 0, 9, 8), use="ignore")})},
            ["rules: zone rim: rectangle: [0, 0, 9, 9] → [0, 0, 9, 8]", "rules: zone rim: use: added: ignore"],
        ),
        (
            {},
            {"thresholds": Thresholds(image=0.4, review=0.3, basis="better")},
            ["thresholds: image: 0.5 → 0.4", "thresholds: review: added: 0.3", "thresholds: basis:  → better"],
        ),
        ({}, {"pixel_size_mm": 0.05}, ["part: pixel_size_mm: added: 0.05"]),
        ({}, {"classes": ("dent",)}, ["part: classes: [defect] → [dent]"]),
    ],
)
def test_values_by_name(
    before: dict[str, object], after: dict[str, object], says: list[str], tiny_package: Package
) -> None:
    assert told(changed(tiny_package, **before), changed(tiny_package, **after)) == says


def test_input_data_and_versions(tiny_package: Package) -> None:
    recipe = tiny_package.recipe
    after = changed(
        tiny_package,
        input=recipe.input.model_copy(update={"scale": 0.5}),
        provenance=recipe.provenance.model_copy(update={"data": DATA, "versions": {"torch": "2"}, "onspec": "9"}),
    )
    found = differences(tiny_package, after)
    assert ("input", "scale") in [(d.section, d.what) for d in found]
    assert ("data", "fingerprint") in [(d.section, d.what) for d in found]
    assert {(d.section, d.what) for d in found if d.section == "origin"} == {
        ("origin", "onspec"),
        ("origin", "versions.torch"),
    }
    assert [d.section for d in found if d.decides] == ["input"]


def test_model_split_and_golden_samples(tiny_package: Package, make_model: Callable[..., bytes]) -> None:
    ok = Expected(verdict=Verdict.OK, score=0.25)
    one, other = tiny_package.golden
    before = replace(tiny_package, golden=(one, replace(other, expected=ok)))
    golden = (replace(other, expected=ok.model_copy(update={"score": 0.5})), Golden("new.png", b"x", ok))
    after = replace(tiny_package, model=make_model(gain=5.0), split_csv=None, golden=golden)
    found = differences(before, with_digest(after))
    assert [str(d) for d in found[1:]] == [
        "golden: defective.png: removed: result not recorded",
        "golden: good.png: result: OK, score 0.250000 ± 0.001 → OK, score 0.500000 ± 0.001",
        "golden: new.png: added: OK, score 0.250000 ± 0.001",
        f"split: split.csv: removed: {SPLIT}",
    ]
    assert found[0].what == "model.onnx"
    assert [d.section for d in found if d.decides] == ["model"]


def test_what_only_a_file_shows(tiny_package: Package) -> None:
    """Equal recipes whose members are written otherwise, as by an earlier onspec."""
    (found,) = differences(tiny_package, replace(tiny_package, content=f"sha256:{'f' * 64}"))
    assert (found.section, found.what) == ("members", "written otherwise")

"""Whether there are parts enough."""

from pathlib import Path

import pytest

from onspec.datasets.amounts import amount_problems, bound, escape_bound
from onspec.datasets.dataset import Dataset
from onspec.domain import Sample, Split


def dataset(good: int, defective: dict[str, int], split: Split | None = None, views: int = 1) -> Dataset:
    """Good parts and defective parts of each class, each seen in several views."""
    kinds = [None] * good + [cls for cls, count in defective.items() for _ in range(count)]
    samples = [
        Sample(f"{part:05d}_{view}.png", Path("x"), str(part), cls is not None, split=split, cls=cls)
        for part, cls in enumerate(kinds)
        for view in range(views)
    ]
    return Dataset(Path("x"), "folders", tuple(samples), "said", parts_known=True)


def found(given: Dataset) -> list[tuple[str, str, str]]:
    return [(p.severity, p.code, p.message) for p in amount_problems(given)]


@pytest.mark.parametrize("parts", [1, 5, 59, 299])
def test_the_bound_is_the_rate_at_which_no_escape_has_a_chance_of_a_twentieth(parts: int) -> None:
    assert (1 - bound(parts)) ** parts == pytest.approx(0.05)


def test_the_bound_of_a_computed_split_is_of_a_quarter_of_the_parts_not_images() -> None:
    test = escape_bound(dataset(100, {"defect": 40}, views=6))
    assert (test.held_out, test.confidence) == (10, 0.95)
    assert test.best == pytest.approx(0.2589, abs=1e-4)


def test_the_bound_of_the_sets_own_test_split() -> None:
    own = dataset(10, {"defect": 30}, Split.TRAIN)
    moved = tuple(
        Sample(s.name, s.image, s.part, s.defective, split=Split.TEST, cls=s.cls) if n >= 35 else s
        for n, s in enumerate(own.samples)
    )
    test = escape_bound(Dataset(Path("x"), "folders", moved, "said"))
    assert test.held_out == 5
    assert test.best == pytest.approx(bound(5))


def test_enough_of_everything() -> None:
    assert found(dataset(100, {"crack": 20, "dent": 20})) == []


def test_few_defective_parts_are_counted_as_parts_and_the_bound_is_said() -> None:
    ((severity, code, message),) = found(dataset(100, {"defect": 8}, views=6))
    assert (severity, code) == ("warning", "few-defective")
    assert message.startswith("only 8 defective parts: hardly anything can be said about escapes; a test of 2 of them")
    assert "up to 78 % possible (95 % confidence)" in message


def test_a_test_split_without_a_defective_part() -> None:
    whole = dataset(10, {"defect": 30}, Split.TRAIN)
    moved = tuple(
        Sample(s.name, s.image, s.part, s.defective, split=Split.TEST) if not s.defective else s for s in whole.samples
    )
    ((_, code, message),) = found(Dataset(Path("x"), "folders", moved, "said"))
    assert code == "few-defective"
    assert "30 defective parts: nothing can be said about escapes, as the set's own test split holds none" in message


def test_no_defective_part_is_a_warning_that_says_what_can_be_done() -> None:
    (problem,) = amount_problems(dataset(30, {}))
    assert (problem.severity, problem.code) == ("warning", "no-defective")
    assert "--good-only" in problem.suggestion
    assert escape_bound(dataset(30, {})).best is None


@pytest.mark.parametrize(("good", "defective", "said"), [
    (2000, 20, "2000 good parts for 20 defective ones"), (1, 100, "100 defective parts for 1 good one"),
])  # fmt: skip
def test_extreme_imbalance_of_good_and_defective_parts(good: int, defective: int, said: str) -> None:
    assert [m for _, code, m in found(dataset(good, {"defect": defective})) if code == "imbalance"] == [said]
    assert found(dataset(good * 2, {"defect": 40})) == [] or good == 2000


def test_extreme_imbalance_of_classes_and_classes_of_hardly_any_part() -> None:
    problems = list(amount_problems(dataset(100, {"crack": 600, "dent": 6, "stain": 4})))
    assert [(p.code, p.message.split(":")[0]) for p in problems] == [
        ("imbalance", "class dent has 6 parts, crack has 600"),
        ("few-of-class", "class stain has 4 parts"),
    ]
    assert problems[1].files == ("00706_0.png", "00707_0.png", "00708_0.png", "00709_0.png")

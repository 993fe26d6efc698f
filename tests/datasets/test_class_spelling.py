"""Classes that are perhaps one."""

from pathlib import Path

import pytest

from onspec.datasets.class_spelling import spelling_problems
from onspec.datasets.problem import Problem
from onspec.domain import Box, Sample


def found(*classes: str) -> list[Problem]:
    """Of images with one box each, of these classes."""
    samples = [
        Sample(f"{n:02d}.png", Path("x"), str(n), defective=True, annotations=(Box(0, 0, 9, 9, cls),))
        for n, cls in enumerate(classes)
    ]
    return list(spelling_problems(samples))


@pytest.mark.parametrize(
    ("other", "how"),
    [
        ("Scratch", "in case, blanks or signs alone"),
        ("SCRATCH ", "in case, blanks or signs alone"),
        ("scrach", "by one letter"),
        ("scratchs", "by one letter"),
        ("scartch", "by one letter"),
    ],
)
def test_a_slip_is_told_with_the_file_of_the_rarer_class(other: str, how: str) -> None:
    (problem,) = found("scratch", other, "scratch", "dent")
    assert (problem.severity, problem.code, problem.file) == ("warning", "classes-alike", "01.png")
    assert problem.message == f"classes scratch (2 images) and {other} (1 image: 01.png) differ {how}"
    assert "call it scratch everywhere" in problem.suggestion


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("type_a", "type_b"),
        ("class1", "class2"),
        ("spot", "spit"),
        ("dent", "bent"),
        ("hole left", "hole right"),
        ("pin-hole", "pin-hole 2"),
        ("short", "spur"),
        ("MT_Break", "MT_Crack"),
    ],
)
def test_names_that_mean_different_things(one: str, other: str) -> None:
    assert found(one, other) == []


def test_signs_between_words_do_not_matter_and_long_words_may_differ_by_two_letters() -> None:
    assert found("pin-hole", "Pin hole")[0].message.endswith("differ in case, blanks or signs alone")
    assert found("pinhole", "pin_hole")[0].message.endswith("differ in case, blanks or signs alone")
    assert found("contamination", "contaminatoin")[0].message.endswith("differ by one letter")
    assert found("contamination", "kontaminatien")[0].message.endswith("differ by two letters")


def test_several_slips_of_one_class_are_told_against_the_most_frequent_spelling() -> None:
    problems = found(*["scratch"] * 3, "Scratch", "scrach")
    assert [p.file for p in problems] == ["03.png", "04.png"]
    assert all(p.message.startswith("classes scratch (3 images)") for p in problems)

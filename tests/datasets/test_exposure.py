"""Which images stand out by their light."""

import numpy as np
import pytest

from onspec.datasets.exposure import exposure_problems
from onspec.datasets.look import Look
from onspec.datasets.problem import Problem


def looks(count: int = 100, spread: float = 0.02) -> dict[str, Look]:
    rng = np.random.default_rng(0)
    return {
        f"{n:03d}.png": Look(None, 0.5 * np.exp(rng.normal(0, spread)), 0.3 * np.exp(rng.normal(0, spread)), 0.0, 0.0)
        for n in range(count)
    }


def found(given: dict[str, Look]) -> list[Problem]:
    return list(exposure_problems(given))


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.1, 0.3])
def test_an_ordinary_set_has_no_outlier(spread: float) -> None:
    assert found(looks(1000, spread)) == []


@pytest.mark.parametrize(
    ("look", "told"),
    [
        (
            Look(None, 0.2, 0.3, 0, 0),
            "is far darker than the rest: its mean level is 20 % of the range, typical are 48 %",
        ),
        (Look(None, 0.9, 0.3, 0, 0), "is far brighter than the rest: its mean level is 90 % of the range"),
        (
            Look(None, 0.5, 0.05, 0, 0),
            "is far flatter than the rest: its contrast is 5.0 % of the range, typical are 29 %",
        ),
        (Look(None, 0.5, 0.9, 0, 0), "is far richer in contrast than the rest"),
        (Look(None, 0.5, 0.3, 0, 0.2), "is cut off at full white far more than the rest: 20 % of its pixels are white"),
        (Look(None, 0.5, 0.3, 0.2, 0), "is cut off at full black far more than the rest: 20 % of its pixels are black"),
    ],
)
def test_one_image_that_stands_out_is_named_with_its_figure(look: Look, told: str) -> None:
    (problem,) = found(looks() | {"050.png": look})
    assert (problem.severity, problem.code, problem.file) == ("warning", "exposure", "050.png")
    assert problem.message.startswith(f"050.png {told}")


def test_what_is_usual_in_a_set_is_no_outlier() -> None:
    """Silhouettes are half black and half white."""
    assert found({f"{n}": Look(None, 0.5, 1.0, 0.4 + n / 500, 0.5) for n in range(100)}) == []


def test_a_group_of_another_light_is_said_once() -> None:
    dark = {f"{n:03d}.png": Look(None, 0.1, 0.3, 0, 0) for n in range(20, 40)}
    (problem,) = found(looks() | dark)
    assert problem.message.startswith("20 of 100 images are far darker than the rest; of the first, 020.png,")
    assert problem.files == tuple(dark)


def test_an_image_is_named_once() -> None:
    (problem,) = found(looks() | {"000.png": Look(None, 0.99, 0.01, 0.0, 0.99)})
    assert "far brighter" in problem.message


def test_a_handful_of_images_has_nothing_usual() -> None:
    assert found(looks(5) | {"000.png": Look(None, 0.01, 0.3, 0, 0)}) == []

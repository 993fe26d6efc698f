"""A run's progress rises from 0 to 1 whatever the machine does, and fits the time that is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.training.schedule import Pace, Schedule, learning_rate, two_digits


def test_progress_is_linear_in_the_steps() -> None:
    schedule = Schedule(200)
    assert [schedule.progress(s) for s in (0, 50, 200, 300)] == [0.0, 0.25, 1.0, 1.0]


def test_a_machine_that_keeps_its_speed_keeps_the_plan() -> None:
    schedule = Schedule(1000)
    assert not schedule.fit(500, seconds_left=500 * 0.11, seconds_a_step=0.1)
    assert schedule == Schedule(1000)


@pytest.mark.parametrize(("seconds_a_step", "steps"), [(0.4, 350), (0.05, 2450)])
def test_another_speed_is_planned_for(seconds_a_step: float, steps: int) -> None:
    schedule = Schedule(1000)
    assert schedule.fit(250, seconds_left=42.0 if seconds_a_step == 0.4 else 112.0, seconds_a_step=seconds_a_step)
    assert schedule.steps == steps
    assert schedule.progress(250) == pytest.approx(0.25)
    assert schedule.progress(steps) == 1.0


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(1e-3, 1.0), st.floats(0.1, 500.0)), max_size=20))
def test_progress_never_falls(events: list[tuple[int, float, float]]) -> None:
    schedule, step, last = Schedule(300), 0, 0.0
    for steps, pace, left in events:
        step += steps
        schedule.fit(step, left, pace)
        assert last <= schedule.progress(step) <= 1.0
        last = schedule.progress(step)


def test_the_rate_rises_then_falls() -> None:
    rates = [learning_rate(1.0, p / 100) for p in range(101)]
    top = rates.index(max(rates))
    assert top == 5
    assert rates[:6] == sorted(rates[:6])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)


@pytest.mark.parametrize(("value", "kept"), [(0.3, 1), (7.9, 7), (96.5, 96), (1234.0, 1200), (98765.0, 98000)])
def test_two_digits_are_kept(value: float, kept: int) -> None:
    assert two_digits(value) == kept


def test_a_pace_needs_steps_and_time() -> None:
    pace = Pace(10.0, 100)
    assert not pace.known(40.0, 110, 300.0)
    assert not pace.known(20.0, 150, 300.0)
    assert pace.known(40.0, 150, 300.0)
    assert pace.seconds_a_step(40.0, 150) == pytest.approx(0.6)

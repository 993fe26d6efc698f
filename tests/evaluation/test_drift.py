"""Drift: figures that can be reckoned by hand, rates of false alarms by simulation, and a second opinion by scipy."""

import itertools
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal, stats

from onspec.domain import Inspection, UsageError
from onspec.domain.look import STEPS, Look, Reference
from onspec.evaluation import drift_chance as chance
from onspec.evaluation.drift import (
    FIGURES,
    LEAST_IMAGES,
    LEAST_INDEPENDENT,
    Seen,
    Standard,
    WindowDrift,
    assess,
    stability,
    values_of,
)
from onspec.evaluation.drift_windows import Naming, assess_windows, by_count, by_hours, by_shift
from onspec.evaluation.drift_words import lacks, measure_table, rate_table, sentences, summary, trend_table

Values = NDArray[np.float64]
ORDERS = np.linspace(0, 1, STEPS + 1)


def known(values: Values) -> Values:
    """What a recipe keeps of them."""
    return np.quantile(values, ORDERS)


def reference(rng: np.random.Generator, images: int = 300) -> Reference:
    """Training with brightness, sharpness and scores that vary a little."""
    looks = {
        "brightness": tuple(known(rng.normal(0.45, 0.03, images)).tolist()),
        "sharpness": tuple(known(rng.normal(0.30, 0.02, images)).tolist()),
        "black": (0.0,) * (STEPS + 1),
    }
    scores = tuple(known(rng.beta(2, 60, images)).tolist())
    return Reference(images=images, looks=looks, scored=images, scores=scores)


def parts(
    rng: np.random.Generator, count: int, *, darker: float = 1.0, defective: float = 0.02, score: float = 0.0
) -> list[Seen]:
    """What came down the line: as in training, but for what is said."""
    seen = []
    for at in range(count):
        bad = bool(rng.random() < defective)
        values: dict[str, float | None] = dict.fromkeys(FIGURES)
        values["brightness"] = float(rng.normal(0.45, 0.03)) * darker
        values["sharpness"] = float(rng.normal(0.30, 0.02))
        values["black"] = 0.0
        given_score = float(rng.uniform(0.6, 1)) if bad else min(1.0, float(rng.beta(2, 60)) + score)
        verdict = "NG" if given_score >= 0.5 else "OK"
        seen.append(Seen(1e9 + at, verdict, given_score, tuple(values[name] for name in FIGURES)))
    return seen


def moving(rng: np.random.Generator, count: int, memory: float, slow: float = 1.0) -> Values:
    """A process of first order with unit variance, of which `slow` is the share that remembers."""
    steps = rng.standard_normal(count) * math.sqrt(1 - memory**2)
    steps[0] = rng.standard_normal()
    values = signal.lfilter([1], [1, -memory], steps)
    return math.sqrt(slow) * np.asarray(values) + math.sqrt(1 - slow) * rng.standard_normal(count)


# Chance


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(10, 200), st.integers(10, 200), st.booleans())
def test_the_distance_by_quantiles_never_exceeds_that_by_images(seed: int, n: int, m: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    images, window = rng.standard_normal(n), rng.standard_normal(m) + rng.choice([0, 1])
    if ties:
        images, window = images.round(), window.round()
    whole = stats.ks_2samp(images, window).statistic
    got = chance.distance(window, known(images), n)
    assert 0 <= got <= whole + 1e-12
    if not ties:
        assert got >= whole - 1 / STEPS - 2 / n - 1e-9  # and misses little of it


def test_the_distance_is_1_where_nothing_overlaps() -> None:
    assert chance.distance(np.arange(5.0) - 10, known(np.arange(70.0)), 70) == 1
    assert chance.distance(np.arange(5.0) + 90, known(np.arange(70.0)), 70) == 1
    assert chance.distance(np.full(40, 0.1), np.zeros(STEPS + 1), 30) == 1
    assert chance.distance(np.zeros(40), np.zeros(STEPS + 1), 30) == 0


@pytest.mark.parametrize(("n", "m"), [(10, 30), (12, 500), (30, 30), (50, 77), (100, 200), (333, 97)])
def test_kolmogorov_errs_to_the_safe_side(n: int, m: int) -> None:
    """Against scipy's exact distribution, at distances that two such samples can have."""
    rng = np.random.default_rng(n)
    for shift in (0.3, 0.6, 0.9, 1.2):
        a, b = rng.standard_normal(n), rng.standard_normal(m) + shift
        exact = stats.ks_2samp(a, b, method="exact")
        p = chance.kolmogorov(exact.statistic, n, m)
        if exact.pvalue <= 0.05:
            assert exact.pvalue <= p <= 200 * exact.pvalue + 1e-9
    assert chance.kolmogorov(0, n, m) == 1


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 100, 1000])
@pytest.mark.parametrize("m", [30, 200])
def test_alarms_without_change_are_no_more_than_stated(n: int, m: int) -> None:
    """Finite references, of which only 65 quantiles are known: 2,000 of them with a window each."""
    rng, runs = np.random.default_rng(n + m), 2000
    ps = [
        chance.kolmogorov(chance.distance(rng.standard_normal(m), known(rng.standard_normal(n)), n), n, m)
        for _ in range(runs)
    ]
    for level in (0.1, 0.01):
        most = stats.binom.ppf(0.999, runs, level)
        assert sum(p <= level for p in ps) <= most


@pytest.mark.parametrize(
    ("memory", "slow"), [(0.0, 1.0), (0.5, 1.0), (0.9, 1.0), (0.97, 1.0), (0.995, 1.0), (0.97, 0.5), (0.99, 0.3)]
)
def test_images_that_remember_raise_no_more_alarms(memory: float, slow: float) -> None:
    """Light that drifts slowly, plain or under noise; the plain test would call out half of these windows."""
    rng, runs, n, m = np.random.default_rng(int(memory * 1000)), 250, 300, 300
    alarms = plain = 0
    for _ in range(runs):
        quantiles, line = known(rng.standard_normal(n)), moving(rng, 8 * m, memory, slow)
        past, window = line[:-m], line[-m:]
        worth, d = chance.independent(window, past), chance.distance(window, quantiles, n)
        alarms += worth >= LEAST_INDEPENDENT and chance.kolmogorov(d, worth, n) <= 0.01
        plain += chance.kolmogorov(d, m, n) <= 0.01
    assert alarms <= stats.binom.ppf(0.999, runs, 0.01)
    if memory >= 0.9:
        assert plain > 5 * runs * 0.01


def test_what_goes_one_way_is_no_memory() -> None:
    """A lamp that ages by a standard deviation within ten windows stays visible."""
    rng, n, m = np.random.default_rng(4), 300, 300
    for _ in range(20):
        quantiles, line = known(rng.standard_normal(n)), rng.standard_normal(11 * m) - np.linspace(0, 1, 11 * m)
        worth = chance.independent(line[-m:], line[:-m])
        assert worth > m / 4
        assert chance.kolmogorov(chance.distance(line[-m:], quantiles, n), worth, n) < 1e-4


def test_what_images_are_worth() -> None:
    rng = np.random.default_rng(3)
    fresh = [chance.independent(rng.standard_normal(400)) for _ in range(50)]
    assert 300 < np.mean(fresh) <= 400
    slow = [chance.independent(moving(rng, 400, 0.9)) for _ in range(50)]
    assert 10 < np.mean(slow) < 400 * 0.1 / 1.9  # of an infinite series
    assert chance.independent(np.arange(400.0)) < LEAST_INDEPENDENT
    assert chance.independent(np.zeros(400)) == 400
    assert chance.independent([1.0, 2.0]) == 2


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(1, 300), st.data())
def test_shares_are_compared_exactly(of: int, of_before: int, data: st.DataObject) -> None:
    found = data.draw(st.integers(0, of))
    before = data.draw(st.integers(0, of_before))
    table = [[found, of - found], [before, of_before - before]]
    sides = [stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    assert chance.as_rare(found, of, before, of_before) == pytest.approx(min(1, 2 * min(sides)), rel=1e-6, abs=1e-12)


def test_holm_is_holm() -> None:
    assert chance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert chance.holm([0.9, 0.8]) == [1.0, 1.0]
    assert chance.holm([]) == []


def test_psi_without_change_is_what_is_expected() -> None:
    rng, n, m = np.random.default_rng(5), 300, 200
    found = [stability(rng.standard_normal(m), known(rng.standard_normal(n)), n) for _ in range(1000)]
    assert {bins for _, bins in found} == {8}
    assert np.mean([psi for psi, _ in found]) == pytest.approx(7 * (1 / n + 1 / m), rel=0.1)


def test_psi_by_hand() -> None:
    """Eighths of the training are 0…1, 1…2, …; half of the window lies in the first, half in the last."""
    quantiles = np.linspace(0, 8, STEPS + 1)
    window = np.array([0.5] * 40 + [7.5] * 40)
    a, e = np.array([40.5] * 2 + [0.5] * 6) / 84, np.full(8, 1 / 8)
    assert stability(window, quantiles, 10_000)[0] == pytest.approx(float(np.sum((a - e) * np.log(a / e))), rel=1e-3)
    psi, bins = stability(np.full(50, 0.2), np.zeros(STEPS + 1), 50)  # one value in training, another now
    assert bins == 2
    assert psi > 5


# Windows


@pytest.mark.slow
def test_no_change_is_no_alarm() -> None:
    rng = np.random.default_rng(8)
    found = [assess(parts(rng, 300), reference(rng), parts(rng, 600), 0.5) for _ in range(100)]
    assert [window.alarms for window in found if window.alarms] == []
    assert {window.state for window in found} == {"ok"}
    assert {m.measure for m in found[0].measures} == {"brightness", "sharpness", "black", "scores"}
    assert summary(found[0]) == "no drift"


def test_darker_images_are_an_alarm_in_words() -> None:
    rng = np.random.default_rng(9)
    found = assess(parts(rng, 300, darker=0.8), reference(rng), (), 0.5)
    assert found.alarms == ("brightness",)
    assert found.state == "alarm"
    [sentence] = sentences(found)
    assert sentence.startswith("images have become darker: mean level 0.3")
    assert "training 0.4" in sentence
    assert "p < 1e-6: check the lamp" in sentence
    assert summary(found) == "alarm: mean level"
    brightness = found.measures[0]
    assert brightness.sense == "down"
    assert brightness.outside > 0.1
    row = measure_table(found).rows[0]
    assert (row[0], row[-1]) == ("mean level", "alarm")
    assert WindowDrift.model_validate_json(found.model_dump_json()) == found


def test_more_defective_parts_are_no_drift_of_scores() -> None:
    """They are the process' affair: the shares of verdicts tell of them, the images and scores do not."""
    rng = np.random.default_rng(10)
    found = assess(parts(rng, 400, defective=0.2), reference(rng), parts(rng, 2000), 0.5)
    assert found.alarms == ("NG",)
    [sentence] = sentences(found)
    assert sentence.startswith("more parts are NG: ")
    assert rate_table(found).rows[0][-1] == "alarm"
    none = assess(parts(rng, 400, defective=0), reference(rng), parts(rng, 2000, defective=0.07), 0.5)
    assert none.alarms == ("NG",)  # a camera that sees no defect any more
    assert sentences(none)[0].startswith("fewer parts are NG: 0 %, before ")


def test_scores_that_rise_are_an_alarm() -> None:
    rng = np.random.default_rng(11)
    found = assess(parts(rng, 300, score=0.06), reference(rng), (), 0.5)
    assert found.alarms == ("scores",)
    assert sentences(found)[0].startswith("parts judged OK score higher: median 0.08")


def test_good_parts_that_were_rejected_are_no_drift_of_scores() -> None:
    """A tenth of the held-out good ones scores over the threshold; of a window only those judged OK are looked at."""
    rng = np.random.default_rng(12)

    def scores(count: int) -> Values:
        return np.where(rng.random(count) < 0.1, rng.uniform(0.5, 1, count), rng.beta(2, 60, count))

    good = Reference(images=400, looks={}, scored=400, scores=tuple(known(scores(400)).tolist()))
    window = [Seen(0, "OK" if score < 0.5 else "NG", float(score), None) for score in scores(4000)]
    [seen] = assess(window, good, (), 0.5).measures
    assert len(values_of(window, "scores")) < 3700
    assert not seen.alarm
    assert seen.p > 0.01


def test_a_trifle_is_no_alarm_however_sure_it_is() -> None:
    rng = np.random.default_rng(13)
    still = Reference(images=500, looks={"brightness": tuple(known(rng.normal(0.45, 0.0005, 500)).tolist())})
    window = [
        Seen(0, "OK", 0.1, (value, *[None] * (len(FIGURES) - 1))) for value in rng.normal(0.4525, 0.0005, 2000).tolist()
    ]
    [seen] = assess(window, still).measures
    assert seen.p < 1e-9
    assert seen.psi > 1
    assert not seen.alarm  # half a gray step of 8 bits


def test_what_cannot_be_judged_says_why() -> None:
    rng = np.random.default_rng(14)
    few = assess(parts(rng, LEAST_IMAGES - 1), reference(rng))
    assert few.state == "not yet"
    assert few.lacking["brightness"] == f"29 images have it; {LEAST_IMAGES} are needed"
    assert summary(few).startswith("not yet: 29 images")
    small = assess(parts(rng, 100), reference(rng, 6))
    assert small.lacking["sharpness"] == "the recipe knows it of 6 images; 10 are needed"
    slow = [
        Seen(0, "OK", 0.1, (value, *[None] * (len(FIGURES) - 1)))
        for value in (0.45 + 0.03 * moving(rng, 300, 0.995)).tolist()
    ]
    lack = assess(slow, reference(rng)).lacking["brightness"]
    assert "300 images in a row are so alike" in lack
    assert lacks(assess(slow, reference(rng)))[0].startswith("mean level cannot be judged: 300 images")
    assert assess(parts(rng, 100), None).state == "no reference"
    assert assess([], reference(rng)).state == "not yet"
    assert assess([], None).since is None


def test_images_that_could_not_be_judged_count_as_they_look() -> None:
    look = Look(brightness=0.1, contrast=0.2, black=0.5, white=0, sharpness=0.3)
    inspection = Inspection(
        image="a.png", verdict="ERROR", recipe="a@sha256:0", engine="e", error="not inspectable", look=look
    )
    seen = Seen.of(inspection, 5.0)
    assert seen == Seen(5.0, "ERROR", None, (0.1, 0.2, 0.5, 0.0, 0.3, None, None))
    assert values_of([seen], "brightness").tolist() == [0.1]
    assert values_of([seen], "tint").size == values_of([seen], "scores").size == 0


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"rate": 1}, {"rate": math.nan}, {"least_psi": -1}])
def test_a_standard_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Standard(**wrong)


def test_windows_by_count_hours_and_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    import time as clock

    monkeypatch.setenv("TZ", "Europe/Berlin")
    clock.tzset()
    try:
        begin = datetime(2026, 11, 28, 3, 0, tzinfo=UTC).timestamp()  # 04:00 in Berlin: the night shift of the 27th
        seen = [Seen(begin + 600 * at, "OK", 0.1, None) for at in range(72)]

        def names(naming: Naming) -> list[tuple[str, int]]:
            told = [naming(at, one) for at, one in enumerate(seen)]
            groups = [list(group) for _, group in itertools.groupby(told, key=lambda window: window[0])]
            return [(group[0][1], len(group)) for group in groups]

        shifts = [("2026-11-27 22:00", 12), ("2026-11-28 06:00", 48), ("2026-11-28 14:00", 12)]
        assert names(by_shift("06:00,14:00,22:00")) == shifts
        assert names(by_hours(8)) == [("2026-11-28 00:00Z", 30), ("2026-11-28 08:00Z", 42)]
        assert names(by_count(50)) == [("2026-11-28 03:00:00Z", 50), ("2026-11-28 11:20:00Z", 22)]
    finally:
        monkeypatch.undo()
        clock.tzset()
    assert by_count(50)(50, Seen(math.nan, "OK", 0.1, None)) == (1, "from image 51")
    for wrong in ("25:00", "6", "", "06:00;14:00"):
        with pytest.raises(UsageError, match="06:00,14:00,22:00"):
            by_shift(wrong)
    with pytest.raises(UsageError):
        by_hours(0)


def test_windows_know_those_before() -> None:
    rng = np.random.default_rng(15)
    line = parts(rng, 1500) + parts(rng, 300, darker=0.7, defective=0.3)
    found = list(assess_windows(line, by_count(300), reference(rng), 0.5, Standard()))
    assert len(found) == 6
    assert [window.alarms for _, window in found] == [()] * 5 + [("brightness", "NG")]
    assert found[0][1].rates == ()
    assert found[5][1].rates[0].of_before == 1500
    table = trend_table(found)
    assert len(table.rows) == 6
    assert table.rows[-1][2].endswith("!")
    assert not table.rows[0][2].endswith("!")

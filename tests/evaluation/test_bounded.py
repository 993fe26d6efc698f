"""The bounded operating points, of escapes and of false rejects: their bounds hold, whatever the scores are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.stats import binom

from onspec.domain import EvidenceError, Verdict
from onspec.evaluation.bounded import Bounded, Spared, bounded, spared
from onspec.evaluation.part_scores import PartScores, part_scores
from onspec.evaluation.results import ImageResult

scores = st.floats(0, 1, width=16)


def image(name: str, part: str, defective: bool, score: float | None) -> ImageResult:
    return ImageResult(name, part, defective, Verdict.ERROR if score is None else Verdict.NG, score)


def parts_of(good: ArrayLike, bad: ArrayLike) -> PartScores:
    return PartScores(np.sort(np.array(good, np.float64)), np.sort(np.array(bad, np.float64)))


def test_by_hand() -> None:
    """59 defective parts bound 5 % at 95 % with none missed: the threshold lies between the lowest and what is next."""
    bad = [0.4, *[0.9] * 58]
    bound = bounded(parts_of([0.1, 0.2, 0.6], bad), 0.05, 0.95)
    assert (bound.rank, bound.parts, bound.escapes, bound.false_rejects, bound.good) == (1, 59, 0, 1, 3)
    assert 0.2 < bound.image < 0.4
    assert bound.claim == "at most 5 % of defective parts escape, with 95 % confidence"


def test_a_miss_is_allowed_where_there_are_parts_enough() -> None:
    """93 parts: the threshold may lie at the second lowest, which spares the good part that scores over the lowest."""
    bound = bounded(parts_of([0.1, 0.3], [0.2, *[0.9] * 92]), 0.05, 0.95)
    assert (bound.rank, bound.escapes, bound.false_rejects) == (2, 1, 0)
    assert 0.3 < bound.image <= 0.9


def test_no_part_escapes_for_nothing() -> None:
    """The claim would allow a miss, but it would spare no good part."""
    bound = bounded(parts_of([0.1, 0.95], [0.2, *[0.9] * 92]), 0.05, 0.95)
    assert (bound.rank, bound.escapes, bound.false_rejects) == (2, 0, 1)
    assert 0.1 < bound.image <= 0.2


def test_ties_are_never_cut() -> None:
    bound = bounded(parts_of([0.5], [0.5] * 93), 0.05, 0.95)
    assert (bound.rank, bound.escapes, bound.false_rejects) == (2, 0, 1)


def test_parts_count_not_images() -> None:
    """60 images of 12 parts are 12 pieces of evidence; a part's score is its highest."""
    images = [image(f"{part}-{view}", str(part), True, 0.1 + 0.1 * view) for part in range(12) for view in range(5)]
    with pytest.raises(EvidenceError, match="12 defective parts support at best 22 %"):
        bounded(part_scores(images), 0.05, 0.95)
    assert 0.4 < bounded(part_scores([*images, image("good", "good", False, 0.4)]), 0.25, 0.95).image <= 0.5


def test_scores_of_zero_support_nothing() -> None:
    with pytest.raises(EvidenceError, match=r"2 of 59 defective parts score 0.*check their labels"):
        bounded(parts_of([0.0], [0.0, 0.0, *[0.9] * 57]), 0.05, 0.95)


def test_a_part_that_could_not_be_judged_is_left_out() -> None:
    broken = [image("x1", "x", True, 0.9), image("x2", "x", True, None)]
    whole = [image(str(i), str(i), True, 0.9) for i in range(58)]
    with pytest.raises(EvidenceError, match="58 defective parts"):
        bounded(part_scores(whole + broken), 0.05, 0.95)
    good, bad = part_scores(broken)
    assert len(good) == len(bad) == 0


def test_without_good_parts_there_is_nothing_to_reject_falsely() -> None:
    bound = bounded(parts_of([], [0.9] * 59), 0.05, 0.95)
    assert (bound.false_rejects, bound.good, bound.false_reject_bound) == (0, 0, None)


def tried(data: PartScores, rate: float, confidence: float) -> Bounded | None:
    """The bound, or `None` where it is refused."""
    try:
        return bounded(data, rate, confidence)
    except EvidenceError:
        return None


@given(
    st.lists(scores, max_size=20),
    st.lists(scores, min_size=12, max_size=60),
    st.floats(0.1, 0.6),
    st.floats(0.1, 0.6),
    st.floats(0.5, 0.95),
)
def test_a_looser_claim_never_lowers_the_threshold(
    good: list[float], bad: list[float], rate: float, other: float, confidence: float
) -> None:
    data, (tight, loose) = parts_of(good, bad), sorted([rate, other])
    strict = tried(data, tight, confidence)
    for relaxed in (tried(data, loose, confidence), tried(data, tight, confidence / 2)):
        if strict is not None:
            assert relaxed is not None
            assert relaxed.image >= strict.image
            assert relaxed.false_rejects <= strict.false_rejects


@given(st.lists(scores, max_size=20), st.lists(scores, min_size=12, max_size=60), st.floats(0.1, 0.6))
def test_no_higher_rank_would_be_allowed(good: list[float], bad: list[float], rate: float) -> None:
    bound = tried(parts_of(good, bad), rate, 0.9)
    if bound is not None:
        assert 0 < bound.image <= sorted(bad)[bound.rank - 1]
        assert bound.escapes <= bound.rank - 1
        assert bound.rank == len(bad) or binom.cdf(bound.rank, len(bad), rate) > 0.1


def true_escape_rate(threshold: float, levels: int | None) -> float:
    """P(score < threshold) for uniform scores, of which a coarse model gives only `levels` different ones."""
    return threshold if levels is None else float(np.mean((np.arange(levels) + 0.5) / levels < threshold))


@pytest.mark.slow
@pytest.mark.parametrize("levels", [None, 40])
@pytest.mark.parametrize(("rate", "confidence", "parts"), [(0.05, 0.95, 100), (0.1, 0.9, 60), (0.2, 0.8, 40)])
def test_coverage_over_a_thousand_draws(rate: float, confidence: float, parts: int, levels: int | None) -> None:
    """The bound holds at least as often as it says, within what 1,000 draws can tell (99.9 %)."""
    rng = np.random.default_rng(int(1000 * rate) + parts)
    broken = 0
    for _ in range(1000):
        bad, good = rng.random(parts), rng.random(20) * 0.3
        if levels is not None:
            bad = (np.floor(bad * levels) + 0.5) / levels
        bound = bounded(parts_of(good.tolist(), bad.tolist()), rate, confidence)
        broken += true_escape_rate(bound.image, levels) > rate
    assert broken <= binom.ppf(0.999, 1000, 1 - confidence)


def test_coverage_is_not_bought_with_idle_caution() -> None:
    """Where scores lie dense, the bound is nearly used up: it breaks about as often as it may."""
    rng, good = np.random.default_rng(1), np.linspace(0, 1, 2001).tolist()
    broken = sum(bounded(parts_of(good, rng.random(93).tolist()), 0.05, 0.95).image > 0.05 for _ in range(200))
    assert 3 <= broken <= binom.ppf(0.999, 200, 0.05)


def mirrored(scores: PartScores) -> PartScores:
    """Good and defective change places, and high and low."""
    return PartScores(np.sort(1 - scores.bad), np.sort(1 - scores.good))


def tried_to_spare(data: PartScores, rate: float, confidence: float) -> Spared | None:
    try:
        return spared(data, rate, confidence)
    except EvidenceError:
        return None


def test_spared_by_hand() -> None:
    """59 good parts bound 5 % at 95 % with none rejected: the threshold lies over the highest, under what is next."""
    bound = spared(parts_of([*[0.1] * 58, 0.6], [0.4, 0.8, 0.9]), 0.05, 0.95)
    assert (bound.rank, bound.good, bound.escapes, bound.false_rejects, bound.parts) == (1, 59, 1, 0, 3)
    assert 0.6 < bound.image <= 0.8
    assert bound.claim == "at most 5 % of good parts are rejected falsely, with 95 % confidence"
    assert bound.false_reject_bound == pytest.approx(1 - 0.05 ** (1 / 59))


def test_a_false_reject_is_allowed_where_it_catches_a_part() -> None:
    assert spared(parts_of([*[0.1] * 92, 0.6], [0.4, 0.8]), 0.05, 0.95).false_rejects == 1
    assert spared(parts_of([*[0.1] * 92, 0.6], [0.8]), 0.05, 0.95).false_rejects == 0


def test_spared_refuses_with_the_good_parts_that_it_takes() -> None:
    with pytest.raises(EvidenceError) as refused:
        spared(parts_of([0.1] * 40, [0.9]), 0.01, 0.95)
    assert str(refused.value) == (
        "The data cannot support a false-reject rate of at most 1 % with 95 % confidence: 40 good parts support at "
        "best 7.2 %; it takes 299 good parts without a false reject, 259 more"
    )


def test_good_parts_that_score_one_support_nothing() -> None:
    with pytest.raises(EvidenceError, match=r"1 of 59 good parts score 1.*check their labels"):
        spared(parts_of([*[0.1] * 58, 1.0], [1.0]), 0.05, 0.95)


@pytest.mark.parametrize("highest", [0.0, 0.1, 0.99999])
def test_without_a_defective_score_over_it_the_threshold_stays_low(highest: float) -> None:
    """Nothing says how high a defect scores, so no room is given away."""
    bound = spared(parts_of([0.0] * 58 + [highest], []), 0.05, 0.95)
    assert highest < bound.image < max(0.2, highest + 1e-5)
    assert bound.escape_bound is None
    assert "so nothing is known about them" in bound.basis("val")
    following = spared(parts_of([0.1] * 92 + [0.101], []), 0.05, 0.95)
    assert 0.1 < following.image <= 0.101


@given(st.lists(scores, min_size=1, max_size=20), st.lists(scores, min_size=12, max_size=60), st.floats(0.1, 0.6))
def test_sparing_is_the_mirror_of_catching(good: list[float], bad: list[float], rate: float) -> None:
    """The same parts upside down give the same counts."""
    data = parts_of(good, bad)
    caught, kept = tried(data, rate, 0.9), tried_to_spare(mirrored(data), rate, 0.9)
    assert (caught is None) == (kept is None)
    if caught is not None and kept is not None:
        assert kept.rank == caught.rank
        assert kept.false_rejects <= caught.rank - 1
        if (mirrored(data).bad > mirrored(data).good[-kept.rank]).any():  # else nothing says where to stop
            assert (kept.escapes, kept.false_rejects) == (caught.false_rejects, caught.escapes)


@given(
    st.lists(scores, min_size=12, max_size=60),
    st.lists(scores, max_size=20),
    st.floats(0.1, 0.6),
    st.floats(0.1, 0.6),
)
def test_a_looser_rate_never_lets_more_escape(good: list[float], bad: list[float], rate: float, other: float) -> None:
    tight, loose = sorted([rate, other])
    strict, relaxed = (tried_to_spare(parts_of(good, bad), r, 0.9) for r in (tight, loose))
    if strict is not None:
        assert relaxed is not None
        assert relaxed.escapes <= strict.escapes
        assert relaxed.false_reject_bound <= loose + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("levels", [None, 40])
@pytest.mark.parametrize(("rate", "confidence", "parts"), [(0.05, 0.95, 100), (0.2, 0.8, 40)])
def test_false_rejects_are_covered_over_a_thousand_draws(
    rate: float, confidence: float, parts: int, levels: int | None
) -> None:
    rng = np.random.default_rng(int(1000 * rate) + parts)
    good, bad = rng.random((1000, parts)), 0.7 + 0.3 * rng.random((1000, 20))
    if levels is not None:
        good = (np.floor(good * levels) + 0.5) / levels
    bounds = [spared(parts_of(g, b), rate, confidence) for g, b in zip(good, bad, strict=True)]
    broken = sum(1 - true_escape_rate(bound.image, levels) > rate for bound in bounds)
    assert broken <= binom.ppf(0.999, 1000, 1 - confidence)
    escaped = sum((bound.image - 0.7) / 0.3 > (bound.escape_bound or 0) for bound in bounds)
    assert escaped <= binom.ppf(0.999, 1000, 1 - confidence)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_threshold_without_a_bound_breaks_the_promise(rate: float) -> None:
    """The control: the highest threshold at which no more than R of the parts at hand escape fails this very test."""
    bad = np.sort(np.random.default_rng(3).random((1000, 100)), axis=1)
    naive = bad[:, int(rate * 100)]
    assert (naive > rate).sum() > binom.ppf(0.999, 1000, 0.05)

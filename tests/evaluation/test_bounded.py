"""The bounded operating point: its bound holds, whatever the scores are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from onspec.domain import EvidenceError, Verdict
from onspec.evaluation.bounded import Bounded, bounded, part_scores
from onspec.evaluation.results import ImageResult

scores = st.floats(0, 1, width=16)


def image(name: str, part: str, defective: bool, score: float | None) -> ImageResult:
    return ImageResult(name, part, defective, Verdict.ERROR if score is None else Verdict.NG, score)


def results(good: list[float], bad: list[float]) -> list[ImageResult]:
    """An image a part."""
    rows = [(False, s) for s in good] + [(True, s) for s in bad]
    return [image(str(i), str(i), defective, score) for i, (defective, score) in enumerate(rows)]


def test_by_hand() -> None:
    """59 defective parts bound 5 % at 95 % with none missed: the threshold lies between the lowest and what is next."""
    bad = [0.4, *[0.9] * 58]
    bound = bounded(results([0.1, 0.2, 0.6], bad), 0.05, 0.95)
    assert (bound.rank, bound.parts, bound.escapes, bound.false_rejects, bound.good) == (1, 59, 0, 1, 3)
    assert 0.2 < bound.image < 0.4
    assert bound.claim == "at most 5 % of defective parts escape, with 95 % confidence"


def test_a_miss_is_allowed_where_there_are_parts_enough() -> None:
    """93 parts: the threshold may lie at the second lowest, which spares the good part that scores over the lowest."""
    bound = bounded(results([0.1, 0.3], [0.2, *[0.9] * 92]), 0.05, 0.95)
    assert (bound.rank, bound.escapes, bound.false_rejects) == (2, 1, 0)
    assert 0.3 < bound.image <= 0.9


def test_no_part_escapes_for_nothing() -> None:
    """The claim would allow a miss, but it would spare no good part."""
    bound = bounded(results([0.1, 0.95], [0.2, *[0.9] * 92]), 0.05, 0.95)
    assert (bound.rank, bound.escapes, bound.false_rejects) == (2, 0, 1)
    assert 0.1 < bound.image <= 0.2


def test_ties_are_never_cut() -> None:
    bound = bounded(results([0.5], [0.5] * 93), 0.05, 0.95)
    assert (bound.rank, bound.escapes, bound.false_rejects) == (2, 0, 1)


def test_parts_count_not_images() -> None:
    """60 images of 12 parts are 12 pieces of evidence; a part's score is its highest."""
    images = [image(f"{part}-{view}", str(part), True, 0.1 + 0.1 * view) for part in range(12) for view in range(5)]
    with pytest.raises(EvidenceError, match="12 defective parts support at best 22 %"):
        bounded(images, 0.05, 0.95)
    assert 0.4 < bounded([*images, image("good", "good", False, 0.4)], 0.25, 0.95).image <= 0.5


def test_scores_of_zero_support_nothing() -> None:
    with pytest.raises(EvidenceError, match=r"2 of 59 defective parts score 0.*check their labels"):
        bounded(results([0.0], [0.0, 0.0, *[0.9] * 57]), 0.05, 0.95)


def test_a_part_that_could_not_be_judged_is_left_out() -> None:
    broken = [image("x1", "x", True, 0.9), image("x2", "x", True, None)]
    with pytest.raises(EvidenceError, match="58 defective parts"):
        bounded(results([], [0.9] * 58) + broken, 0.05, 0.95)
    good, bad = part_scores(broken)
    assert len(good) == len(bad) == 0


def test_without_good_parts_there_is_nothing_to_reject_falsely() -> None:
    bound = bounded(results([], [0.9] * 59), 0.05, 0.95)
    assert (bound.false_rejects, bound.good) == (0, 0)


def tried(data: list[ImageResult], rate: float, confidence: float) -> Bounded | None:
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
    data, (tight, loose) = results(good, bad), sorted([rate, other])
    strict = tried(data, tight, confidence)
    for relaxed in (tried(data, loose, confidence), tried(data, tight, confidence / 2)):
        if strict is not None:
            assert relaxed is not None
            assert relaxed.image >= strict.image
            assert relaxed.false_rejects <= strict.false_rejects


@given(st.lists(scores, max_size=20), st.lists(scores, min_size=12, max_size=60), st.floats(0.1, 0.6))
def test_no_higher_rank_would_be_allowed(good: list[float], bad: list[float], rate: float) -> None:
    bound = tried(results(good, bad), rate, 0.9)
    if bound is not None:
        assert 0 < bound.image <= sorted(bad)[bound.rank - 1]
        assert bound.escapes <= bound.rank - 1
        assert bound.rank == len(bad) or binom.cdf(bound.rank, len(bad), rate) > 0.1


def true_escape_rate(threshold: float, levels: int | None) -> float:
    """P(score < threshold) for uniform scores, of which a coarse model gives only `levels` different ones."""
    return threshold if levels is None else float(np.mean((np.arange(levels) + 0.5) / levels < threshold))


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
        bound = bounded(results(good.tolist(), bad.tolist()), rate, confidence)
        broken += true_escape_rate(bound.image, levels) > rate
    assert broken <= binom.ppf(0.999, 1000, 1 - confidence)


def test_coverage_is_not_bought_with_idle_caution() -> None:
    """Where scores lie dense, the bound is nearly used up: it breaks about as often as it may."""
    rng, good = np.random.default_rng(1), np.linspace(0, 1, 2001).tolist()
    broken = sum(bounded(results(good, rng.random(93).tolist()), 0.05, 0.95).image > 0.05 for _ in range(200))
    assert 3 <= broken <= binom.ppf(0.999, 200, 0.05)

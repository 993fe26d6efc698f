"""What a number of parts proves, against published and brute-force values."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from onspec.domain import EvidenceError, MissingExtraError, UsageError
from onspec.evaluation.evidence import (
    FALSE_REJECTS,
    at_most,
    best_rate,
    parts_needed,
    percent,
    rank_allowed,
    rank_for,
    rate_anywhere,
    share_of_error,
    worst_rate,
)
from onspec.evaluation.intervals import clopper_pearson

rates = st.floats(0.005, 0.6)
confidences = st.floats(0.5, 0.999)


@pytest.mark.parametrize(
    ("rate", "confidence", "parts"),
    [(0.01, 0.95, 299), (0.05, 0.95, 59), (0.1, 0.9, 22), (0.05, 0.99, 90), (0.5, 0.5, 1)],
)
def test_sample_sizes_of_the_tables(rate: float, confidence: float, parts: int) -> None:
    """Well-known sizes for one-sided tolerance limits: 59 for 95 %/95 %, 299 for 99 %/95 %, 22 for 90 %/90 %."""
    assert parts_needed(rate, confidence) == parts


def test_seventy_one_parts_bound_four_percent() -> None:
    assert best_rate(71, 0.95) == pytest.approx(0.0413, abs=5e-5)
    assert best_rate(0, 0.95) == 1.0


def test_ranks_by_hand() -> None:
    assert rank_allowed(58, 0.05, 0.95) == 0
    assert rank_allowed(59, 0.05, 0.95) == 1
    assert rank_allowed(93, 0.05, 0.95) == 2
    assert rank_allowed(92, 0.05, 0.95) == 1


@given(st.integers(0, 400), rates, confidences)
def test_rank_is_the_largest_that_holds(parts: int, rate: float, confidence: float) -> None:
    rank = rank_allowed(parts, rate, confidence)
    holds = [k for k in range(1, parts + 1) if binom.cdf(k - 1, parts, rate) <= 1 - confidence]
    assert rank == max(holds, default=0)


@given(rates, confidences)
def test_parts_needed_is_the_least_number(rate: float, confidence: float) -> None:
    needed = parts_needed(rate, confidence)
    assert rank_allowed(needed, rate * (1 + 1e-6), confidence) >= 1
    assert needed == 1 or rank_allowed(needed - 1, rate * (1 - 1e-6), confidence) == 0
    assert best_rate(needed, confidence) <= rate * (1 + 1e-6)


def test_the_refusal_says_how_many_more() -> None:
    with pytest.raises(EvidenceError) as refused:
        rank_for(71, 0.01, 0.95)
    assert str(refused.value) == (
        "The data cannot support an escape rate of at most 1 % with 95 % confidence: 71 defective parts support at "
        "best 4.1 %; it takes 299 defective parts without a miss, 228 more"
    )


def test_the_refusal_without_any_part() -> None:
    with pytest.raises(EvidenceError, match="0 defective parts support nothing; it takes 59"):
        rank_for(0, 0.05, 0.95)
    with pytest.raises(EvidenceError, match="1 defective part support"):
        rank_for(1, 0.05, 0.95)


def test_what_is_refused_never_reads_as_if_it_were_supported() -> None:
    with pytest.raises(EvidenceError, match=r"at most 4.1 % .* support at best 4.13 %; .* 72 .* 1 more"):
        rank_for(71, 0.041, 0.95)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_refuses_a_rate_that_cannot_be(rate: float) -> None:
    with pytest.raises(UsageError, match="escape rate of"):
        rank_for(100, rate, 0.95)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_refuses_a_confidence_that_cannot_be(confidence: float) -> None:
    with pytest.raises(UsageError, match="confidence of"):
        rank_for(100, 0.05, confidence)


def test_without_scipy_it_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'onspec\[evaluate\]'"):
        rank_for(100, 0.05, 0.95)
    with pytest.raises(MissingExtraError, match=r"pip install 'onspec\[evaluate\]'"):
        clopper_pearson(0, 10)


def test_shares_read_as_they_were_given() -> None:
    assert [percent(share) for share in (0.01, 0.07, 0.0005, 0.999)] == ["1 %", "7 %", "0.05 %", "99.9 %"]


def test_the_refusal_names_what_is_claimed() -> None:
    with pytest.raises(
        EvidenceError, match=r"a false-reject rate .* 1 good part support .* 59 good parts without a false"
    ):
        rank_for(1, 0.05, 0.95, FALSE_REJECTS)
    with pytest.raises(UsageError, match="a false-reject rate of 2 cannot be claimed"):
        rank_for(100, 2, 0.95, FALSE_REJECTS)


def test_the_shares_of_the_error_never_exceed_it() -> None:
    assert sum(share_of_error(k) for k in range(10_000)) == pytest.approx(1, abs=2e-4)
    assert sum(share_of_error(k) for k in range(10_000)) < 1


def test_a_bound_for_any_threshold_by_hand() -> None:
    """0 of 71: half of the 5 % error, so (1 − u)^71 = 2.5 %."""
    assert rate_anywhere(0, 71, 0.95) == pytest.approx(1 - 0.025 ** (1 / 71))
    assert rate_anywhere(71, 71, 0.95) == rate_anywhere(0, 0, 0.95) == 1.0


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.5, 0.99))
def test_a_bound_for_any_threshold_is_wider_and_has_its_share(errors: int, right: int, confidence: float) -> None:
    parts = errors + right
    wide = rate_anywhere(errors, parts, confidence)
    assert worst_rate(errors, parts, confidence) <= wide <= 1
    assert rate_anywhere(errors + 1, parts + 1, confidence) >= wide
    if right and parts:
        left = (1 - confidence) / ((errors + 1) * (errors + 2))
        assert binom.cdf(errors, parts, wide) == pytest.approx(left, rel=1e-6)


@pytest.mark.parametrize("parts", [5, 40, 200])
def test_all_thresholds_at_once_are_covered(parts: int) -> None:
    """Of 1,000 draws, the worst threshold that anyone could pick breaks its bound no more often than promised; bounds
    that take each threshold for itself break far more often, so that this test can fail."""
    low = np.sort(np.random.default_rng(parts).random((1000, parts)), axis=1)  # at rank k + 1, k escape
    anywhere = np.array([rate_anywhere(k, parts, 0.9) for k in range(parts)])
    single = np.array([worst_rate(k, parts, 0.9) for k in range(parts)])
    allowed = binom.ppf(0.999, 1000, 0.1)
    assert (low > anywhere).any(axis=1).sum() <= allowed
    assert (low > single).any(axis=1).sum() > allowed


@given(st.floats(1e-6, 1))
def test_a_bound_is_never_shown_too_good(share: float) -> None:
    shown = float(at_most(share).removesuffix(" %")) / 100
    assert share * (1 - 1e-6) <= shown <= 1.1 * share


def test_bounds_as_they_are_shown() -> None:
    assert [at_most(share) for share in (0.0, 0.041001, 0.00312, 0.999, 1.0)] == [
        "0 %",
        "4.2 %",
        "0.32 %",
        "100 %",
        "100 %",
    ]

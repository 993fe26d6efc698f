"""Kappa against published worked examples."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from onspec.evaluation.kappa import Kappa, cohen, fleiss

SKIN = np.array([[0, 4, 1], [0, 8, 0], [0, 1, 5]])
"""Two dermatologists: the example of simple kappa in the SAS/STAT manual, procedure FREQ, table of skin conditions."""

_ROWS = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
    "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)

DIAGNOSES = np.array([[int(count) for count in row] for row in _ROWS.split()])
"""30 patients, 6 psychiatrists each, 5 diagnoses: Fleiss, Psychological Bulletin 76 (1971) 378, table 1."""

tables = arrays(np.int64, st.integers(2, 4).map(lambda k: (k, k)), elements=st.integers(0, 30))
ratings = arrays(np.int64, st.tuples(st.integers(2, 12), st.integers(2, 6)), elements=st.integers(0, 2))


def counted(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(parts, ratings) → (parts, 3)."""
    return np.stack([(codes == code).sum(axis=1) for code in range(3)], axis=1)


def test_cohen_with_both_standard_errors_as_sas_prints_them() -> None:
    """Kappa 0.4842, ASE 0.1380, limits 0.2137 and 0.7547; under H0 z = 3.2626."""
    kappa = cohen(SKIN)
    figures = (kappa.value, kappa.standard_error, kappa.low, kappa.high)
    assert figures == pytest.approx((0.4842, 0.1380, 0.2137, 0.7547), abs=5e-5)
    assert kappa.z == pytest.approx(3.2626, abs=5e-5)


@pytest.mark.parametrize(
    ("pair", "table", "published"),
    [
        ("A × B", [[44, 6], [3, 97]], 0.86),
        ("B × C", [[42, 5], [9, 94]], 0.79),
        ("A × C", [[43, 7], [8, 92]], 0.78),
        ("A × standard", [[45, 5], [3, 97]], 0.88),
        ("B × standard", [[45, 2], [3, 100]], 0.92),
        ("C × standard", [[42, 9], [6, 93]], 0.77),
    ],
)
def test_cohen_of_the_cross_tables_of_aiag(pair: str, table: list[list[int]], published: float) -> None:
    """AIAG, Measurement Systems Analysis, 4th ed., chapter III section C: 50 parts, 3 appraisers, 3 trials."""
    assert cohen(np.array(table)).value == pytest.approx(published, abs=0.005), pair


def test_fleiss_on_psychiatric_diagnoses() -> None:
    """Kappa is 0.430 in the paper; 0.4302445 and z = 17.65183 in R's irr, kappam.fleiss(diagnoses)."""
    kappa = fleiss(DIAGNOSES)
    assert kappa.value == pytest.approx(0.4302445, abs=5e-8)
    assert kappa.z == pytest.approx(17.65183, abs=5e-6)


def test_the_interval_of_fleiss_as_gwet_prints_it() -> None:
    """The first 15 patients in the manual of irrCAC: 0.4139265, standard error 0.08119291, interval 0.24 to 0.588."""
    kappa = fleiss(DIAGNOSES[:15])
    assert kappa.value == pytest.approx(0.4139265, abs=5e-8)
    assert kappa.standard_error == pytest.approx(0.08119291, abs=5e-9)
    assert (kappa.low, kappa.high) == pytest.approx((0.24, 0.588), abs=5e-4)


@given(tables)
def test_cohen_agrees_with_sklearn(table: NDArray[np.int64]) -> None:
    rows, columns = np.indices(table.shape)
    one, other = rows.ravel().repeat(table.ravel()), columns.ravel().repeat(table.ravel())
    kappa = cohen(table)
    if len(set(one.tolist()) | set(other.tolist())) < 2:
        assert kappa == Kappa(confidence=0.95)
    else:
        assert kappa.value == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)


@given(tables, st.randoms(use_true_random=False))
def test_cohen_does_not_care_who_is_first_or_what_categories_are_called(
    table: NDArray[np.int64], random: Random
) -> None:
    order = list(range(len(table)))
    random.shuffle(order)
    for other in (table.T, table[np.ix_(order, order)]):
        for one, two in zip(cohen(table).model_dump().values(), cohen(other).model_dump().values(), strict=True):
            assert one == pytest.approx(two, abs=1e-7)


@given(ratings)
def test_fleiss_of_two_ratings_is_scott(codes: NDArray[np.int64]) -> None:
    """With two ratings a part it is Scott's pi: Cohen's formula with the margins made alike."""
    two = codes[:, :2]
    kappa = fleiss(counted(two))
    shares = np.bincount(two.ravel(), minlength=3) / two.size
    chance = float((shares**2).sum())
    if chance == pytest.approx(1.0):
        assert kappa.value is None
    else:
        assert kappa.value == pytest.approx(((two[:, 0] == two[:, 1]).mean() - chance) / (1 - chance))


@given(ratings)
def test_the_variance_of_fleiss_is_that_of_leaving_parts_out(codes: NDArray[np.int64]) -> None:
    """The influence of a part, by slightly raising its weight, is what the linearised variance is made of."""
    counts = counted(codes)
    kappa = fleiss(counts)
    if kappa.value is None or not kappa.standard_error:
        return
    n, r = codes.shape
    same = (counts * (counts - 1)).sum(axis=1) / (r * (r - 1))

    def weighted(weights: NDArray[np.float64]) -> float:
        shares = weights @ counts / r
        return float((weights @ same - shares @ shares) / (1 - shares @ shares))

    even, step = np.full(n, 1 / n), 1e-6
    slopes = [(weighted((1 - step) * even + step * np.eye(n)[i]) - weighted(even)) / step for i in range(n)]
    expected = np.sqrt((np.array(slopes) ** 2).sum() / (n * (n - 1)))
    assert kappa.standard_error == pytest.approx(expected, rel=1e-3, abs=1e-6)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=20), st.integers(2, 5))
def test_full_agreement_is_1_and_claims_no_interval(truth: list[int], times: int) -> None:
    codes = np.array(truth)
    crossed = np.diag(np.bincount(codes, minlength=3))
    several = fleiss(counted(np.repeat(codes[:, None], times, axis=1)))
    for kappa in (cohen(crossed), several):
        if len(set(truth)) == 1:
            assert kappa == Kappa(confidence=0.95)
        else:
            assert kappa.value == pytest.approx(1.0)
            assert (kappa.standard_error, kappa.low, kappa.high) == (0.0, None, None)


@given(tables)
def test_an_interval_holds_its_kappa(table: NDArray[np.int64]) -> None:
    narrow, wide = cohen(table, 0.8), cohen(table, 0.99)
    if narrow.low is None or narrow.high is None:
        return
    assert wide.low is not None
    assert wide.high is not None
    assert narrow.value is not None
    assert -1 <= wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high <= 1


def test_one_rating_a_part_or_one_part_says_what_it_can() -> None:
    assert fleiss(np.array([[1, 0], [0, 1]])).value is None
    lone = fleiss(np.array([[2, 1]]))
    assert lone.value == pytest.approx(-0.5)
    assert (lone.standard_error, lone.low) == (None, None)
    assert fleiss(np.zeros((0, 3), np.int64)).value is None


@pytest.mark.parametrize("table", [[[1, 2, 3], [1, 2, 3]], [[1, -1], [0, 1]], [1, 2]])
def test_cohen_refuses_what_is_no_cross_table(table: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="kappa needs counts"):
        cohen(np.array(table))


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_refuses_a_confidence_that_cannot_be(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        cohen(SKIN, confidence)


def test_fleiss_refuses_parts_rated_unequally_often() -> None:
    with pytest.raises(ValueError, match="equal sums of rows"):
        fleiss(np.array([[1, 2], [1, 1]]))

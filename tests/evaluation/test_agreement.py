"""Attribute agreement against published worked examples."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from onspec.evaluation.agreement import (
    CATEGORIES,
    LIMITS,
    AgreementFigures,
    AttributeStudy,
    Level,
    analyse,
    level,
    worst,
)

OK, NG, REVIEW = range(3)


def study(verdicts: NDArray[np.int64], defective: NDArray[np.bool_]) -> AttributeStudy:
    parts, appraisers, trials = (tuple(str(i) for i in range(size)) for size in verdicts.shape)
    return AttributeStudy(parts, appraisers, trials, verdicts, defective)


def aiag() -> AttributeStudy:
    """50 parts, 16 of them defective, 3 trials, with the published errors of each appraiser of AIAG's example.

    AIAG, Measurement Systems Analysis, 4th ed., chapter III section C: right in all trials on good and defective parts
    are A 29 + 13, B 32 + 13, C 28 + 12; single misses and false alarms 3 and 5, 3 and 2, 6 and 9. Which trial was wrong
    is arranged here; the figures of one appraiser do not depend on it.
    """
    defective = np.arange(50) < 16
    verdicts = np.repeat(np.where(defective, NG, OK)[:, None], 9, axis=1).reshape(50, 3, 3)
    wrong = {0: ((1,) * 3, (1,) * 5), 1: ((1,) * 3, (1,) * 2), 2: ((2, 2, 1, 1), (2, 2, 2, 1, 1, 1))}
    for person, (misses, alarms) in wrong.items():
        for at, count in enumerate(misses):
            verdicts[at, person, :count] = OK
        for at, count in enumerate(alarms, 16):
            verdicts[at, person, :count] = NG
    return replace(study(verdicts, defective), appraisers=("A", "B", "C"))


def jasp() -> AttributeStudy:
    """15 parts, 3 operators, 3 repeats: the attribute agreement example that JASP's quality control module publishes.

    Each operator's parts as judged in the three repeats, one letter where all are alike.
    """
    judged = {
        "BL": "Y N Y YNN Y Y N N N Y N Y Y N Y",
        "EG": "Y N Y YNN Y Y Y N N Y N Y Y N Y",
        "MH": "Y Y Y Y Y Y Y NNY YNN Y YNY Y Y N Y",
    }
    codes = [
        [["YN".index(letter) ^ 1 for letter in part * (4 - len(part))][:3] for part in row.split()]
        for row in judged.values()
    ]
    defective = np.array([letter == "Y" for letter in "YNYYYNYNNYNYYYY"])
    return replace(study(np.array(codes).transpose(1, 0, 2), defective), appraisers=tuple(judged))


@pytest.fixture(scope="module")
def published() -> AgreementFigures:
    return analyse(jasp())


@pytest.mark.parametrize(
    ("name", "right", "miss", "alarm", "kappa", "levels"),
    [
        ("A", 42, 0.063, 0.049, 0.88, ("marginal", "unacceptable", "acceptable")),
        ("B", 45, 0.063, 0.020, 0.92, ("acceptable", "unacceptable", "acceptable")),
        ("C", 40, 0.125, 0.088, 0.77, ("marginal", "unacceptable", "marginal")),
    ],
)
def test_appraisers_against_the_standard_as_aiag_prints_them(
    name: str, right: int, miss: float, alarm: float, kappa: float, levels: tuple[str, ...]
) -> None:
    """84 %, 6.3 %, 4.9 %; 90 %, 6.3 %, 2.0 %; 80 %, 12.5 %, 8.8 %; kappa .88, .92, .77."""
    one = analyse(aiag()).appraisers[name]
    assert (one.effectiveness.count, one.effectiveness.of) == (right, 50)
    assert one.miss_rate.value == pytest.approx(miss, abs=6e-4)
    assert (one.miss_rate.of, one.false_alarm_rate.of) == (48, 102)
    assert one.false_alarm_rate.value == pytest.approx(alarm, abs=6e-4)
    assert one.kappa.value == pytest.approx(kappa, abs=0.005)
    assert one.levels == dict(zip(LIMITS, levels, strict=True))
    assert one.verdict is Level.UNACCEPTABLE


@pytest.mark.parametrize(
    ("name", "within", "right", "miss", "alarm", "kappa", "within_kappa"),
    [
        ("BL", (14, 0.68052, 0.99831), (11, 0.44900, 0.92213), 0.2667, 0.2000, 0.492307692307692, 0.91),
        ("EG", (14, 0.68052, 0.99831), (12, 0.51911, 0.95669), 0.1667, 0.2000, 0.612903225806452, 0.905462184873949),
        ("MH", (12, 0.51911, 0.95669), (9, 0.32287, 0.83664), 0.1000, 0.6667, 0.264150943396226, 0.543918918918919),
    ],
)
def test_appraisers_as_jasp_prints_them(
    published: AgreementFigures,
    name: str,
    within: tuple[int, float, float],
    right: tuple[int, float, float],
    miss: float,
    alarm: float,
    kappa: float,
    within_kappa: float,
) -> None:
    """Counts, exact intervals, Cohen's kappa with the standard, Fleiss' kappa of the repeats."""
    one = published.appraisers[name]
    assert one.within is not None
    for share, expected in ((one.within, within), (one.effectiveness, right)):
        assert (share.count, share.low, share.high) == pytest.approx(expected, abs=6e-6)
    assert (one.miss_rate.value, one.false_alarm_rate.value) == pytest.approx((miss, alarm), abs=5e-5)
    assert one.kappa.value == pytest.approx(kappa)
    assert one.within_kappa.value == pytest.approx(within_kappa)


def test_all_together_as_jasp_prints_them(published: AgreementFigures) -> None:
    assert published.between is not None
    for share, expected in (
        (published.between, (9, 0.32287, 0.83664)),
        (published.all_against_standard, (7, 0.21267, 0.73414)),
    ):
        assert (share.count, share.low, share.high) == pytest.approx(expected, abs=6e-6)
    assert published.between_kappa.value == pytest.approx(0.641666666666666)
    assert published.all_kappa.value == pytest.approx(0.466666666666667)


def test_pairs_are_compared_trial_by_trial() -> None:
    verdicts = np.array([[[OK, NG], [NG, OK]], [[NG, NG], [NG, NG]]])
    (pair,) = analyse(study(verdicts, np.array([False, True]))).pairs
    assert (pair.appraisers, pair.agreement.count, pair.agreement.of) == (("0", "1"), 2, 4)
    assert pair.kappa.value == pytest.approx(-1 / 3)  # 2 of 4 agree, 10 of 16 would by chance


def test_a_review_is_neither_miss_nor_false_alarm_and_never_right() -> None:
    verdicts = np.array([OK, REVIEW, NG, REVIEW]).reshape(4, 1, 1)
    one = analyse(study(verdicts, np.array([False, False, True, True]))).appraisers["0"]
    assert (one.miss_rate.count, one.false_alarm_rate.count, one.effectiveness.count, one.reviews) == (0, 0, 2, 2)
    assert one.verdict is Level.UNACCEPTABLE
    assert one.kappa.value == pytest.approx(1 / 3)  # a category of its own: 2 of 4 agree, 4 of 16 would by chance


@pytest.mark.parametrize(("truth", "figure"), [(False, "miss_rate"), (True, "false_alarm_rate")])
def test_what_is_not_defined_is_not_acceptable(truth: bool, figure: str) -> None:
    figures = analyse(study(np.full((30, 1, 2), NG if truth else OK), np.full(30, truth)))
    one = figures.appraisers["0"]
    assert one.effectiveness.value == 1
    assert (one.levels[figure], one.verdict, figures.acceptable) == (None, None, False)
    assert one.kappa.value is None
    assert (figures.between, figures.between_kappa.value, figures.pairs) == (None, None, ())
    assert any("not defined" in note for note in figures.notes)


def test_one_trial_compares_nobody_with_themselves() -> None:
    figures = analyse(study(np.array([[[OK]], [[NG]]]), np.array([False, True])))
    assert figures.appraisers["0"].within is None
    assert figures.appraisers["0"].within_kappa.value is None
    assert [note.split(",")[0] for note in figures.notes] == [
        "There is one trial",
        "There are 2 parts; AIAG's example has 50. Read the intervals.",
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("effectiveness", 45 / 50, Level.ACCEPTABLE),
        ("effectiveness", 0.899, Level.MARGINAL),
        ("effectiveness", 40 / 50, Level.MARGINAL),
        ("effectiveness", 0.799, Level.UNACCEPTABLE),
        ("miss_rate", 1 / 50, Level.ACCEPTABLE),
        ("miss_rate", 1 / 20, Level.MARGINAL),
        ("miss_rate", 0.051, Level.UNACCEPTABLE),
        ("false_alarm_rate", 1 / 20, Level.ACCEPTABLE),
        ("false_alarm_rate", 1 / 10, Level.MARGINAL),
        ("false_alarm_rate", 0.101, Level.UNACCEPTABLE),
        ("miss_rate", None, None),
    ],
)
def test_the_limits_of_aiag(name: str, value: float | None, expected: Level | None) -> None:
    assert level(name, value) is expected


def test_the_worst_level_counts() -> None:
    good, fair, poor = Level.ACCEPTABLE, Level.MARGINAL, Level.UNACCEPTABLE
    assert [worst(levels) for levels in ([good, good], [good, fair], [fair, poor], [None, poor], [None, fair])] == [
        good, fair, poor, poor, None,
    ]  # fmt: skip


shapes = st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 3))
verdicts_drawn = shapes.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(0, 2)))


@given(verdicts_drawn, st.data())
def test_order_of_parts_and_appraisers_changes_nothing(verdicts: NDArray[np.int64], data: st.DataObject) -> None:
    defective = data.draw(arrays(np.bool_, len(verdicts)))
    parts = data.draw(st.permutations(range(verdicts.shape[0])))
    people = data.draw(st.permutations(range(verdicts.shape[1])))
    one = analyse(study(verdicts, defective))
    other = analyse(replace(study(verdicts[parts][:, people], defective[parts]), appraisers=tuple(map(str, people))))
    assert {name: rounded(f) for name, f in one.appraisers.items()} == {
        name: rounded(f) for name, f in other.appraisers.items()
    }
    assert rounded(one.between_kappa) == rounded(other.between_kappa)
    assert (one.between, one.all_against_standard) == (other.between, other.all_against_standard)
    assert {frozenset(p.appraisers): (p.agreement, rounded(p.kappa)) for p in one.pairs} == {
        frozenset(p.appraisers): (p.agreement, rounded(p.kappa)) for p in other.pairs
    }


def rounded(figures: object) -> str:
    """Sums in another order differ in their last digits."""

    def walk(value: object) -> object:
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        return round(value, 7) + 0.0 if isinstance(value, float) else value

    return str(walk(figures.model_dump()))  # type: ignore[attr-defined]


@given(arrays(np.bool_, st.integers(2, 30)), st.integers(1, 3), st.integers(1, 3))
def test_who_is_always_right_is_perfect(defective: NDArray[np.bool_], people: int, trials: int) -> None:
    right = np.where(defective, NG, OK)
    figures = analyse(study(np.tile(right[:, None, None], (1, people, trials)), defective))
    both = bool(defective.any() and not defective.all())
    assert figures.acceptable == both
    for one in figures.appraisers.values():
        assert one.effectiveness.value == 1
        assert one.kappa.value == (pytest.approx(1.0) if both else None)
        assert one.within_kappa.value == (pytest.approx(1.0) if both and trials > 1 else None)
    assert figures.between_kappa.value == (pytest.approx(1.0) if both and people > 1 else None)
    assert all(pair.kappa.value == (pytest.approx(1.0) if both else None) for pair in figures.pairs)


def test_refuses_what_is_no_study() -> None:
    with pytest.raises(ValueError, match="needs verdicts"):
        AttributeStudy(("a",), ("b",), ("c",), np.zeros((1, 1, 2), np.int64), np.zeros(1, bool))
    with pytest.raises(ValueError, match=f"0…{len(CATEGORIES) - 1}; got"):
        study(np.full((1, 1, 1), 3), np.zeros(1, bool))

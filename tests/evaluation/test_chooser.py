"""The operating point that ends a training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.decision.tasks import image_scores
from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap
from onspec.evaluation.gaps import bearable_threshold, least_cost_threshold, middle
from onspec.evaluation.operating_point import Chooser
from onspec.evaluation.score_bins import EDGES

scores = st.floats(0, 1, width=16)


def part(defect: float, ground: float = 0.01, halo: float | None = None) -> tuple[Prediction, NDArray[np.uint8]]:
    """40×40 px: an 8×8 px defect of one score, a 4 px halo around it of another, on even ground; and its truth."""
    values = np.full((40, 40), ground, np.float32)
    if halo is not None:
        values[6:22, 6:22] = halo
    values[10:18, 10:18] = defect
    truth = np.zeros((1, 40, 40), np.uint8)
    truth[0, 10:18, 10:18] = 1
    return Prediction((ScoreMap(values),)), truth


def chosen(*parts: tuple[bool, Prediction, NDArray[np.uint8] | None], windows: tuple[int, ...] = (1,)) -> Chooser:
    chooser = Chooser(windows)
    for each in parts:
        chooser.add(*each)
    return chooser


def good(ground: float = 0.01) -> tuple[bool, Prediction, NDArray[np.uint8]]:
    return False, part(ground, ground)[0], np.zeros((1, 40, 40), np.uint8)


def test_pixel_threshold_of_best_dice() -> None:
    thresholds = chosen((True, *part(0.9, halo=0.6)), (True, *part(0.8, halo=0.5)), good()).choose()
    assert 0.6 < thresholds.pixel <= 0.8
    assert "best mean Dice (1.000)" in thresholds.basis


def test_pixel_threshold_agrees_with_trying_them_all() -> None:
    rng = np.random.default_rng(5)
    truth = np.zeros((1, 40, 40), np.uint8)
    truth[0, 10:25, 12:30] = 1
    images = [np.clip(rng.normal(0.35, 0.2, (40, 40)) + 0.3 * truth[0], 0, 1).astype(np.float32) for _ in range(3)]
    pixel = chosen(*[(True, Prediction((ScoreMap(v),)), truth) for v in images], good()).choose().pixel

    def dice(threshold: float) -> float:
        each = [2 * np.sum((v >= threshold) & (truth[0] > 0)) / (np.sum(v >= threshold) + truth.sum()) for v in images]
        return float(np.mean(each))

    tried = max(dice(float(edge)) for edge in EDGES[(EDGES >= 0.01) & (EDGES <= 0.99)])
    assert dice(pixel) == pytest.approx(tried)


def test_window_that_a_hot_pixel_does_not_fool() -> None:
    hot = np.full((40, 40), 0.01, np.float32)
    hot[20, 20] = 1.0
    noisy = (False, Prediction((ScoreMap(hot),)), np.zeros((1, 40, 40), np.uint8))
    thresholds = chosen((True, *part(0.9)), noisy, good(), windows=(1, 3, 5)).choose()
    assert thresholds.window > 1
    assert 0.12 < thresholds.image <= 0.9


def test_equal_windows_are_decided_by_the_gap() -> None:
    """Both windows rank perfectly; with 25 px the small defect is diluted, and the gap is narrower."""
    assert chosen((True, *part(0.9)), good(), windows=(25, 1)).choose().window == 1


def test_an_escape_is_dearer_than_false_rejects() -> None:
    faint = (True, *part(0.3))
    rejected, passed = [good(0.4) for _ in range(3)], [good() for _ in range(3)]
    thresholds = chosen((True, *part(0.95)), faint, *rejected, *passed).choose()
    assert 0.01 < thresholds.image <= 0.3
    assert "escapes: 0, false rejects: 3" in thresholds.basis
    cheap = chosen((True, *part(0.95)), faint, *rejected, *passed).choose(escape_cost=1.0)
    assert 0.4 < cheap.image <= 0.95
    assert "escapes: 1, false rejects: 0" in cheap.basis


def test_an_escape_weighs_less_where_most_good_images_would_be_rejected_for_it() -> None:
    """One defective part of twelve scores as the lowest good ones: it is not worth nine of ten good parts."""
    images = [(True, *part(0.95)) for _ in range(11)] + [(True, *part(0.2))]
    images += [good(0.3) for _ in range(9)] + [good(0.1)]
    chooser = chosen(*images)
    thresholds = chooser.choose()
    assert 0.3 < thresholds.image <= 0.95
    told = "an escape 5 times as dear as a false reject, as 20 times would reject most good ones"
    assert f"image by least cost, {told} (escapes: 1, false rejects: 0)" in thresholds.basis
    reason = chooser.doubt(thresholds)
    assert reason is not None
    assert "1 of 12 defective validation images escape, and 0 of 10 good ones are rejected" in reason


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1), st.floats(1, 100))
def test_half_of_the_good_images_pass_if_any_weight_of_an_escape_lets_them(
    images: list[tuple[bool, float]], escape_cost: float
) -> None:
    defective, score = np.array([d for d, _ in images]), np.array([s for _, s in images])
    threshold, weighed = bearable_threshold(defective, score, escape_cost)
    rejected = np.count_nonzero(score[~defective] >= threshold)
    assert 1.0 <= weighed <= escape_cost
    assert threshold == least_cost_threshold(defective, score, weighed)
    assert 2 * rejected <= np.count_nonzero(~defective) or weighed == 1.0
    if weighed < escape_cost:  # the next dearer weight in the row would not do
        dearer = least_cost_threshold(defective, score, min(escape_cost, 2 * weighed))
        assert 2 * np.count_nonzero(score[~defective] >= dearer) > np.count_nonzero(~defective)


@pytest.mark.parametrize("good_scores", [[], [0.1, 0.5], [0.5, 0.9, 0.1, 0.2]])
def test_a_threshold_that_half_of_the_good_images_pass_is_not_doubted(good_scores: list[float]) -> None:
    chooser = chosen((True, *part(0.45)), *map(good, good_scores))
    assert chooser.doubt(chooser.choose()) is None


def test_a_threshold_of_good_images_alone_is_not_doubted() -> None:
    chooser = chosen(good(1.0))  # no threshold lets it pass
    assert chooser.doubt(chooser.choose()) is None


def test_without_masks_and_without_good_images() -> None:
    chooser = chosen((True, part(0.9)[0], None))
    thresholds = chooser.choose()
    assert thresholds.pixel == 0.5
    assert 0 < thresholds.image <= 0.9
    assert "best average precision (not defined)" in thresholds.basis
    only_good = chosen(good(0.2)).choose()
    assert only_good.image > 0.2
    assert chosen(good(1.0)).choose().image <= 1.0  # no threshold can pass it; one that exists is still given


def test_refuses_to_choose_from_nothing() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        Chooser((1,)).choose()


@given(st.lists(st.tuples(st.booleans(), scores), min_size=1, max_size=30), st.floats(0.5, 50))
def test_no_other_threshold_costs_less(rows: list[tuple[bool, float]], escape_cost: float) -> None:
    truth, score = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])

    def cost(threshold: float) -> float:
        return float(escape_cost * (truth & (score < threshold)).sum() + (~truth & (score >= threshold)).sum())

    threshold = least_cost_threshold(truth, score, escape_cost)
    assert 0 < threshold <= 1
    tried = [*score[score > 0].tolist(), 1.0, 1e-9]
    assert cost(threshold) <= min(cost(t) for t in tried) + 1e-9


@given(scores, scores)
def test_the_middle_lies_in_its_gap(a: float, b: float) -> None:
    low, high = sorted([a, b])
    if low == high:
        with pytest.raises(ValueError, match="low < high"):
            middle(low, high)
    else:
        assert low < middle(low, high) <= high


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.01, 0.99, 0.5), (0.0, 0.5, 0.0099), (1e-9, 1e-8, 5.5e-9), (0.9, 1.0, 0.997), (0.99999, 1.0, 0.999995)],
)
def test_middles_by_hand(low: float, high: float, expected: float) -> None:
    assert middle(low, high) == pytest.approx(expected, rel=0.01 if expected < 0.5 else 0.001)


def test_the_order_of_images_does_not_matter() -> None:
    images = [(True, *part(0.9, halo=0.4)), good(0.2), (True, *part(0.5)), good(0.6), (True, *part(0.7, halo=0.65))]
    assert chosen(*images, windows=(1, 3)).choose() == chosen(*images[::-1], windows=(1, 3)).choose()


def test_the_scores_of_the_images_as_the_thresholds_read_them() -> None:
    chooser = chosen((True, *part(0.9)), good(0.02), (True, *part(0.7)), windows=(1, 25))
    for window in (1, 25):
        seen = chooser.scores(Thresholds(window=window))
        images = (part(0.9), part(0.02, 0.02), part(0.7))
        assert [s.image for s in seen] == [image_scores(p, Thresholds(window=window)).image for p, _ in images]
    with pytest.raises(ValueError, match="was not among the candidates"):
        chooser.scores(Thresholds(window=3))

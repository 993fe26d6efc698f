"""The report's diagrams of scores and of training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onspec.evaluation.drawing import (
    DEFECTIVE,
    GOOD,
    HIGH,
    LOW,
    MARK,
    PALE,
    OverScores,
    Scores,
    figure_of,
    logit_of,
    over_scores,
    plain,
    score_axis,
    svg,
)
from onspec.evaluation.ranking import precision_recall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUALITY = {
    "dice_train": ("Dice, training", PALE),
    "recall_train": ("recall, training", PALE),
    "accuracy_train": ("accuracy, training", PALE),
    "val_dice": ("Dice, validation", GOOD),
    "val_map_50": ("box AP at IoU 0.5, validation", GOOD),
    "val_accuracy": ("accuracy, validation", GOOD),
    "val_map_50_95": ("box AP at IoU 0.5 to 0.95, validation", DEFECTIVE),
    "val_ap": ("image AP, validation", DEFECTIVE),
}
"""Figure in a run's curves.jsonl → its name and colour; a task has some of them."""

BARS = np.linspace(LOW, HIGH, 57)
"""Where the bars of the scores' histogram begin and end; every score lies in one."""


def learning_curves(rows: Sequence[Mapping[str, Any]]) -> tuple[bytes, bytes]:
    """Loss, and the figures of the task, over the steps, from the lines of a run's curves.jsonl.

    Raises:
        MissingExtraError: matplotlib is not installed; so for every diagram.
    """
    loss, quality = figure_of(4.4, 3.0), figure_of(4.4, 3.0)
    _lines(loss, rows, {"loss": ("loss, training", GOOD)}).set_ylim(bottom=0)
    _lines(quality, rows, _QUALITY).set_ylim(-0.01, 1.03)
    return svg(loss), svg(quality)


def score_histogram(good: Scores, defective: Scores, threshold: float) -> OverScores:
    """How many good and defective images have which score, a panel for each kind that there is, with the threshold.

    The axis is logit-like, log(s / (1 − s)), so that 0.99 and 0.9999 are apart, as they are for the network.
    """
    kinds = [(good, GOOD, "good"), (defective, DEFECTIVE, "defective")]
    kinds = [kind for kind in kinds if len(kind[0])] or kinds
    figure = figure_of(9.0, 0.6 + 1.5 * len(kinds))
    panels = np.atleast_1d(figure.subplots(len(kinds), 1, sharex=True))
    for axes, (scores, colour, truth) in zip(panels, kinds, strict=True):
        axes.hist(logit_of(scores), bins=BARS.tolist(), color=colour)
        axes.axvline(float(logit_of(threshold)), color=MARK, linewidth=1.3)
        axes.set_ylabel("images")
        axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
        axes.text(
            0.012, 0.93, f"{truth} ({len(scores)})", transform=axes.transAxes, va="top", weight="bold", color=colour
        )
        axes.set_ylim(0, max(1.0, axes.get_ylim()[1]) * 1.15)
        plain(axes)
    low, high = float(logit_of(threshold)) < 0, f"threshold {threshold:.4g}"
    panels[0].annotate(
        high, (float(logit_of(threshold)), 0.93), xycoords=("data", "axes fraction"), xytext=(5 if low else -5, 0),
        textcoords="offset points", ha="left" if low else "right", va="top", color=MARK,
    )  # fmt: skip
    score_axis(panels[-1], "score (from the line on: NG)")
    return over_scores(figure, panels[-1])


def precision_recall_curve(defective: NDArray[np.bool_], score: Scores, threshold: float) -> bytes | None:
    """Precision over recall of the images, the chosen threshold marked; `None` unless both kinds are there."""
    if not defective.any() or defective.all():
        return None
    precision, recall, _ = precision_recall(defective, score)
    end = int(np.argmax(recall >= 1.0 - 1e-9)) + 1  # once all are found, a lower threshold only rejects more
    precision, recall = precision[:end], recall[:end]
    figure = figure_of(4.4, 3.4)
    axes = figure.subplots()
    axes.step(np.append(0.0, recall), np.append(precision[0], precision), where="pre", color=GOOD, linewidth=1.8)
    rejected = score >= threshold
    if rejected.any():
        at = (float(rejected[defective].mean()), float(defective[rejected].mean()))
        axes.plot(*at, "o", color=DEFECTIVE, markersize=7, clip_on=False, label="at the threshold", zorder=5)
        axes.legend(frameon=False, loc="lower left")
    axes.set_xlabel("recall: share of the defective images found")
    axes.set_ylabel("precision: share of NG that is defective")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.03)
    plain(axes)
    return svg(figure)


def _lines(figure: "Figure", rows: Sequence[Mapping[str, Any]], series: Mapping[str, tuple[str, str]]) -> "Axes":
    axes = figure.subplots()
    for key, (label, colour) in series.items():
        points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
        if points:
            steps, values = zip(*points, strict=True)
            marker = "o" if key.startswith("val") else None
            axes.plot(steps, values, label=label, color=colour, marker=marker, markersize=3.5, linewidth=1.5)
    axes.set_xlabel("training step")
    if axes.lines:
        axes.legend(frameon=False)
    plain(axes)
    return axes

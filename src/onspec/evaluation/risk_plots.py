"""The report's diagrams of what errors cost and of how far scores are probabilities."""

import numpy as np
from numpy.typing import NDArray

from onspec.evaluation.drawing import (
    DEFECTIVE,
    GOOD,
    MARK,
    PALE,
    OverScores,
    figure_of,
    logit_of,
    over_scores,
    plain,
    score_axis,
    svg,
)
from onspec.evaluation.metrics import CalibrationFigures, CostFigures
from onspec.evaluation.what_if import Tally

Floats = NDArray[np.float64]


def cost_over_threshold(
    borders: Floats, of_escapes: Floats, of_rejects: Floats, own: float, costs: CostFigures
) -> OverScores:
    """Expected cost of a part over the image threshold, and what of it escapes and false rejects cost.

    Args:
        borders: rising scores, up to each of which the costs are those of its place.
        own: the recipe's threshold.
    """
    figure = figure_of(9.0, 3.0)
    axes = figure.subplots()
    x = logit_of(np.append(0.0, borders))
    lines = [
        ("together", of_escapes + of_rejects, GOOD, 3.2),
        ("escapes", of_escapes, DEFECTIVE, 1.3),
        ("false rejects", of_rejects, PALE, 1.3),
    ]
    for label, cost, colour, width in lines:
        axes.step(x, np.append(cost[0], cost), where="pre", color=colour, linewidth=width, label=label)
    axes.axvline(float(logit_of(own)), color=MARK, linewidth=1.3, label=f"threshold {own:.4g}")
    if costs.least_threshold is not None and costs.least_threshold != own:
        at = float(logit_of(costs.least_threshold))
        axes.axvline(at, color=MARK, linewidth=1.0, linestyle=":", label=f"least cost, {costs.least_threshold:.4g}")
    blind = min(costs.all_ok or 0.0, costs.all_ng or 0.0)
    axes.axhline(blind, color=MARK, linewidth=0.8, linestyle="--", label="best without inspection")
    axes.set_ylabel("expected cost a part")
    axes.set_ylim(0, 1.7 * max(blind, costs.at_threshold or 0.0))
    axes.legend(frameon=False, loc="upper center", ncols=6, fontsize=8.5, bbox_to_anchor=(0.5, 1.17))
    score_axis(axes, "image threshold")
    plain(axes)
    return over_scores(figure, axes)


def normalised_cost(counted: Tally, image: int, review: int, costs: CostFigures) -> bytes:
    """The cost curve of Drummond & Holte (Machine Learning 65, 2006, 95): cost over how much escapes weigh.

    x is the weight of defective parts, p·E / (p·E + (1 − p)·F), and y the expected cost as a share of what it would be
    if every verdict were wrong. A threshold is a straight line from its false-reject rate to its escape rate.
    """
    x = np.linspace(0.0, 1.0, 201)
    escapes, rejects = counted.escapes / counted.defective, counted.false_rejects / counted.good
    every = x[None, :] * escapes[:, None] + (1 - x)[None, :] * rejects[:, None]
    figure = figure_of(4.4, 3.4)
    axes = figure.subplots()
    axes.plot(x, np.minimum(x, 1 - x), color=PALE, linewidth=1.1, linestyle="--", label="without inspection")
    axes.plot(x, every.min(axis=0), color=GOOD, linewidth=2.0, label="best threshold for each weight")
    axes.plot(x, x * escapes[review] + (1 - x) * rejects[image], color=DEFECTIVE, linewidth=1.5, label="this threshold")
    share = costs.defect_share or 0.0
    weight = share * costs.escape_cost
    axes.axvline(
        weight / (weight + (1 - share) * costs.false_reject_cost), color=MARK, linewidth=1.1, label="costs as given"
    )
    axes.set_xlabel("weight of escapes, p·E / (p·E + (1 − p)·F)")
    axes.set_ylabel("normalised expected cost")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 0.78)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    plain(axes)
    return svg(figure)


def reliability(figures: CalibrationFigures) -> bytes:
    """Defective share over the mean score of each bin, with its interval, and how many images it has."""
    bins = [b for b in figures.bins if b.images]
    figure = figure_of(4.4, 3.8)
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=1.1, linestyle="--", label="score = probability")
    for b in bins:
        if b.share.low is not None and b.share.high is not None:
            axes.plot([b.mean_score] * 2, [b.share.low, b.share.high], color=GOOD, linewidth=1.2)
    shares = [b.share.value for b in bins]
    axes.plot(
        [b.mean_score for b in bins], shares, "o", color=DEFECTIVE, markersize=5, label="images of a bin", zorder=5
    )
    axes.set_ylabel("defective share")
    axes.set_ylim(-0.03, 1.03)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    centres = [(b.score_from + b.score_to) / 2 for b in figures.bins]
    counts.bar(centres, [b.images for b in figures.bins], width=0.09, color=GOOD)
    counts.set_ylabel("images")
    counts.set_xlabel("score")
    counts.set_xlim(-0.02, 1.02)
    counts.yaxis.get_major_locator().set_params(integer=True, nbins=3)
    plain(axes)
    plain(counts)
    return svg(figure)

"""The report's diagrams of single defects: which kinds there are, and from which size on they are found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onspec.evaluation.detectability import CONFIDENCE, Fit
from onspec.evaluation.drawing import DEFECTIVE, GOOD, MARK, PALE, figure_of, plain, svg
from onspec.evaluation.intervals import clopper_pearson
from onspec.evaluation.metrics import DetectabilityFigures, KindFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_BARS = 12
_OTHER = "#d79a1e"
_GROUPS = 6
"""Of about as many defects, by size."""


def pareto(kinds: Sequence[KindFigures]) -> bytes:
    """Defects of each kind, found and not, the most frequent first, and their cumulative share."""
    shown = kinds[:_MOST_BARS]
    figure = figure_of(4.4 if len(shown) < 5 else 9.0, 3.3)
    axes = figure.subplots()
    x, base = np.arange(len(shown)), np.zeros(len(shown))
    parts = [
        ("found", [k.found for k in shown], GOOD),
        ("as another class", [k.other_class for k in shown], _OTHER),
        ("missed", [k.missed for k in shown], DEFECTIVE),
        ("not judged", [k.not_judged for k in shown], PALE),
    ]
    for label, counts, colour in parts:
        if any(counts):
            axes.bar(x, counts, bottom=base, width=0.7, color=colour, label=label)
            base = base + np.array(counts)
    share = axes.twinx()
    share.plot(x, [100 * k.cumulative_share for k in shown], "o-", color=MARK, linewidth=1.2, markersize=3.5)
    share.set_ylim(0, 105)
    share.set_ylabel("cumulative share, %")
    share.spines["top"].set_visible(False)
    axes.set_xticks(x, [k.kind if len(k.kind) < 19 else f"{k.kind[:17]}…" for k in shown])
    if sum(len(k.kind) for k in shown) > 100:
        axes.tick_params(axis="x", labelrotation=20)
    axes.set_ylabel("defects")
    axes.set_ylim(0, max(1.0, float(base.max())) * 1.05)
    axes.legend(frameon=False, fontsize=8.5, loc="upper center", ncols=4, bbox_to_anchor=(0.5, 1.15))
    plain(axes)
    return svg(figure)


def detection_over_size(
    sizes: Sequence[float], found: Sequence[bool], figures: DetectabilityFigures, curve: Fit | None
) -> bytes:
    """Found and missed defects over their size, shares of groups of them, and the curve with its lower bound."""
    size, hit = np.array(sizes, np.float64), np.array(found, bool)
    figure = figure_of(9.0, 3.6)
    axes = figure.subplots()
    low, high = float(size.min()) * 0.9, float(size.max()) * 1.1
    marks = [(name, a) for name, a in (("a90", figures.a90), ("a90/95", figures.a90_95)) if a and a < 3 * high]
    high = max([high, *(1.15 * a for _, a in marks)])
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.plot(size[hit], np.full(int(hit.sum()), 1.035), "|", color=GOOD, markersize=7, alpha=0.6)
    axes.plot(size[~hit], np.full(int((~hit).sum()), -0.035), "|", color=DEFECTIVE, markersize=7, alpha=0.8)
    _groups(axes, size, hit)
    if curve is not None:
        grid = np.geomspace(low, high, 50)
        axes.plot(grid, curve.probability(grid), color=GOOD, linewidth=2.0, label="POD")
        bound = [curve.lower(float(a)) for a in grid]
        axes.plot(grid, bound, color=GOOD, linewidth=1.1, linestyle="--", label=f"lower {CONFIDENCE * 100:g} % bound")
        for row, (name, a) in enumerate(marks):
            axes.plot([a, a], [-0.08, 0.9], color=MARK, linewidth=1.0, linestyle=":")
            right = a > low**0.2 * high**0.8  # no room for the text on that side
            axes.annotate(
                f"{name} {a:.3g}", (a, 0.4 - 0.09 * row), xytext=(-4 if right else 4, 0), textcoords="offset points",
                ha="right" if right else "left",
            )  # fmt: skip
    axes.set_ylim(-0.08, 1.08)
    axes.set_ylabel("share found")
    axes.set_xlabel(f"size: square root of the labelled area, {figures.unit}")
    _ticks(axes, low, high)
    axes.legend(frameon=False, fontsize=8.5, loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.14))
    plain(axes)
    return svg(figure)


def _groups(axes: "Axes", size: NDArray[np.float64], hit: NDArray[np.bool_]) -> None:
    """Found shares of groups of neighbouring sizes, with exact intervals."""
    order = np.argsort(size, kind="stable")
    groups = [g for g in np.array_split(order, min(_GROUPS, max(1, len(size) // 4))) if len(g)]
    centres = [float(np.exp(np.log(size[g]).mean())) for g in groups]
    spans = [clopper_pearson(int(hit[g].sum()), len(g)) for g in groups]
    for centre, (low, high) in zip(centres, spans, strict=True):
        axes.plot([centre, centre], [low, high], color=PALE, linewidth=1.4)
    shares = [float(hit[g].mean()) for g in groups]
    axes.plot(centres, shares, "o", color=DEFECTIVE, markersize=5, label="groups of sizes, 95 % intervals")


def _ticks(axes: "Axes", low: float, high: float) -> None:
    """Round sizes, more of them where the scale is short."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(
        LogLocator(10, subs=(1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0) if high < 8 * low else (1.0, 2.0, 5.0))
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())

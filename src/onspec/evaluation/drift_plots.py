"""The trend of each measure over the windows, with the band of the training, and that of the verdicts."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from onspec.domain import Verdict
from onspec.evaluation.drawing import DEFECTIVE, GOOD, MARK, PALE, figure_of, plain, svg
from onspec.evaluation.drift import MeasureDrift, WindowDrift
from onspec.evaluation.drift_words import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {Verdict.NG: DEFECTIVE, Verdict.REVIEW: "#d79a1e", Verdict.ERROR: MARK}
_BAND = "#dfe9ee"
_TICKS = 3
_YEAR = re.compile(r"^\d{4}-")


def trend(measure: str, windows: Sequence[WindowDrift], names: Sequence[str]) -> bytes:
    """Median and the middle 90 % of each window; those with an alarm for this measure stand out.

    Raises:
        MissingExtraError: matplotlib is not installed; so for every diagram.
    """
    found = [next((m for m in window.measures if m.measure == measure), None) for window in windows]
    figure = figure_of(4.4, 2.3)
    axes = figure.subplots()
    for alarm, colour in ((False, GOOD), (True, DEFECTIVE)):
        shown = [(at, m) for at, m in enumerate(found) if m is not None and m.alarm is alarm]
        if shown:
            _points(axes, shown, colour)
    known = next(m for m in found if m is not None)
    axes.axhspan(known.training_low, known.training_high, color=_BAND, zorder=0)
    axes.axhline(known.training_median, color=PALE, linewidth=1.2, zorder=1)
    axes.set_title(NAMES[measure], loc="left", fontsize=10.5, weight="bold")
    _x_axis(axes, names)
    return svg(figure)


def _points(axes: "Axes", shown: Sequence[tuple[int, MeasureDrift]], colour: str) -> None:
    at = [place for place, _ in shown]
    axes.vlines(at, [m.low for _, m in shown], [m.high for _, m in shown], color=colour, linewidth=2, alpha=0.45)
    axes.plot(at, [m.median for _, m in shown], "o", color=colour, markersize=4.5)


def verdict_trend(windows: Sequence[WindowDrift], names: Sequence[str]) -> bytes:
    """Shares of NG, REVIEW and ERROR in each window."""
    figure = figure_of(4.4, 2.3)
    axes = figure.subplots()
    for verdict, colour in _COLOURS.items():
        shares = [100 * window.verdicts.get(verdict, 0) / max(1, window.images) for window in windows]
        axes.plot(shares, "o-", color=colour, markersize=3.5, linewidth=1.2, label=str(verdict))
    axes.set_title("verdicts, % of the window", loc="left", fontsize=10.5, weight="bold")
    axes.set_ylim(bottom=-0.02 * max(1.0, axes.get_ylim()[1]))
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper left")
    axes.set_ylim(top=axes.get_ylim()[1] * 1.25)
    _x_axis(axes, names)
    return svg(figure)


def _x_axis(axes: "Axes", names: Sequence[str]) -> None:
    """As many names as there is room for."""
    plain(axes)
    axes.set_xlim(-0.5, max(0, len(names) - 1) + 0.5)
    places = np.unique(np.linspace(0, len(names) - 1, min(_TICKS, len(names))).round().astype(int))
    axes.set_xticks(places.tolist(), [_YEAR.sub("", names[at]) for at in places], fontsize=8)
    axes.tick_params(axis="y", labelsize=8)

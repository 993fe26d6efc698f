"""What the diagrams of a report share: colours, the scale of scores, SVGs without fonts that a reader may lack."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onspec.domain import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Scores = NDArray[np.float64]

GOOD, DEFECTIVE, MARK, PALE = "#2f7298", "#c4512d", "#1d2730", "#7aa3b8"
_EDGE = 1e-6
"""Scores nearer to 0 or 1 than this are drawn there: the logit scale has no end."""
_TICKS = (1e-6, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999, 1 - 1e-6)
_TICK_TEXTS = ("0", "0.0001", "0.01", "0.1", "0.5", "0.9", "0.99", "0.9999", "1")
_MARGIN = 0.3
"""Beyond the ends of the scale of scores."""


@dataclass(frozen=True, slots=True)
class OverScores:
    """An SVG whose x axis is the scale of scores; `left` and `right` are that axis' ends as shares of its width."""

    svg: bytes
    left: float
    right: float

    def at(self, score: float) -> float:
        """Where a score lies, as a share of the width."""
        low, high = LOW - _MARGIN, HIGH + _MARGIN
        return self.left + (self.right - self.left) * (float(logit_of(score)) - low) / (high - low)


def score_axis(axes: "Axes", label: str) -> None:
    """Make the x axis the scale of scores: log(s / (1 − s)), so that 0.99 and 0.9999 are apart."""
    axes.set_xticks([float(logit_of(tick)) for tick in _TICKS], _TICK_TEXTS)
    axes.set_xlim(LOW - _MARGIN, HIGH + _MARGIN)
    axes.set_xlabel(label)


def over_scores(figure: "Figure", axes: "Axes") -> OverScores:
    """The finished diagram and where its axis lies."""
    data = svg(figure)
    box = axes.get_position()
    return OverScores(data, float(box.x0), float(box.x1))


def logit_of(score: float | Scores) -> Scores:
    """Where scores lie on their scale."""
    clipped = np.clip(np.asarray(score, np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float64)


LOW, HIGH = float(logit_of(0.0)), float(logit_of(1.0))
"""Both ends of the scale of scores."""


def plain(axes: "Axes") -> None:
    """Horizontal lines behind the data, and no frame."""
    axes.grid(axis="y", color="#e3e8ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def figure_of(width: float, height: float) -> "Figure":
    """An empty figure of a size in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("The report's diagrams", "evaluate") from None
    return Figure(figsize=(width, height), layout="constrained")


def svg(figure: "Figure") -> bytes:
    """Text as outlines, nothing that changes from call to call."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "onspec", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()

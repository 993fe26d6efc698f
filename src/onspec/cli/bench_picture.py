"""The picture of `onspec bench`: images a second of each case, and the spread of its times."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from onspec.domain import MissingExtraError, UsageError

if TYPE_CHECKING:
    from onspec.runtime.comparing import Measured

_FORMATS = (".png", ".svg", ".pdf")


def require_drawable(path: Path) -> None:
    """Refuse before minutes of measuring.

    Raises:
        UsageError: an ending that is no picture's.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path}: cannot be drawn; allowed: {', '.join(_FORMATS)}")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("A picture (--out)", "evaluate")


def draw(rows: "Sequence[Measured]", title: str, path: Path) -> None:
    """Write the picture in the format of the file's ending.

    Raises:
        UsageError: no case that ran, or a place that cannot be written to.
    """
    from matplotlib.figure import Figure

    running = [row for row in rows if row.fault is None]
    if not running:
        raise UsageError(f"{path}: cannot be drawn; no engine ran: see what is said of each")
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(running)), layout="constrained")
    rates, times = figure.subplots(1, 2, sharey=True)
    figure.suptitle(title.partition("@")[0], x=0.01, ha="left")
    names = [str(row.case) for row in running]
    bars = rates.barh(names, [row.images_a_second for row in running], color="#4878a8")
    rates.bar_label(bars, [f"{row.images_a_second:.1f}  ({row.share[1]:.0%})" for row in running], padding=3)
    rates.set_xlabel("images/s (share of the matrix-product ceiling)")
    rates.margins(x=0.25)
    rates.invert_yaxis()
    times.boxplot([row.ms for row in running], positions=range(len(running)), orientation="horizontal", whis=(5, 95),
                  widths=0.6, medianprops={"color": "#c8502a"}, flierprops={"markersize": 3})  # fmt: skip
    times.set_yticks(range(len(running)), names)
    times.set_xlabel("ms a batch: quartiles, 5 to 95 %, outliers")
    times.set_xlim(left=0)
    for axes in (rates, times):
        axes.spines[["top", "right"]].set_visible(False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); check the folder and its rights") from error

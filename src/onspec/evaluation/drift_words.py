"""Drift in words: a sentence an alarm, and the tables of a page and of the command."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from onspec.domain import Verdict
from onspec.evaluation.drift import MEASURES, RATES, SCORES, MeasureDrift, RateDrift, Sense, WindowDrift
from onspec.evaluation.wording import percent

_ROWS = {
    "brightness": (
        "mean level",
        {"up": "images have become brighter", "down": "images have become darker"},
        "check the lamp, the exposure time and the gain",
    ),
    "contrast": (
        "range of levels",
        {"up": "images have gained contrast", "down": "images have lost contrast"},
        "check the light, stray light and the lens for dirt",
    ),
    "black": (
        "share of black pixels",
        {"up": "more of the images is black", "down": "less of the images is black"},
        "check the exposure time, the black level and the part's background",
    ),
    "white": (
        "share of white pixels",
        {"up": "more of the images is overexposed", "down": "less of the images is overexposed"},
        "check the exposure time, the gain and reflections",
    ),
    "sharpness": (
        "sharpness",
        {"up": "images have become sharper or noisier", "down": "images have become less sharp"},
        "check the focus, the lens for dirt or oil, the gain, and vibration",
    ),
    "tint": (
        "red against blue",
        {"up": "images have become redder", "down": "images have become bluer"},
        "check the lamp's colour and the white balance",
    ),
    "likeness": (
        "likeness to the training",
        {"up": "images have become more alike", "down": "images are less like those of the training"},
        "check the camera's place, how the part lies, and that it is this recipe's part",
    ),
}
"""Figure → its name, what has happened, and where to look."""

NAMES: Final[Mapping[str, str]] = {**{name: row[0] for name, row in _ROWS.items()}, SCORES: "scores of OK parts"}
"""Measure → as people call it."""

_LOOK_AT_SCORES = "look at the newest parts; where the images changed too, begin there"
_SCORES: Mapping[Sense, str] = {
    "up": "parts judged OK score higher",
    "down": "parts judged OK score lower",
    "spread": "scores of parts judged OK vary otherwise",
}
_LOOK_AT_RATES = {
    Verdict.NG: "look at the newest NG parts: the process or the images have changed",
    Verdict.REVIEW: "look at the newest parts to review: what is unsure has changed",
    Verdict.ERROR: "read their sentences: camera, light or line are at fault",
}


@dataclass(frozen=True, slots=True)
class DriftTable:
    """A heading, a sentence and rows of text; the last cell of a row says whether it is an alarm."""

    title: str
    sentence: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sentences(window: WindowDrift) -> tuple[str, ...]:
    """One for each alarm: what changed, from what to what, how sure that is, and where to look."""
    return tuple(_measure(m) for m in window.measures if m.alarm) + tuple(_rate(r) for r in window.rates if r.alarm)


def lacks(window: WindowDrift) -> tuple[str, ...]:
    """What could not be judged, and why."""
    return tuple(f"{NAMES[name]} cannot be judged: {why}" for name, why in window.lacking.items())


def summary(window: WindowDrift) -> str:
    """The state in a few words."""
    if window.state == "alarm":
        return f"alarm: {', '.join(NAMES.get(name, f'share of {name}') for name in window.alarms)}"
    if window.state == "no reference":
        return "the recipe holds nothing to compare with; train and pack it anew"
    if window.state == "not yet":
        return f"not yet: {next(iter(window.lacking.values()), 'the recipe knows no figure of its images')}"
    left_out = [NAMES[name] for name in window.lacking]
    return f"no drift in what can be judged; not judged: {', '.join(left_out)}" if left_out else "no drift"


def measure_table(window: WindowDrift) -> DriftTable:
    """A row a measure."""
    rows = [_measure_row(m) for m in window.measures]
    return DriftTable(
        "Images and scores",
        "Median with the span of the middle 90 %, in the window and in training. PSI in brackets is what chance alone "
        "gives; p counts all that was looked at.",
        ("measure", "window", "training", "PSI", "D", "p", "images", "outside", ""),
        tuple(rows),
    )


def rate_table(window: WindowDrift) -> DriftTable:
    """A row a verdict."""
    return DriftTable(
        "Verdicts",
        "Shares in the window against those of the windows before.",
        ("verdict", "window", "before", "p", ""),
        tuple(
            (
                str(r.verdict),
                f"{percent(r.share)} ({r.count} of {r.of})",
                f"{percent(r.share_before)} ({r.before} of {r.of_before})",
                chance(r.p_adjusted),
                "alarm" if r.alarm else "",
            )
            for r in window.rates
        ),
    )


def trend_table(windows: Sequence[tuple[str, WindowDrift]]) -> DriftTable:
    """A row a window, a column a measure."""
    known = [name for name in MEASURES if any(m.measure == name for _, window in windows for m in window.measures)]
    return DriftTable(
        "Windows",
        "PSI of each measure and shares of verdicts; ! is an alarm, – cannot be judged.",
        ("window", "images", *(NAMES[name] for name in known), *map(str, RATES)),
        tuple((name, str(window.images), *_cells(window, known)) for name, window in windows),
    )


def _cells(window: WindowDrift, known: Sequence[str]) -> Iterator[str]:
    found = {m.measure: f"{m.psi:.2f}{'!' if m.alarm else ''}" for m in window.measures}
    yield from (found.get(name, "–") for name in known)
    for verdict in RATES:
        yield f"{percent(window.verdicts.get(verdict, 0) / window.images)}{'!' if verdict in window.alarms else ''}"


def chance(p: float) -> str:
    """A p value; what is not 0 never reads as 0."""
    return "<1e-6" if p < 1e-6 else f"{p:.0e}" if p < 1e-3 else f"{p:.3f}"


def figure(value: float) -> str:
    """Three digits that count."""
    return "0" if value == 0 else f"{value:.3g}"


def _measure_row(m: MeasureDrift) -> tuple[str, ...]:
    return (
        NAMES[m.measure],
        _span(m.low, m.median, m.high),
        _span(m.training_low, m.training_median, m.training_high),
        f"{m.psi:.2f} ({m.psi_expected:.2f})",
        f"{m.distance:.2f}",
        chance(m.p_adjusted),
        _worth(m),
        percent(m.outside),
        "alarm" if m.alarm else "",
    )


def _measure(m: MeasureDrift) -> str:
    p = chance(m.p_adjusted)
    sure = f"PSI {m.psi:.1f}, p {p[0]} {p[1:]}" if p.startswith("<") else f"PSI {m.psi:.1f}, p = {p}"
    if m.measure == SCORES:
        change, name, check = _SCORES[m.sense], "median", _LOOK_AT_SCORES
    else:
        name, words, check = _ROWS[m.measure]
        change = words.get(m.sense, "images vary otherwise")
    now, then = (m.median, m.training_median)
    shown = f"{name} {figure(now)}, training {figure(then)}"
    if m.sense == "spread":
        shown = (
            f"90 % have a {name} of {figure(m.low)} to {figure(m.high)}, "
            f"in training {figure(m.training_low)} to {figure(m.training_high)}"
        )
    return f"{change}: {shown}; {sure}: {check}"


def _rate(r: RateDrift) -> str:
    word = "more" if r.share > r.share_before else "fewer"
    p = chance(r.p_adjusted)
    sure = f"p {p[0]} {p[1:]}" if p.startswith("<") else f"p = {p}"
    return (
        f"{word} parts are {r.verdict}: {percent(r.share)}, before {percent(r.share_before)}; {sure}: "
        f"{_LOOK_AT_RATES[r.verdict]}"
    )


def _span(low: float, median: float, high: float) -> str:
    return f"{figure(median)} ({figure(low)} … {figure(high)})"


def _worth(m: MeasureDrift) -> str:
    return str(m.images) if m.independent == m.images else f"{m.images} (worth {m.independent})"

"""Drift as one HTML file that needs nothing else, neither network nor scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from onspec.domain import MissingExtraError
from onspec.evaluation.diagrams import address
from onspec.evaluation.drift import MEASURES, WindowDrift
from onspec.evaluation.drift_plots import trend, verdict_trend
from onspec.evaluation.drift_words import NAMES, DriftTable, lacks, measure_table, rate_table, sentences, summary


@dataclass(frozen=True, slots=True)
class _Shown:
    """A window as the page has it."""

    name: str
    state: str
    summary: str
    sentences: tuple[str, ...]
    lacks: tuple[str, ...]
    tables: tuple[DriftTable, ...]


def render(recipe: str, source: str, names: Sequence[str], windows: Sequence[WindowDrift]) -> str:
    """The page as HTML.

    Args:
        recipe: NAME@sha256:HEX.
        source: where the images come from.
        names: of the windows, oldest first.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingExtraError("The page of onspec drift", "evaluate") from None
    text = files("onspec.evaluation").joinpath("drift.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    name, _, digest = recipe.partition("@")
    return environment.from_string(text).render(
        name=name,
        digest=digest,
        lead=_lead(source, windows),
        images=[(alternative, address(picture, "svg+xml")) for alternative, picture in _pictures(names, windows)],
        windows=[_shown(name, window) for name, window in zip(names, windows, strict=True)],
        rate=f"1 window in {1 / windows[0].false_alarm_rate:,.0f}" if windows else "",
    )


def _lead(source: str, windows: Sequence[WindowDrift]) -> str:
    images, alarms = sum(window.images for window in windows), sum(window.state == "alarm" for window in windows)
    said = "no alarm" if alarms == 0 else f"{alarms} of {len(windows)} windows with an alarm"
    return f"{images} image{'' if images == 1 else 's'} from {source}: {said}."


def _pictures(names: Sequence[str], windows: Sequence[WindowDrift]) -> list[tuple[str, bytes]]:
    known = {m.measure for window in windows for m in window.measures}
    pictures = [(f"trend: {NAMES[m]}", trend(m, windows, names)) for m in MEASURES if m in known]
    return [*pictures, ("trend: verdicts", verdict_trend(windows, names))] if windows else []


def _shown(name: str, window: WindowDrift) -> _Shown:
    tables = tuple(table for table in (measure_table(window), rate_table(window)) if table.rows)
    return _Shown(
        f"{name}: {window.images} images", window.state, summary(window), sentences(window), lacks(window), tables
    )

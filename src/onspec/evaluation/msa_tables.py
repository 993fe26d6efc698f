"""A measurement-system analysis in words: the same tables for the terminal and for the page."""

from dataclasses import dataclass

from onspec.evaluation import agreement, gauge
from onspec.evaluation.agreement import AgreementFigures, AppraiserFigures, Level, Share
from onspec.evaluation.gauge import Component, GaugeFigures, Source
from onspec.evaluation.kappa import Kappa
from onspec.evaluation.wording import number, percent

Figures = AgreementFigures | GaugeFigures

_NONE = "n/a"

_FIGURES = {
    "effectiveness": "effectiveness (≥ {:.0f} %)",
    "miss_rate": "miss rate (≤ {:.0f} %)",
    "false_alarm_rate": "false alarm rate (≤ {:.0f} %)",
}

_SOURCES = {
    "gauge_rr": "gauge R&R (GRR)",
    "repeatability": "  repeatability (EV)",
    "reproducibility": "  reproducibility (AV)",
    "appraiser": "    appraiser",
    "interaction": "    appraiser × part",
    "part": "part to part (PV)",
    "total": "total (TV)",
}


@dataclass(frozen=True, slots=True)
class MsaTable:
    """Texts under headings, with a sentence that says how to read them."""

    title: str
    sentence: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class MsaTile:
    """What is read first; `level` is `ok`, `warn`, `bad` or empty."""

    name: str
    figure: str
    note: str
    level: str


def tables(figures: Figures) -> tuple[MsaTable, ...]:
    """All that was found."""
    if isinstance(figures, GaugeFigures):
        return _graded(figures), _variation(figures), _variance_table(figures)
    return _standard(figures), _agreement(figures)


def tiles(figures: Figures) -> tuple[MsaTile, ...]:
    """A tile an appraiser, or the gauge's graded figures."""
    if isinstance(figures, GaugeFigures):
        return tuple(MsaTile(name, value, limit, _colour(level)) for name, value, limit, level in _grades(figures))
    return tuple(
        MsaTile(
            name,
            _word(one.verdict),
            f"effectiveness {_percent(one.effectiveness.value)}, misses {_percent(one.miss_rate.value)}, "
            f"false alarms {_percent(one.false_alarm_rate.value)}",
            _colour(one.verdict),
        )
        for name, one in figures.appraisers.items()
    )


def summary(figures: Figures) -> str:
    """The last line: whether a limit is broken, and whose."""
    if isinstance(figures, GaugeFigures):
        return f"gauge: {_word(figures.verdict)}"
    broken = [
        f"{name} ({_word(one.verdict)})" for name, one in figures.appraisers.items() if one.verdict != "acceptable"
    ]
    return f"not acceptable: {', '.join(broken)}" if broken else "every appraiser is acceptable"


def _standard(figures: AgreementFigures) -> MsaTable:
    rows = [row for name, one in figures.appraisers.items() for row in _against(name, one)]
    return MsaTable(
        "Against the standard",
        "Effectiveness counts a part only if every trial was right. A miss is a defective part judged OK, a false "
        "alarm a good one judged NG. AIAG's limits in brackets.",
        ("appraiser", "figure", "value", f"{_confidence(figures)} interval", "level"),
        tuple(rows),
    )


def _against(name: str, one: AppraiserFigures) -> list[tuple[str, ...]]:
    shares = {"effectiveness": one.effectiveness, "miss_rate": one.miss_rate, "false_alarm_rate": one.false_alarm_rate}
    rows = [
        ("", _FIGURES[key].format(agreement.LIMITS[key][0] * 100), _value(share), _span(share), _word(one.levels[key]))
        for key, share in shares.items()
    ]
    rows.append(("", "kappa", number(one.kappa.value), _kappa_span(one.kappa), ""))
    rows += [("", "to review", f"{one.reviews} verdicts", "", "")] if one.reviews else []
    rows.append(("", "verdict", "", "", _word(one.verdict)))
    return [(name, *rows[0][1:]), *rows[1:]]


def _agreement(figures: AgreementFigures) -> MsaTable:
    rows = [_row(f"{name} with themselves", one.within, one.within_kappa) for name, one in figures.appraisers.items()]
    rows += [_row(" and ".join(pair.appraisers), pair.agreement, pair.kappa) for pair in figures.pairs]
    rows += [_row("all with each other", figures.between, figures.between_kappa)] if figures.between else []
    rows.append(_row("all with the standard", figures.all_against_standard, figures.all_kappa))
    return MsaTable(
        "Agreement",
        "Two appraisers are compared trial by trial; all other lines count a part only if every verdict on it agrees. "
        "Kappa is what goes beyond chance, 1 at most: Cohen's for two and against the standard, else Fleiss'.",
        ("who", "equal", f"{_confidence(figures)} interval", "kappa", f"{_confidence(figures)} interval of kappa"),
        tuple(rows),
    )


def _row(who: str, share: Share | None, kappa: Kappa) -> tuple[str, ...]:
    equal = (_NONE, _NONE) if share is None else (_value(share), _span(share))
    return (who, *equal, number(kappa.value), _kappa_span(kappa))


def _grades(figures: GaugeFigures) -> list[tuple[str, str, str, Level | None]]:
    """(name, value, limit, level) of each graded figure."""
    whole = figures.components["gauge_rr"]
    limit = "acceptable ≤ {:.0f} %, marginal ≤ {:.0f} %".format(*(100 * share for share in gauge.LIMITS))
    rows = [("R&R of study variation", _percent(whole.of_study_variation), limit, figures.levels["of_study_variation"])]
    if "of_tolerance" in figures.levels:
        rows.append(("R&R of tolerance", _percent(whole.of_tolerance), limit, figures.levels["of_tolerance"]))
    ndc = _NONE if figures.ndc is None or figures.distinct is None else f"{figures.ndc} ({figures.distinct:.2f})"
    rows.append(("distinct categories (ndc)", ndc, f"acceptable ≥ {gauge.DISTINCT}", figures.levels["ndc"]))
    return rows


def _graded(figures: GaugeFigures) -> MsaTable:
    rows = [(name, value, limit, _word(level)) for name, value, limit, level in _grades(figures)]
    return MsaTable(
        "Gauge R&R",
        f"{figures.parts} parts, {figures.appraisers} appraisers, {figures.trials} trials; the worst level counts.",
        ("figure", "value", "limits of AIAG", "level"),
        (*rows, ("verdict", "", "", _word(figures.verdict))),
    )


def _variation(figures: GaugeFigures) -> MsaTable:
    shown = {name: c for name, c in figures.components.items() if not (figures.pooled and name == "interaction")}
    return MsaTable(
        "Variation",
        "Contributions add up to 100 %, shares of the study variation do not: standard deviations add in squares.",
        ("source", "standard deviation", "6 σ", "contribution", "of study variation", "of tolerance"),
        tuple((_SOURCES[name], *_component(component)) for name, component in shown.items()),
    )


def _component(component: Component) -> tuple[str, ...]:
    shares = (component.contribution, component.of_study_variation, component.of_tolerance)
    sizes = (component.standard_deviation, component.study_variation)
    return (*(f"{size:.5g}" for size in sizes), *(_percent(share) for share in shares))


def _variance_table(figures: GaugeFigures) -> MsaTable:
    lines = {name.replace("interaction", "appraiser × part"): source for name, source in figures.anova.items()}
    if figures.pooled_repeatability is not None:
        lines["repeatability, pooled"] = figures.pooled_repeatability
    p = _chance(figures.anova["interaction"].p)
    kept = "taken for repeatability" if figures.pooled else "kept"
    return MsaTable(
        "Analysis of variance",
        f"The interaction of appraiser and part (p: {p}) is {kept}; with p over {gauge.POOLED_OVER} it is pooled.",
        ("source", "degrees of freedom", "sum of squares", "mean square", "F", "p"),
        tuple((name, *_source(source)) for name, source in lines.items()),
    )


def _source(source: Source) -> tuple[str, ...]:
    tested = (_NONE if source.f is None else f"{source.f:.3f}", _chance(source.p))
    return (str(source.degrees_of_freedom), f"{source.sum_of_squares:.5g}", f"{source.mean_square:.5g}", *tested)


def _chance(p: float | None) -> str:
    """What is not 0 never reads as 0."""
    return _NONE if p is None else "<0.001" if p < 0.0005 else f"{p:.3f}"


def _confidence(figures: AgreementFigures) -> str:
    return f"{figures.all_against_standard.confidence * 100:g} %"


def _percent(value: float | None) -> str:
    return _NONE if value is None else percent(value)


def _value(share: Share) -> str:
    return f"{_percent(share.value)} ({share.count} of {share.of})"


def _span(share: Share) -> str:
    return _NONE if share.low is None or share.high is None else f"{percent(share.low)} to {percent(share.high)}"


def _kappa_span(kappa: Kappa) -> str:
    return _NONE if kappa.low is None else f"{number(kappa.low)} to {number(kappa.high)}"


def _word(level: Level | None) -> str:
    return "not defined" if level is None else str(level)


def _colour(level: Level | None) -> str:
    return "" if level is None else {"acceptable": "ok", "marginal": "warn", "unacceptable": "bad"}[level]

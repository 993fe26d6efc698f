"""Gauge R&R of measured sizes: a crossed study by two-way analysis of variance.

After AIAG, *Measurement Systems Analysis*, 4th edition, chapter III, section B. Parts and appraisers are random
effects; an estimate of a variance below 0 is taken as 0.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from onspec.domain import MissingExtraError
from onspec.evaluation.agreement import Level, worst

POOLED_OVER: Final = 0.25
"""p of the interaction over which it is taken for repeatability, as AIAG does."""

LIMITS: Final = (0.10, 0.30)
"""R&R as share of the study variation or the tolerance: acceptable up to the first, marginal up to the second."""

DISTINCT: Final = 5
"""Categories that a gauge should tell apart at least."""

SIGMAS: Final = 6
"""Standard deviations that a variation spans."""

_ROUNDING: Final = 1e-12
"""Differences within this share of the largest value are rounding, no variation."""


@dataclass(frozen=True)
class GaugeStudy:
    """Every appraiser measured every part in every trial; `values` is float64 (parts, appraisers, trials)."""

    parts: tuple[str, ...]
    appraisers: tuple[str, ...]
    trials: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse what an analysis of variance cannot be made of."""
        shape = (len(self.parts), len(self.appraisers), len(self.trials))
        if self.values.shape != shape or min(shape) < 2 or not np.isfinite(self.values).all():
            raise ValueError(f"needs finite values {shape}, at least 2 of each; got {self.values.shape}")


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Figures):
    """A line of the analysis of variance; `f` and `p` are null where there is nothing to compare with."""

    degrees_of_freedom: int
    sum_of_squares: float
    mean_square: float
    f: float | None = None
    p: float | None = None


class Component(_Figures):
    """One part of the variation. Shares are null where nothing varies, or no tolerance is given."""

    variance: float
    standard_deviation: float
    study_variation: float = Field(description="6 standard deviations")
    contribution: float | None = Field(description="share of the total variance")
    of_study_variation: float | None = Field(description="share of the total standard deviation")
    of_tolerance: float | None = Field(description="6 standard deviations ÷ tolerance")


class GaugeFigures(_Figures):
    """`msa.json` of a gauge study."""

    kind: Literal["gauge"] = "gauge"
    parts: int
    appraisers: int
    trials: int
    tolerance: float | None
    anova: dict[str, Source] = Field(description="part, appraiser, interaction, repeatability, total")
    pooled: bool = Field(description="the interaction was taken for repeatability")
    pooled_repeatability: Source | None = Field(description="repeatability with the interaction in it")
    components: dict[str, Component]
    distinct: float | None = Field(description="1.41 · part ÷ gauge_rr; null where gauge_rr is 0")
    ndc: int | None = Field(description="the same, cut to a whole number")
    levels: dict[str, Level | None]
    verdict: Level | None
    acceptable: bool
    notes: tuple[str, ...]


def analyse(study: GaugeStudy, tolerance: float | None = None) -> GaugeFigures:
    """The whole analysis.

    Args:
        tolerance: width of the tolerance, upper minus lower limit, in the unit of the values.

    Raises:
        ValueError: the tolerance is not a finite number over 0.
        MissingExtraError: scipy is not installed.
    """
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise ValueError(f"tolerance must be a finite number over 0; got {tolerance}")
    table = _anova(study.values)
    interaction, error = table["interaction"], table["repeatability"]
    pooled = interaction.p is not None and interaction.p > POOLED_OVER
    joint = _joined(interaction, error) if pooled else None
    table |= {name: _tested(table[name], joint or interaction) for name in ("part", "appraiser")}
    raw = _variances(table, study.values.shape, joint)
    components = _components({name: max(0.0, variance) for name, variance in raw.items()}, tolerance)
    gauge, part = components["gauge_rr"], components["part"]
    distinct = 1.41 * part.standard_deviation / gauge.standard_deviation if gauge.variance else None
    levels = _levels(gauge, distinct, has_tolerance=tolerance is not None)
    verdict = worst(list(levels.values()))
    return GaugeFigures(
        **dict(zip(("parts", "appraisers", "trials"), study.values.shape, strict=True)),
        tolerance=tolerance,
        anova=table,
        pooled=pooled,
        pooled_repeatability=joint,
        components=components,
        distinct=distinct,
        ndc=None if distinct is None else math.floor(distinct),
        levels=levels,
        verdict=verdict,
        acceptable=verdict is Level.ACCEPTABLE,
        notes=tuple(_notes(raw, components)),
    )


def _anova(values: NDArray[np.float64]) -> dict[str, Source]:
    """Source → its line; the interaction is tested against repeatability."""
    p, a, t = values.shape
    noise = values.size * (float(np.abs(values).max()) * _ROUNDING) ** 2
    centred = values - values.mean()
    part, appraiser, cell = centred.mean(axis=(1, 2)), centred.mean(axis=(0, 2)), centred.mean(axis=2)
    squares = {
        "part": (p - 1, a * t * part @ part),
        "appraiser": (a - 1, p * t * appraiser @ appraiser),
        "interaction": ((p - 1) * (a - 1), t * ((cell - part[:, None] - appraiser[None, :]) ** 2).sum()),
        "repeatability": (p * a * (t - 1), ((centred - cell[:, :, None]) ** 2).sum()),
        "total": (values.size - 1, (centred**2).sum()),
    }
    lines = {name: _source(freedom, float(ss) if ss > noise else 0.0) for name, (freedom, ss) in squares.items()}
    return lines | {"interaction": _tested(lines["interaction"], lines["repeatability"])}


def _source(freedom: int, squares: float) -> Source:
    return Source(degrees_of_freedom=freedom, sum_of_squares=squares, mean_square=squares / freedom)


def _joined(one: Source, other: Source) -> Source:
    return _source(one.degrees_of_freedom + other.degrees_of_freedom, one.sum_of_squares + other.sum_of_squares)


def _tested(line: Source, against: Source) -> Source:
    """With F and its p; without where the other does not vary."""
    try:
        from scipy.stats import f
    except ModuleNotFoundError:
        raise MissingExtraError("A gauge study", "evaluate") from None
    if not against.mean_square:
        return line
    ratio = line.mean_square / against.mean_square
    p = float(f.sf(ratio, line.degrees_of_freedom, against.degrees_of_freedom))
    return line.model_copy(update={"f": ratio, "p": p})


def _variances(table: dict[str, Source], shape: tuple[int, ...], joint: Source | None) -> dict[str, float]:
    """Estimates from expected mean squares; they may be below 0."""
    p, a, t = shape
    error = (joint or table["repeatability"]).mean_square
    mixed = (joint or table["interaction"]).mean_square
    return {
        "repeatability": error,
        "appraiser": (table["appraiser"].mean_square - mixed) / (p * t),
        "interaction": 0.0 if joint else (mixed - error) / t,
        "part": (table["part"].mean_square - mixed) / (a * t),
    }


def _components(variances: dict[str, float], tolerance: float | None) -> dict[str, Component]:
    """Also the sums: reproducibility, gauge_rr, total; in the order in which they are read."""
    reproducibility = variances["appraiser"] + variances["interaction"]
    gauge = variances["repeatability"] + reproducibility
    total = gauge + variances["part"]
    ordered = {
        "gauge_rr": gauge,
        "repeatability": variances["repeatability"],
        "reproducibility": reproducibility,
        "appraiser": variances["appraiser"],
        "interaction": variances["interaction"],
        "part": variances["part"],
        "total": total,
    }
    return {name: _component(variance, total, tolerance) for name, variance in ordered.items()}


def _component(variance: float, total: float, tolerance: float | None) -> Component:
    deviation = math.sqrt(variance)
    return Component(
        variance=variance,
        standard_deviation=deviation,
        study_variation=SIGMAS * deviation,
        contribution=variance / total if total else None,
        of_study_variation=math.sqrt(variance / total) if total else None,
        of_tolerance=None if tolerance is None else SIGMAS * deviation / tolerance,
    )


def _levels(gauge: Component, distinct: float | None, *, has_tolerance: bool) -> dict[str, Level | None]:
    """Where the gauge does not vary, there is no number of categories to miss."""
    levels = {"of_study_variation": _level(gauge.of_study_variation)}
    if has_tolerance:
        levels["of_tolerance"] = _level(gauge.of_tolerance)
    enough = distinct is None or math.floor(distinct) >= DISTINCT
    known = gauge.of_study_variation is not None
    levels["ndc"] = None if not known else Level.ACCEPTABLE if enough else Level.MARGINAL
    return levels


def _level(share: float | None) -> Level | None:
    if share is None:
        return None
    acceptable, marginal = LIMITS
    return Level.ACCEPTABLE if share <= acceptable else Level.MARGINAL if share <= marginal else Level.UNACCEPTABLE


_NAMES = {"appraiser": "between appraisers", "interaction": "of appraiser and part together", "part": "between parts"}


def _notes(raw: dict[str, float], components: dict[str, Component]) -> list[str]:
    """What a reader must know before believing the figures."""
    notes = [
        f"The variance {_NAMES[name]} was estimated below 0 and is taken as 0."
        for name, variance in raw.items()
        if variance < 0
    ]
    if not components["total"].variance:
        notes.append("All values are equal: nothing can be said of the gauge.")
    elif not components["repeatability"].variance:
        notes.append("No value was repeated differently: the gauge's steps are too coarse to show its repeatability.")
    return notes

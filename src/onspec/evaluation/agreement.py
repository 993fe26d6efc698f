"""Attribute agreement analysis: how far appraisers agree with themselves, with each other and with the standard.

After AIAG, *Measurement Systems Analysis*, 4th edition, chapter III, section C. The inspection system is one appraiser
among others. A REVIEW passes no part and rejects none: it is neither a miss nor a false alarm, but it never agrees with
the standard, so that who always asks is not effective.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from onspec.domain import Verdict
from onspec.evaluation.figures import rate
from onspec.evaluation.kappa import Kappa, cohen, fleiss
from onspec.evaluation.metrics import Rate

CATEGORIES: Final = (Verdict.OK, Verdict.NG, Verdict.REVIEW)
"""What a verdict can be; its code is its place here."""

_OK, _NG, _REVIEW = range(3)


class Level(StrEnum):
    """AIAG's three grades of an appraiser or a gauge."""

    ACCEPTABLE = "acceptable"
    MARGINAL = "marginal"
    UNACCEPTABLE = "unacceptable"


LIMITS: Final = {"effectiveness": (0.90, 0.80), "miss_rate": (0.02, 0.05), "false_alarm_rate": (0.05, 0.10)}
"""Figure → the worst value that is acceptable, and the worst that is marginal: AIAG's table for attribute studies."""


@dataclass(frozen=True)
class AttributeStudy:
    """Every appraiser judged every part in every trial.

    Attributes:
        verdicts: int (parts, appraisers, trials), places in `CATEGORIES`.
        defective: bool (parts,), the standard.
    """

    parts: tuple[str, ...]
    appraisers: tuple[str, ...]
    trials: tuple[str, ...]
    verdicts: NDArray[np.int64]
    defective: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse shapes and codes that do not fit."""
        shape = (len(self.parts), len(self.appraisers), len(self.trials))
        if self.verdicts.shape != shape or self.defective.shape != shape[:1] or 0 in shape:
            raise ValueError(f"needs verdicts {shape} and a standard {shape[:1]}; got {self.verdicts.shape}")
        if not np.isin(self.verdicts, range(len(CATEGORIES))).all():
            raise ValueError(f"verdicts must be 0…{len(CATEGORIES) - 1}; got {np.unique(self.verdicts).tolist()}")

    @property
    def standard(self) -> NDArray[np.int64]:
        """The verdict that is right for each part, int (parts,)."""
        return np.where(self.defective, _NG, _OK)


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(Rate):
    """`count` of `of`, with the exact interval of the share."""

    count: int
    of: int


class AppraiserFigures(_Figures):
    """One appraiser, against themselves and against the standard. `levels` grades the figures that have limits."""

    within: Share | None = Field(description="parts judged alike in all trials; null with one trial")
    within_kappa: Kappa = Field(description="Fleiss' kappa of the trials")
    effectiveness: Share = Field(description="parts judged right in all trials")
    miss_rate: Share = Field(description="verdicts OK, of all verdicts on defective parts")
    false_alarm_rate: Share = Field(description="verdicts NG, of all verdicts on good parts")
    reviews: int = Field(description="verdicts REVIEW")
    kappa: Kappa = Field(description="Cohen's kappa of all verdicts with the standard")
    levels: dict[str, Level | None]
    verdict: Level | None = Field(description="the worst level; null if an undefined figure could make it worse")


class PairFigures(_Figures):
    """Two appraisers, trial by trial."""

    appraisers: tuple[str, str]
    agreement: Share = Field(description="equal verdicts on the same part in the same trial")
    kappa: Kappa = Field(description="Cohen's kappa")


class AgreementFigures(_Figures):
    """`msa.json` of an attribute study."""

    kind: Literal["attribute"] = "attribute"
    good: int
    defective: int
    trials: int
    appraisers: dict[str, AppraiserFigures]
    pairs: tuple[PairFigures, ...]
    between: Share | None = Field(description="parts that all judged alike in all trials; null with one appraiser")
    between_kappa: Kappa = Field(description="Fleiss' kappa of all appraisers' trials")
    all_against_standard: Share = Field(description="parts that all judged right in all trials")
    all_kappa: Kappa = Field(description="Cohen's kappa of everybody's verdicts with the standard")
    acceptable: bool = Field(description="every appraiser's verdict is acceptable")
    notes: tuple[str, ...]


def analyse(study: AttributeStudy, confidence: float = 0.95) -> AgreementFigures:
    """The whole analysis.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    verdicts, standard = study.verdicts, study.standard
    flat = verdicts.reshape(len(standard), -1)
    people = {name: _appraiser(verdicts[:, i], standard, confidence) for i, name in enumerate(study.appraisers)}
    several = len(study.appraisers) > 1
    return AgreementFigures(
        good=int((~study.defective).sum()),
        defective=int(study.defective.sum()),
        trials=len(study.trials),
        appraisers=people,
        pairs=tuple(
            _pair(
                (study.appraisers[a], study.appraisers[b]), verdicts[:, a].ravel(), verdicts[:, b].ravel(), confidence
            )
            for a, b in combinations(range(len(study.appraisers)), 2)
        ),
        between=_share(_alike(flat), confidence) if several else None,
        between_kappa=fleiss(_counts(flat), confidence) if several else Kappa(confidence=confidence),
        all_against_standard=_share((flat == standard[:, None]).all(axis=1), confidence),
        all_kappa=cohen(_crossed(np.repeat(standard, flat.shape[1]), flat.ravel()), confidence),
        acceptable=all(figures.verdict is Level.ACCEPTABLE for figures in people.values()),
        notes=tuple(_notes(study)),
    )


def _appraiser(verdicts: NDArray[np.int64], standard: NDArray[np.int64], confidence: float) -> AppraiserFigures:
    """`verdicts` is (parts, trials)."""
    bad = standard == _NG
    trials = verdicts.shape[1]
    shares = {
        "effectiveness": _share((verdicts == standard[:, None]).all(axis=1), confidence),
        "miss_rate": _share((verdicts[bad] == _OK).ravel(), confidence),
        "false_alarm_rate": _share((verdicts[~bad] == _NG).ravel(), confidence),
    }
    levels = {name: level(name, share.value) for name, share in shares.items()}
    return AppraiserFigures(
        within=_share(_alike(verdicts), confidence) if trials > 1 else None,
        within_kappa=fleiss(_counts(verdicts), confidence),
        **shares,
        reviews=int((verdicts == _REVIEW).sum()),
        kappa=cohen(_crossed(np.repeat(standard, trials), verdicts.ravel()), confidence),
        levels=levels,
        verdict=worst(list(levels.values())),
    )


def _pair(names: tuple[str, str], one: NDArray[np.int64], other: NDArray[np.int64], confidence: float) -> PairFigures:
    return PairFigures(
        appraisers=names, agreement=_share(one == other, confidence), kappa=cohen(_crossed(one, other), confidence)
    )


def level(name: str, value: float | None) -> Level | None:
    """The grade of a figure of `LIMITS`; `None` where it is not defined."""
    if value is None:
        return None
    acceptable, marginal = LIMITS[name]
    sign = 1 if acceptable > marginal else -1  # whether more is better
    if sign * value >= sign * acceptable:
        return Level.ACCEPTABLE
    return Level.MARGINAL if sign * value >= sign * marginal else Level.UNACCEPTABLE


def worst(levels: Sequence[Level | None]) -> Level | None:
    """The worst level; `None` if one that is not known could be worse: nothing undefined counts as good."""
    if Level.UNACCEPTABLE in levels:
        return Level.UNACCEPTABLE
    if None in levels:
        return None
    return Level.MARGINAL if Level.MARGINAL in levels else Level.ACCEPTABLE


def _share(hits: NDArray[np.bool_], confidence: float) -> Share:
    count, of = int(hits.sum()), len(hits)
    return Share(count=count, of=of, **rate(count, of, confidence).model_dump())


def _alike(verdicts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(parts, ratings) → whether a part's ratings are all the same."""
    return np.asarray((verdicts == verdicts[:, :1]).all(axis=1))


def _counts(verdicts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(parts, ratings) → (parts, categories)."""
    return np.stack([(verdicts == code).sum(axis=1) for code in range(len(CATEGORIES))], axis=1)


def _crossed(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    size = len(CATEGORIES)
    return np.bincount(one * size + other, minlength=size * size).reshape(size, size)


def _notes(study: AttributeStudy) -> list[str]:
    """What a reader must know before believing the figures."""
    notes = []
    for kind, parts in (("good", ~study.defective), ("defective", study.defective)):
        if not parts.any():
            figure = "false alarm rate" if kind == "good" else "miss rate"
            notes.append(f"No part is {kind}, so the {figure} is not defined and nobody can be called acceptable.")
    if len(study.trials) == 1:
        notes.append("There is one trial, so nobody can be compared with themselves; AIAG has three.")
    if len(study.parts) < 20:
        notes.append(f"There are {len(study.parts)} parts; AIAG's example has 50. Read the intervals.")
    return notes

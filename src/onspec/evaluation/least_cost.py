"""The image threshold of the least expected cost."""

import math
from dataclasses import dataclass

import numpy as np

from onspec.domain import EvidenceError, UsageError
from onspec.evaluation.evidence import at_most, check_confidence, percent, rate_anywhere
from onspec.evaluation.gaps import least_cost_threshold
from onspec.evaluation.part_scores import PartScores

ESCAPE_COST = 20.0
"""Of an escape, in false rejects, unless somebody says otherwise: the weight of the DAGM 2007 competition."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What an error costs, in any unit.

    Attributes:
        escape: of a defective part that is judged OK.
        false_reject: of a good part that is judged NG.
        defect_share: share of the parts that are defective in production; `None`: as in the data.
    """

    escape: float
    false_reject: float = 1.0
    defect_share: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no cost, and a share that leaves nothing to weigh."""
        for what, cost in (("an escape", self.escape), ("a false reject", self.false_reject)):
            if not 0 < cost < math.inf:
                raise UsageError(f"a cost of {cost:g} for {what} cannot be weighed; allowed: any number over 0")
        if self.defect_share is not None and not 0 < self.defect_share < 1:
            raise UsageError(
                f"a share of {self.defect_share:g} of defective parts cannot be weighed; allowed: over 0 and under 1, "
                "as 0.02 for 2 %"
            )


@dataclass(frozen=True, slots=True)
class LeastCost:
    """The threshold that cost least on the parts, and what is known of it beyond them.

    Attributes:
        image: the image threshold.
        escape_cost, false_reject_cost: what was given.
        defect_share: of all parts, as given or (`share_given` is false) as in the data.
        parts, good: defective and good parts that were counted.
        cost: on these parts, a part of production; flattered, as the threshold was chosen for it.
        cost_bound: what the expected cost is at most, with `confidence`.
        escape_bound, false_reject_bound: the rates likewise, each with `confidence` (`rate_anywhere`).
    """

    image: float
    confidence: float
    escape_cost: float
    false_reject_cost: float
    defect_share: float
    share_given: bool
    parts: int
    good: int
    escapes: int
    false_rejects: int
    escape_bound: float
    false_reject_bound: float
    cost: float
    cost_bound: float

    @property
    def claim(self) -> str:
        """By which rule it was chosen, as a sentence's beginning."""
        share = f"{percent(round(self.defect_share, 4))} of the parts defective {'' if self.share_given else 'as here'}"
        return (
            f"least expected cost, an escape {self.escape_cost:g} and a false reject {self.false_reject_cost:g}, "
            f"{share.strip()}"
        )

    def basis(self, split: str) -> str:
        """The recipe's sentence."""
        return (
            f"{self.claim}: {self.cost:.3g} a part on the {split} split, at most {_rounded_up(self.cost_bound)} with "
            f"{percent(self.confidence)} confidence; escapes: {self.escapes} of {self.parts} defective parts "
            f"({at_most(self.escape_bound)} at most), false rejects: {self.false_rejects} of {self.good} good parts "
            f"({at_most(self.false_reject_bound)} at most), each with that confidence although the parts chose the "
            "threshold (learn then test over all ranks)"
        )


def check_both_kinds(parts: int, good: int) -> None:
    """Refuse to weigh errors of which one kind cannot happen: it would reject every part, or none.

    Raises:
        EvidenceError: no defective part, or no good one.
    """
    if not parts or not good:
        raise EvidenceError(
            f"The data cannot support a least expected cost: it takes good and defective parts, and there are {good} "
            f"good and {parts} defective ones; add {'defective' if not parts else 'good'} parts"
        )


def least_cost(scores: PartScores, costs: Costs, confidence: float) -> LeastCost:
    """The threshold of the least expected cost on the parts; of equal ones the middle of the widest gap.

    Raises:
        EvidenceError: no defective part, or no good one.
        UsageError: what is no confidence.
    """
    check_confidence(confidence)
    n, m = len(scores.bad), len(scores.good)
    check_both_kinds(n, m)
    share = n / (n + m) if costs.defect_share is None else costs.defect_share
    of_escapes, of_rejects = share * costs.escape, (1.0 - share) * costs.false_reject
    defective = np.repeat([False, True], [m, n])
    image = least_cost_threshold(defective, np.concatenate(scores), (of_escapes / n) / (of_rejects / m))
    escapes, false_rejects = scores.errors(image)
    both = 1.0 - (1.0 - confidence) / 2.0  # each bound may fail half as often, so that their sum holds
    return LeastCost(
        image=image,
        confidence=confidence,
        escape_cost=costs.escape,
        false_reject_cost=costs.false_reject,
        defect_share=share,
        share_given=costs.defect_share is not None,
        parts=n,
        good=m,
        escapes=escapes,
        false_rejects=false_rejects,
        escape_bound=rate_anywhere(escapes, n, confidence),
        false_reject_bound=rate_anywhere(false_rejects, m, confidence),
        cost=of_escapes * escapes / n + of_rejects * false_rejects / m,
        cost_bound=of_escapes * rate_anywhere(escapes, n, both) + of_rejects * rate_anywhere(false_rejects, m, both),
    )


def _rounded_up(cost: float) -> str:
    """Three digits that are never too good."""
    step = 10.0 ** (math.floor(math.log10(cost)) - 2)
    return f"{math.ceil(cost / step - 1e-9) * step:.6g}"

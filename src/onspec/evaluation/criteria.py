"""What a threshold is to achieve: each criterion refuses at once what so many parts cannot support, then chooses."""

from dataclasses import dataclass
from typing import Protocol

from onspec.evaluation.bounded import Bounded, Spared, bounded, spared
from onspec.evaluation.evidence import FALSE_REJECTS, check_confidence, rank_for
from onspec.evaluation.least_cost import Costs, LeastCost, check_both_kinds, least_cost
from onspec.evaluation.part_scores import PartScores

Choice = Bounded | Spared | LeastCost
"""An image threshold, what it costs on the parts that chose it, and what that bounds."""


class Criterion(Protocol):
    """One way to choose the image threshold."""

    def check(self, parts: int, good: int, confidence: float) -> None:
        """Refuse what `parts` defective and `good` parts cannot support, whatever they score.

        Raises:
            EvidenceError: too few of them.
            UsageError: what no data could support.
        """

    def choose(self, scores: PartScores, confidence: float) -> Choice:
        """The threshold.

        Raises:
            EvidenceError, UsageError: as for `check`, or the scores do not support it.
        """


@dataclass(frozen=True, slots=True)
class MaxEscapeRate:
    """At most this share of the defective parts escapes."""

    rate: float

    def check(self, parts: int, good: int, confidence: float) -> None:
        """See `Criterion`."""
        rank_for(parts, self.rate, confidence)

    def choose(self, scores: PartScores, confidence: float) -> Choice:
        """See `Criterion`."""
        return bounded(scores, self.rate, confidence)


@dataclass(frozen=True, slots=True)
class MaxFalseRejectRate:
    """At most this share of the good parts is rejected."""

    rate: float

    def check(self, parts: int, good: int, confidence: float) -> None:
        """See `Criterion`."""
        rank_for(good, self.rate, confidence, FALSE_REJECTS)

    def choose(self, scores: PartScores, confidence: float) -> Choice:
        """See `Criterion`."""
        return spared(scores, self.rate, confidence)


@dataclass(frozen=True, slots=True)
class LeastExpectedCost:
    """Escapes and false rejects cost as little as can be."""

    costs: Costs

    def check(self, parts: int, good: int, confidence: float) -> None:
        """See `Criterion`."""
        check_confidence(confidence)
        check_both_kinds(parts, good)

    def choose(self, scores: PartScores, confidence: float) -> Choice:
        """See `Criterion`."""
        return least_cost(scores, self.costs, confidence)

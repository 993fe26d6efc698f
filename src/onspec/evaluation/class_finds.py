"""What a detector reports of each class, and what to add to a class's scores for one threshold to suit them all."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from onspec.evaluation.boxes import Boxes
from onspec.evaluation.gaps import logit
from onspec.evaluation.observed import Finds

_PRIOR = 10
"""As many labelled defects as a class has for half of what they ask for: the threshold of few is one by luck."""


class ClassFinds:
    """Boxes of validation images by class: a box is right, or a label found, within its class alone."""

    def __init__(self) -> None:
        self._finds: defaultdict[int, Finds] = defaultdict(Finds)

    def add(self, found: Boxes, truth: Boxes) -> None:
        """Count the boxes of one image."""
        for cls in {*found.classes.tolist(), *truth.classes.tolist()}:
            self._finds[cls].add_boxes(found.kept(found.classes == cls), truth.kept(truth.classes == cls))

    def best(self, adjustments: Mapping[int, float] | None = None) -> tuple[float, float] | None:
        """The threshold of the best F1 of all boxes, and that F1, after what is added to a class's logits.

        `None` where nothing is labelled or nothing can be found.
        """
        every, by = Finds(), adjustments or {}
        for cls, finds in self._finds.items():
            move = by.get(cls, 0.0)
            every.add(_raised(finds.score, move), finds.right, _raised(finds.found_at, move))
        return every.best()

    def adjustments(self) -> dict[int, float]:
        """Class → what to add to its logits (post-hoc logit adjustment, as Menon et al. 2021 name it for priors).

        A class that is learned less surely scores lower all over; under a threshold that suits the others it would
        hardly be reported at all. So each is moved from the threshold of its own best F1 to that of all; by n / (n +
        10) of it where n of its defects are labelled. Classes that are told worst are left out, one after the other,
        for as long as moving them costs the best F1 of all boxes; empty where none is moved.
        """
        before = self.best()
        if before is None:
            return {}
        own = {cls: best for cls, finds in self._finds.items() if (best := finds.best()) is not None}
        by_f1 = sorted(own, key=lambda cls: -own[cls][1])
        moves = {cls: move for cls in by_f1 if (move := self._move(cls, own[cls][0], before[0]))}
        while moves:
            after = self.best(moves)
            if after is not None and after[1] >= before[1] - 1e-9:
                break
            moves.popitem()
        return moves

    def _move(self, cls: int, own: float, common: float) -> float:
        labels = len(self._finds[cls].found_at)
        return round(labels / (labels + _PRIOR) * (logit(common) - logit(own)), 3)


def _raised(scores: Sequence[float], by: float) -> list[float]:
    """Scores in [0, 1] whose logits are higher by `by`; 0 and 1 stay, which `logit` would cut."""
    odds = math.exp(by)
    return [score * odds / (1.0 - score + score * odds) for score in scores]

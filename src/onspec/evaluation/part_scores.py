"""What a threshold is chosen on: the scores of parts."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from onspec.evaluation.gaps import Floats
from onspec.evaluation.results import ImageResult, by_part


class PartScores(NamedTuple):
    """Scores of the good (m,) and of the defective parts (n,), each rising."""

    good: Floats
    bad: Floats

    def errors(self, threshold: float) -> tuple[int, int]:
        """Escapes and false rejects."""
        return int((self.bad < threshold).sum()), int((self.good >= threshold).sum())


def part_scores(results: Iterable[ImageResult]) -> PartScores:
    """Parts are counted, not images: several images of one part are no independent evidence.

    A part of which an image could not be judged is left out, whatever its other images say: to keep it only where they
    reject it would prefer high scores.
    """
    results = list(results)
    incomplete = {result.part for result in results if result.score is None}
    parts = [part for part in by_part(results) if part.part not in incomplete]
    good, bad = ([part.score or 0.0 for part in parts if part.defective is kind] for kind in (False, True))
    return PartScores(np.sort(np.array(good, np.float64)), np.sort(np.array(bad, np.float64)))

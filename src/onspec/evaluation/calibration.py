"""How far scores can be read as probabilities: the reliability diagram."""

from collections.abc import Sequence

import numpy as np

from onspec.evaluation.figures import rate
from onspec.evaluation.metrics import CalibrationBin, CalibrationFigures
from onspec.evaluation.results import ImageResult

BINS = 10
"""Of equal width in the score."""


def calibration(results: Sequence[ImageResult], confidence: float) -> CalibrationFigures | None:
    """Defective share of the images by score; `None` unless good and defective images were judged.

    The expected calibration error is Σ n_b/n·|share_b − mean score_b| over the bins (Naeini et al., AAAI 2015, 2901).
    The last bin holds scores of exactly 1, too.
    """
    known = [(r.score, r.defective) for r in results if r.score is not None]
    score = np.array([s for s, _ in known], np.float64)
    defective = np.array([d for _, d in known], bool)
    if not defective.any() or defective.all():
        return None
    number = np.minimum((score * BINS).astype(int), BINS - 1)
    bins = [_bin(k, score[number == k], defective[number == k], confidence) for k in range(BINS)]
    gaps = [
        b.images * abs(b.share.value - b.mean_score)
        for b in bins
        if b.share.value is not None and b.mean_score is not None
    ]
    return CalibrationFigures(expected_calibration_error=float(sum(gaps) / len(score)), bins=tuple(bins))


def _bin(index: int, score: np.ndarray, defective: np.ndarray, confidence: float) -> CalibrationBin:
    count = int(defective.sum())
    return CalibrationBin(
        score_from=index / BINS,
        score_to=(index + 1) / BINS,
        images=len(score),
        defective=count,
        mean_score=float(score.mean()) if len(score) else None,
        share=rate(count, len(score), confidence),
    )

"""Heat maps → what a classifier says of the whole image."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onspec.domain import ScoreMap

LEAST_GOOD = 1e-6
"""The least score of good surface that odds are reckoned against."""


def pooled_scores(maps: Sequence[ScoreMap], sharpness: float) -> tuple[float, dict[str, float]]:
    """The image's score in [0, 1], and its score for each class.

    With the class maps m_k and m_0 = 1 − Σ m_k, a pixel's odds of class k against good surface are m_k / m_0; the
    image's are their power mean O_k = (mean of (m_k / m_0)^r)^(1/r) with the sharpness r; its score for the class is
    O_k / (1 + Σ O), its defect score Σ O / (1 + Σ O). With r = 1 the mean counts, with r → ∞ the maximum.

    This is log-sum-exp pooling of logits, s = 1/r · log(mean of exp(r · x)) (Pinheiro & Collobert, From Image-level to
    Pixel-level Labeling with Convolutional Networks, CVPR 2015), written in odds = exp(logit); the image's logit
    against good is log O. Raising any class score of any pixel lowers no odds there, so it never lowers the defect
    score. An image whose pixels all score the same has their scores.
    """
    by_name = sorted(maps, key=lambda m: m.cls)  # rounding must not depend on the order of classes
    good = np.ones(by_name[0].values.shape, np.float64)
    for score_map in by_name:
        good -= score_map.values
    np.maximum(good, LEAST_GOOD, out=good)
    odds = {m.cls: _power_mean(m.values / good, sharpness) for m in by_name}
    total = math.fsum(odds.values())
    return total / (1.0 + total), {cls: value / (1.0 + total) for cls, value in odds.items()}


def _power_mean(values: NDArray[np.float64], exponent: float) -> float:
    """Reckoned against the highest value, so that no power overflows."""
    highest = float(values.max())
    if highest == 0.0:
        return 0.0
    mean = float(((values / highest) ** exponent).mean())
    return float(highest * mean ** (1.0 / exponent))

"""From which size on defects are found: the probability-of-detection curve of non-destructive testing (POD).

Hit/miss data by the model of MIL-HDBK-1823A (2009), appendix G: logit POD(a) = b0 + b1·ln a, fitted by maximum
likelihood. Bounds are those of the likelihood ratio, as that handbook recommends for hit/miss data, but of the
likelihood that Firth (Biometrika 80, 1993, 27) penalises: with the defects that there usually are, the plain ratio's
95 % hold in about 91 % of cases, and those of the penalised one in 95 % and more (Heinze & Schemper, Statistics in
Medicine 21, 2002, 2409).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onspec.domain import MissingExtraError
from onspec.evaluation.intervals import clopper_pearson

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

CONFIDENCE = 0.95
"""One-sided, of the lower bound: the 95 of a90/95."""

FEWEST = 10
"""Defects without which no curve is fitted."""

ADVISED = 60
"""Defects that MIL-HDBK-1823A asks for in a hit/miss study."""

_FARTHEST = 1e3
"""How many times as large as the largest defect a bound is sought."""


@dataclass(frozen=True, slots=True)
class Fit:
    """logit POD(a) = intercept + slope·ln a, with what it takes to bound it.

    Attributes:
        log_size: ln a of each defect, (n,), and `found` whether it was found.
        most: the greatest penalised log-likelihood.
        deviance_bound: how much twice of it may fall under that within the one-sided bound.
    """

    intercept: float
    slope: float
    log_size: Floats
    found: Flags
    most: float
    deviance_bound: float

    def size_at(self, probability: float) -> float:
        """The size that is found with that probability."""
        return math.exp((math.log(probability / (1 - probability)) - self.intercept) / self.slope)

    def probability(self, size: Floats) -> Floats:
        """POD(a)."""
        return _sigmoid(self.intercept + self.slope * np.log(size))

    def lower(self, size: float) -> float:
        """The lower bound of POD(a), one-sided at `CONFIDENCE`."""
        from scipy.optimize import brentq

        at = math.log(size)
        best = self.intercept + self.slope * at
        if self._excess(at, best) >= 0:  # far beyond the data the penalty alone may say so
            return float(_sigmoid(np.array(best)))
        low = best - 1.0
        while self._excess(at, low) < 0:
            low = best - 2.0 * (best - low)
            if best - low > 60.0:
                return 0.0
        return float(_sigmoid(np.array(brentq(lambda eta: self._excess(at, eta), low, best, xtol=1e-6))))

    def size_bound(self, probability: float) -> float | None:
        """The size from which on the lower bound of POD(a) is that probability: a90/95 for 0.9.

        `None` where there is none up to `_FARTHEST` times the largest defect: the slope may be 0.
        """
        from scipy.optimize import brentq

        eta = math.log(probability / (1 - probability))
        low = math.log(self.size_at(probability))
        if self._excess(low, eta) >= 0:
            return math.exp(low)
        last = max(low, float(self.log_size.max())) + math.log(_FARTHEST)
        high = low + 0.1
        while self._excess(high, eta) < 0:
            high = low + 2.0 * (high - low)
            if high > last:
                return None
        return math.exp(brentq(lambda at: self._excess(at, eta), low, high, xtol=1e-9))

    def _excess(self, at: float, eta: float) -> float:
        """How far the likelihood's fall goes beyond the bound where logit POD is `eta` at ln a = `at`."""
        from scipy.optimize import minimize_scalar

        shifted = self.log_size - at
        best = minimize_scalar(
            lambda slope: -_penalised(eta + slope * shifted, self.log_size, self.found),
            bounds=(-3.0 * self.slope, 5.0 * self.slope),
            method="bounded",
            options={"xatol": 1e-6 * self.slope},
        )
        return 2.0 * (self.most + float(best.fun)) - self.deviance_bound


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no curve, as a sentence."""

    reason: str


def fit(size: Sequence[float], found: Sequence[bool]) -> Fit | Refusal:
    """The curve of defects of these sizes (any unit, over 0), or why there is none.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.stats import chi2
    except ModuleNotFoundError:
        raise MissingExtraError("A probability-of-detection curve", "evaluate") from None
    log_size, hit = np.log(np.asarray(size, np.float64)), np.asarray(found, bool)
    refused = _refused(log_size, hit)
    if refused is not None:
        return refused
    intercept, slope = _maximum(log_size, hit)
    if slope <= 0:
        return Refusal("larger defects were not found more often than small ones, so size does not explain the misses")
    bound = float(chi2.ppf(2 * CONFIDENCE - 1, 1))  # of two sides, one is asked for
    return Fit(intercept, slope, log_size, hit, _most(intercept, slope, log_size, hit), bound)


def _refused(log_size: Floats, hit: Flags) -> Refusal | None:
    n, hits = len(hit), int(hit.sum())
    if n < FEWEST:
        return Refusal(f"{n} defects of known size are too few; it takes {FEWEST}, and {ADVISED} are advised")
    if hits == n:
        low, _ = clopper_pearson(n, n, 2 * CONFIDENCE - 1)
        return Refusal(
            f"all {n} defects were found, so nothing shows where detection ends; defects like these are found with a "
            f"probability of at least {math.floor(low * 1000) / 10:.1f} % ({CONFIDENCE * 100:g} % confidence)"
        )
    if hits == 0:
        return Refusal(f"none of the {n} defects was found")
    reason = _undetermined(log_size[hit], log_size[~hit])
    return None if reason is None else Refusal(reason)


def _undetermined(hits: Floats, misses: Floats) -> str | None:
    """Why no curve is likelier than all others, or it falls; `None` where one is."""
    if max(hits.max(), misses.max()) - min(hits.min(), misses.min()) < 1e-9:
        return "all defects have the same size"
    if hits.min() >= misses.max():
        return (
            "every defect that was found is at least as large as every one that was missed, so the curve's steepness "
            "is not defined; it takes sizes at which some are found and some are missed"
        )
    if hits.max() <= misses.min():
        return "every defect that was missed is at least as large as every one that was found"
    return None


def _maximum(x: Floats, hit: Flags) -> tuple[float, float]:
    """Intercept and slope of the greatest likelihood, by Newton's method with halved steps; it has one maximum."""
    design = np.stack([np.ones_like(x), x - x.mean()], axis=1)
    share = float(hit.mean())
    b = np.array([math.log(share / (1 - share)), 0.0])
    for _ in range(100):
        p = _sigmoid(design @ b)
        gradient = design.T @ (hit - p)
        information = design.T @ (design * (p * (1 - p))[:, None]) + 1e-12 * np.eye(2)
        step = np.asarray(np.linalg.solve(information, gradient), np.float64)
        b = _climbed(b, step, design, hit)
        if float(np.abs(step).max()) < 1e-10:
            break
    return float(b[0] - b[1] * x.mean()), float(b[1])


def _most(intercept: float, slope: float, x: Floats, hit: Flags) -> float:
    """The greatest penalised log-likelihood, sought from the greatest plain one."""
    from scipy.optimize import minimize

    middle, scale = float(x.mean()), float(x.std())
    z = (x - middle) / scale
    start = [intercept + slope * middle, slope * scale]
    return -float(minimize(lambda b: -_penalised(b[0] + b[1] * z, x, hit), start, method="Nelder-Mead").fun)


def _climbed(b: Floats, step: Floats, design: Floats, hit: Flags) -> Floats:
    """A Newton step, halved until it does not lower the likelihood."""
    before = _log_likelihood(design @ b, hit)
    for _ in range(40):
        if _log_likelihood(design @ (b + step), hit) >= before - 1e-12:
            return np.asarray(b + step)
        step = step / 2.0
    return b


def _log_likelihood(eta: Floats, hit: Flags) -> float:
    return -float(np.logaddexp(0.0, np.where(hit, -eta, eta)).sum())


def _penalised(eta: Floats, x: Floats, hit: Flags) -> float:
    """Firth's: the log-likelihood plus half of the logarithm of the information's determinant."""
    p = _sigmoid(eta)
    weight, centred = p * (1 - p), x - x.mean()
    first = float(weight @ centred)
    information = float(weight.sum()) * float(weight @ centred**2) - first * first
    return _log_likelihood(eta, hit) + 0.5 * math.log(max(information, 1e-300))


def _sigmoid(eta: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(eta, -700, 700))), np.float64)

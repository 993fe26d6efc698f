"""The defects of an evaluation → their probability-of-detection curve."""

import math
from collections.abc import Sequence

from onspec.evaluation.defects import Outcome
from onspec.evaluation.detectability import Fit, Refusal, fit
from onspec.evaluation.kinds import labelled_defects
from onspec.evaluation.metrics import DetectabilityFigures
from onspec.evaluation.results import ImageResult

_NO_SIZE = "the labels do not tell how large the defects are"


def hits(results: Sequence[ImageResult], pixel_size_mm: float | None = None) -> tuple[list[float], list[bool]]:
    """Sizes, √area in px or mm, of the labelled defects that were judged, and whether each was reported.

    Of whatever class: a scratch that is reported as a dent was detected.
    """
    scale = 1.0 if pixel_size_mm is None else pixel_size_mm
    judged = [d for d in labelled_defects(results) if d.area_px is not None and d.outcome is not Outcome.NOT_JUDGED]
    sizes = [math.sqrt(d.area_px or 0.0) * scale for d in judged]
    return sizes, [d.outcome is not Outcome.MISSED for d in judged]


def detectability(results: Sequence[ImageResult], pixel_size_mm: float | None = None) -> DetectabilityFigures:
    """a50, a90 and a90/95 of the defects, or why there are none."""
    sizes, found = hits(results, pixel_size_mm)
    curve = fit(sizes, found) if sizes else Refusal(_NO_SIZE)
    known = {
        "measure": "sqrt_area",
        "unit": "px" if pixel_size_mm is None else "mm",
        "defects": len(sizes),
        "found": sum(found),
        "smallest": min(sizes, default=None),
        "largest": max(sizes, default=None),
    }
    if isinstance(curve, Fit):
        bound = curve.size_bound(0.9)
        known |= {
            "intercept": curve.intercept, "slope": curve.slope,
            "a50": curve.size_at(0.5), "a90": curve.size_at(0.9), "a90_95": bound,
        }  # fmt: skip
        if bound is None:
            known["reason"] = "the data cannot say from which size on 90 % are found: a90/95 is not bounded"
    else:
        known["reason"] = curve.reason
    return DetectabilityFigures.model_validate(known)

"""`metrics.json`: figures made of counts. One that the data does not define is `null`."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from onspec.decision.thresholds import Thresholds
from onspec.domain import Verdict
from onspec.evaluation.intervals import clopper_pearson
from onspec.evaluation.ranking import auroc, average_precision, false_rejects_at_zero_escapes
from onspec.evaluation.results import ImageResult, Matches, Overlap, PartResult


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(_Figures):
    """A share with its exact (Clopper–Pearson) two-sided interval; all `null` where there is nothing to count."""

    value: float | None
    low: float | None
    high: float | None
    confidence: float


class Images(_Figures):
    """Images that were judged, by truth."""

    good: int
    defective: int


class ImageFigures(_Figures):
    """Images or parts as a whole. Escapes and false rejects follow the verdict, the rest follows the score."""

    average_precision: float | None
    auroc: float | None
    escapes: int = Field(description="defective and judged OK")
    false_rejects: int = Field(description="good and judged NG")
    reviews_good: int
    reviews_defective: int
    escape_rate: Rate
    false_reject_rate: Rate
    false_rejects_at_zero_escapes: int | None


class PartFigures(ImageFigures):
    """The same over parts: a part is what escapes or is rejected, however many images show it."""

    good: int
    defective: int
    errors: int = Field(description="parts with an image that could not be judged, and none that was NG")


class PixelFigures(_Figures):
    """At the pixel threshold. `dice` and `iou` are means over defective images of which it is known where."""

    dice: float | None
    iou: float | None
    dice_pooled: float | None = Field(description="of all such images taken as one: large defects weigh more")
    aupro: float | None
    images: int = Field(description="defective images with a mask that is not empty")
    good_marked_share: float | None = Field(None, description="marked share of good images' pixels, mean")


class DetectionFigures(_Figures):
    """Defects as regions, at the operating point. Average precision of boxes needs the task `detect`."""

    map_50: float | None = None
    map_50_95: float | None = None
    precision: float | None
    recall: float | None
    f1: float | None
    defects: int
    defects_found: int
    reported: int
    reported_right: int


class ClassificationFigures(_Figures):
    """Which class an image was told to be; not defined for segmentation."""

    accuracy: float | None = None
    f1_macro: float | None = None
    confusion: list[list[int]] | None = None


class ClassFigures(_Figures):
    """One class of defects."""

    pixel: PixelFigures
    detection: DetectionFigures


class MetricsProvenance(_Figures):
    """Where the figures come from. Times are UTC in ISO 8601."""

    created: str
    onspec: str
    recipe: str = Field(description="NAME@sha256:HEX")
    engine: str
    data: str = Field(description="the data set folder's name")
    layout: str
    fingerprint: str = Field(description="sha256 over names, contents, labels and split")
    split_from: str = Field(description="who said which part belongs to which split")
    command: str
    seconds: float
    versions: dict[str, str] = Field(default_factory=dict)


class Metrics(_Figures):
    """What `onspec evaluate` found; `notes` says in sentences what limits the figures."""

    task: str
    split: str
    images: Images
    errors: int = Field(description="images that could not be judged; they count nowhere else")
    threshold: float = Field(description="image threshold, also in `thresholds`")
    thresholds: Thresholds
    image: ImageFigures
    parts: PartFigures
    pixel: PixelFigures
    detection: DetectionFigures
    classification: ClassificationFigures = ClassificationFigures()
    per_class: dict[str, ClassFigures]
    notes: tuple[str, ...] = ()
    provenance: MetricsProvenance | None = None

    def to_json(self) -> str:
        """`metrics.json`."""
        return self.model_dump_json(indent=2) + "\n"


def rate(count: int, of: int, confidence: float) -> Rate:
    """`count` of `of` with its interval."""
    if of == 0:
        return Rate(value=None, low=None, high=None, confidence=confidence)
    low, high = clopper_pearson(count, of, confidence)
    return Rate(value=count / of, low=low, high=high, confidence=confidence)


def image_figures(results: Sequence[ImageResult], confidence: float) -> ImageFigures:
    """Figures over the images that were judged."""
    return ImageFigures.model_validate(_whole(results, confidence))


def part_figures(parts: Sequence[PartResult], confidence: float) -> PartFigures:
    """Figures over the parts that were judged."""
    judged = Counter(part.defective for part in parts if part.score is not None)
    return PartFigures.model_validate(
        {
            **_whole(parts, confidence),
            "good": judged[False],
            "defective": judged[True],
            "errors": sum(part.verdict is Verdict.ERROR for part in parts),
        }
    )


def _whole(results: Sequence[ImageResult] | Sequence[PartResult], confidence: float) -> dict[str, object]:
    judged = [(r.defective, r.verdict, r.score) for r in results if r.score is not None]
    defective = np.array([d for d, _, _ in judged], bool)
    score = np.array([s for _, _, s in judged], np.float64)
    counts = Counter((d, v) for d, v, _ in judged)
    bad = int(defective.sum())
    escapes, false_rejects = counts[True, Verdict.OK], counts[False, Verdict.NG]
    return {
        "average_precision": average_precision(defective, score),
        "auroc": auroc(defective, score),
        "escapes": escapes,
        "false_rejects": false_rejects,
        "reviews_good": counts[False, Verdict.REVIEW],
        "reviews_defective": counts[True, Verdict.REVIEW],
        "escape_rate": rate(escapes, bad, confidence),
        "false_reject_rate": rate(false_rejects, len(judged) - bad, confidence),
        "false_rejects_at_zero_escapes": false_rejects_at_zero_escapes(defective, score),
    }


def pixel_figures(overlaps: Sequence[Overlap], aupro: float | None, good_marked: Sequence[float] = ()) -> PixelFigures:
    """Figures of per-image overlaps; those without a defective pixel are left out.

    Args:
        good_marked: marked share of each good image.
    """
    with_defect = [o for o in overlaps if o.dice is not None]
    return PixelFigures(
        dice=_mean([o.dice for o in with_defect if o.dice is not None]),
        iou=_mean([o.iou for o in with_defect if o.iou is not None]),
        dice_pooled=sum(with_defect, Overlap()).dice,
        aupro=aupro,
        images=len(with_defect),
        good_marked_share=_mean(good_marked),
    )


def detection_figures(matches: Sequence[Matches]) -> DetectionFigures:
    """Figures over all images; precision is `None` where nothing was reported, recall where nothing was there."""
    total = sum(matches, Matches())
    precision = total.right / total.predicted if total.predicted else None
    recall = total.found / total.truth if total.truth else None
    # Several reported regions may share one labelled defect, so F1 is made of precision and recall, not of counts.
    both = (precision or 0.0) + (recall or 0.0)
    f1 = 2 * (precision or 0.0) * (recall or 0.0) / both if both else 0.0
    return DetectionFigures(
        precision=precision,
        recall=recall,
        f1=f1 if total.predicted or total.truth else None,
        defects=total.truth,
        defects_found=total.found,
        reported=total.predicted,
        reported_right=total.right,
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None

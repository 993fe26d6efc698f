"""Task → how an image's score is found, and how what may be a defect is."""

from collections.abc import Callable
from dataclasses import dataclass, field

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, Task
from onspec.imaging.boxes import box_region
from onspec.imaging.pooling import pooled_scores
from onspec.imaging.regions import Region, find_regions, image_score, weigh_image
from onspec.imaging.weighing import Peak, Weighed

_NEAR_THE_PEAK = 0.9
"""Share of a heat map's maximum that still belongs to its peak, where no pixel reaches the pixel threshold."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The image's defect score in [0, 1], and class → the image's score for that class.

    `weighed` are its regions, where they had to be found to know the score.
    """

    image: float
    classes: dict[str, float]
    weighed: Weighed | None = field(default=None, compare=False, repr=False)

    @property
    def likeliest(self) -> str:
        """The class with the highest score; of equal ones, the first by name."""
        return min(self.classes, key=lambda cls: (-self.classes[cls], cls))


@dataclass(frozen=True, slots=True)
class Reading:
    """How a task's predictions are read.

    Attributes:
        score: the scores of an image.
        find: the regions whose score can change the verdict, given those scores. The image reaches the image threshold
            exactly when one of them does, unless it is too faint for any.
    """

    score: Callable[[Prediction, Thresholds], Scores]
    find: Callable[[Prediction, Thresholds, Scores], list[Region]]


def image_scores(prediction: Prediction, thresholds: Thresholds, task: Task = Task.SEGMENT) -> Scores:
    """The scores that `judge` compares with `thresholds.image` and `thresholds.review`."""
    return TASKS[task].score(prediction, thresholds)


def _highest_regions(prediction: Prediction, thresholds: Thresholds) -> Scores:
    """The score of the highest region: of all classes together for the image, of each map for its class."""
    image, weighed = weigh_image(prediction, thresholds.weighing)
    if len(prediction.maps) == 1:
        return Scores(image, {prediction.maps[0].cls: image}, weighed)
    return Scores(image, {m.cls: image_score(m, thresholds.weighing) for m in prediction.maps}, weighed)


def _highest_boxes(prediction: Prediction, _: Thresholds) -> Scores:
    """The highest score of any box, and of the boxes of each class; 0 without one."""
    classes = {m.cls: 0.0 for m in prediction.maps}
    for box in prediction.boxes:
        classes[box.cls] = max(box.score, classes.get(box.cls, 0.0))
    return Scores(max(classes.values()), classes)


def _pooled(prediction: Prediction, thresholds: Thresholds) -> Scores:
    if thresholds.pooling == "peak":
        return _highest_regions(prediction, thresholds)
    return Scores(*pooled_scores(prediction.maps, thresholds.sharpness))


def _areas(prediction: Prediction, thresholds: Thresholds, scores: Scores) -> list[Region]:
    if scores.image < thresholds.lowest:  # that of the highest region: most parts are good
        return []
    return find_regions(
        prediction,
        pixel_threshold=thresholds.pixel,
        floor=thresholds.floor,
        least=thresholds.lowest,
        weighing=thresholds.weighing,
        weighed=scores.weighed,
    )


def _boxes(prediction: Prediction, thresholds: Thresholds, _: Scores) -> list[Region]:
    return [box_region(box, prediction.size) for box in prediction.boxes if box.score >= thresholds.lowest]


def _heat(prediction: Prediction, thresholds: Thresholds, scores: Scores) -> list[Region]:
    """Where the class of the whole image was seen: each region has the image's score and class.

    A score that is spread thinly over the image may leave no pixel at the pixel threshold; its peak is shown then.
    """
    if scores.image < thresholds.lowest:
        return []
    total = prediction.total()
    level = thresholds.pixel
    regions = find_regions(total, pixel_threshold=level, floor=level, least=level, weighing=Peak(1))
    if not regions:
        level = _NEAR_THE_PEAK * float(total.values.max())
        regions = find_regions(total, pixel_threshold=level, floor=level, least=level, weighing=Peak(1))[:1]
    seen = {"score": scores.image, "cls": scores.likeliest}
    return [Region(region.defect.model_copy(update=seen), region.mask) for region in regions]


TASKS: dict[Task, Reading] = {
    Task.SEGMENT: Reading(_highest_regions, _areas),
    Task.DETECT: Reading(_highest_boxes, _boxes),
    Task.CLASSIFY: Reading(_pooled, _heat),
}

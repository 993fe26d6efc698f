"""How good a network is on held-out parts while it trains."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from onspec.domain import Prediction, Task
from onspec.evaluation.box_ranking import Pair, box_precision
from onspec.evaluation.boxes import found, labelled
from onspec.evaluation.ranking import average_precision
from onspec.imaging.masks import Mask
from onspec.imaging.pooling import pooled_scores
from onspec.imaging.preparation import Infer, InputSpec, Tensor, predict
from onspec.imaging.regions import image_score
from onspec.imaging.weighing import Evidence, Peak, Weighing
from onspec.training.objectives import Objective
from onspec.training.plan import Plan
from onspec.training.pool import Labelled, at_any_size

WINDOWS = (1, 3, 5, 9, 15, 25)
"""Sides in px over which scores are averaged for the image's score."""

SHARPNESS = {Task.SEGMENT: (0.35, 0.5, 0.7, 1.0), Task.CLASSIFY: (0.5, 1.0, 2.0, 4.0)}
"""By task, the sharpnesses of pooled odds that are tried beside the windows; see `imaging.weighing` and `pooling`."""

Figures = dict[str, float | None]
"""Name → value in [0, 1]; `None` where the data does not define it."""

_WEIGHINGS: tuple[Weighing, ...] = (Peak(5), Peak(25), Evidence(0.5))
"""A few of the ways to an image's score; the best of them counts while training, as the best of all does at the end."""

_GROUPS = 20
"""Into so many groups held-out parts are dealt; to leave one out after the other tells how far their choice matters."""


_STANDARD_ERRORS = 2.0
"""From so many on a lead is not taken for chance."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Figures on held-out parts; what they are depends on the task.

    Attributes:
        without: the fitness without the first, the second, … group of parts; empty where that was not reckoned.
    """

    figures: Figures
    without: tuple[float, ...] = ()

    @property
    def fitness(self) -> float:
        """What networks are compared by: all figures weigh the same; one that is not defined counts nothing."""
        return sum(value or 0.0 for value in self.figures.values())

    def falls_short_of(self, other: "Validation") -> bool:
        """Whether the other's lead, on the same parts, is more than two standard errors.

        By the delete-a-group jackknife (Kott 2001, J. Official Statistics 17, 521), paired: of each group, the lead
        without it.
        """
        groups = min(len(self.without), len(other.without))
        leads = np.subtract(other.without[:groups], self.without[:groups])
        variance = (groups - 1) * float(leads.var()) if groups else 0.0
        return other.fitness - self.fitness > _STANDARD_ERRORS * math.sqrt(variance)


def torch_infer(network: nn.Module, objective: Objective, device: torch.device | str = "cpu") -> Infer:
    """The network as production's `Infer`: float32 (N, C, H, W) → the recipe's planes (N, P, H/c, W/c)."""

    def infer(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            x = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
            return objective.scores(network(x).float()).cpu().numpy()

    return infer


def validate(pool: Sequence[Labelled], plan: Plan, infer: Infer) -> Validation:
    """Run over a pool at working resolution."""
    spec, measure = at_working_size(plan.input), _MEASURES[plan.task]
    judged = []
    for item in pool:
        pixels = item.read()
        prediction = predict(pixels.image, spec, plan.classes, plan.task, plan.separate, infer)
        judged.append(measure.of_image(item, pixels.mask, prediction, plan))

    def over(kept: Iterable[int]) -> Validation:
        return Validation(measure.over_images([judged[i] for i in kept], plan))

    group = _groups(pool)
    without = [over(np.flatnonzero(group != left_out)).fitness for left_out in range(max(group, default=-1) + 1)]
    return replace(over(range(len(judged))), without=tuple(without))


def _groups(pool: Sequence[Labelled]) -> NDArray[np.int64]:
    """The group of each image, int64 (n,): all images of a part in one, good and defective parts dealt evenly."""
    defective: dict[str, bool] = {}
    for item in pool:
        defective[item.sample.part] = item.sample.defective or defective.get(item.sample.part, False)
    dealt = {part: i % _GROUPS for i, part in enumerate(sorted(defective, key=lambda part: (defective[part], part)))}
    return np.array([dealt[item.sample.part] for item in pool], np.int64)


def at_working_size(spec: InputSpec) -> InputSpec:
    """The same preparation for images that are at working resolution already."""
    return at_any_size(spec).model_copy(update={"scale": 1.0})


@dataclass(frozen=True, slots=True)
class _Measure:
    """How a task is measured: what counts of one image, and the figures of several."""

    of_image: Callable[[Labelled, Mask, Prediction, Plan], Any]
    over_images: Callable[[Sequence[Any], Plan], Figures]


_Segmented = tuple[bool, list[float], float | None]
"""Defective or not, its score by each weighing, and Dice at a score of 0.5 where the defect is located."""


def _segmented(item: Labelled, label: Mask, prediction: Prediction, plan: Plan) -> _Segmented:
    scores = [image_score(prediction, weighing) for weighing in _WEIGHINGS]
    mask = label[: len(plan.classes)].any(axis=0)
    if not (item.located and mask.any()):
        return item.sample.defective, scores, None
    marked = prediction.total().values >= 0.5
    overlap = np.logical_and(marked, mask).sum()
    return item.sample.defective, scores, float(2.0 * overlap / (marked.sum() + mask.sum()))


def _over_segmented(judged: Sequence[_Segmented], _: Plan) -> Figures:
    """Dice, a mean over defective images, and the image's average precision."""
    truth = np.array([defective for defective, _, _ in judged], bool)
    columns = np.array([scores for _, scores, _ in judged], np.float64).reshape(-1, len(_WEIGHINGS)).T
    dices = [dice for _, _, dice in judged if dice is not None]
    ranked = [ap for column in columns if (ap := average_precision(truth, column)) is not None]
    return {"dice": float(np.mean(dices)) if dices else None, "ap": max(ranked, default=None)}


def _detected(item: Labelled, _: Mask, prediction: Prediction, plan: Plan) -> Pair | None:
    """The labelled boxes and those that were found, where defects are located."""
    return (labelled((item.boxes, item.kinds)), found(prediction.boxes, plan.classes)) if item.located else None


def _over_detected(pairs: Sequence[Pair | None], plan: Plan) -> Figures:
    """Average precision of the boxes at IoU 0.5, and over 0.5 to 0.95."""
    mean, _ = box_precision([pair for pair in pairs if pair is not None], len(plan.classes))
    return {"map_50": mean.ap_50, "map_50_95": mean.ap_50_95}


def _classified(item: Labelled, _: Mask, prediction: Prediction, plan: Plan) -> tuple[int, int, float]:
    """Its class, the class that is told, and the score of being defective."""
    score, by_class = pooled_scores(prediction.maps, 1.0)
    each = np.array([1.0 - score, *(by_class[cls] for cls in plan.classes)])
    return item.cls, int(each.argmax()), score


def _over_classified(judged: Sequence[tuple[int, int, float]], _: Plan) -> Figures:
    """Share of images told right, a mean over the classes, and the average precision of being defective."""
    true, answers = (np.array([row[i] for row in judged], np.int64) for i in (0, 1))
    recalls = [float((answers[true == cls] == cls).mean()) for cls in np.unique(true)]
    ap = average_precision(true > 0, np.array([score for _, _, score in judged], np.float64))
    return {"accuracy": float(np.mean(recalls)) if recalls else None, "ap": ap}


_MEASURES: dict[Task, _Measure] = {
    Task.SEGMENT: _Measure(_segmented, _over_segmented),
    Task.DETECT: _Measure(_detected, _over_detected),
    Task.CLASSIFY: _Measure(_classified, _over_classified),
}

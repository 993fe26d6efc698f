"""How good a network is on held-out parts while it trains."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from onspec.domain import Prediction, Task
from onspec.evaluation.box_ranking import box_precision
from onspec.evaluation.boxes import found, labelled
from onspec.evaluation.ranking import average_precision
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

Judged = tuple[Labelled, Prediction]


@dataclass(frozen=True, slots=True)
class Validation:
    """Figures on held-out parts; what they are depends on the task."""

    figures: Figures

    @property
    def fitness(self) -> float:
        """By what the best network is chosen: all figures weigh the same; one that is not defined counts nothing."""
        return sum(value or 0.0 for value in self.figures.values())


def torch_infer(network: nn.Module, objective: Objective, device: torch.device | str = "cpu") -> Infer:
    """The network as production's `Infer`: float32 (N, C, H, W) → the recipe's planes (N, P, H/c, W/c)."""

    def infer(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            x = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
            return objective.scores(network(x).float()).cpu().numpy()

    return infer


def validate(pool: Sequence[Labelled], plan: Plan, infer: Infer) -> Validation:
    """Run over a pool at working resolution."""
    return Validation(_MEASURES[plan.task](_judged(pool, plan, infer), plan))


def _judged(pool: Sequence[Labelled], plan: Plan, infer: Infer) -> Iterator[Judged]:
    spec = at_working_size(plan.input)
    for item in pool:
        yield item, predict(item.read().image, spec, plan.classes, plan.task, plan.separate, infer)


def at_working_size(spec: InputSpec) -> InputSpec:
    """The same preparation for images that are at working resolution already."""
    return at_any_size(spec).model_copy(update={"scale": 1.0})


def _segmented(judged: Iterator[Judged], plan: Plan) -> Figures:
    """Dice at a score of 0.5, a mean over defective images, and the image's average precision."""
    classes = len(plan.classes)
    truth, scores, dices = [], [], []
    for item, prediction in judged:
        total = prediction.total()
        truth.append(item.sample.defective)
        scores.append([image_score(prediction, weighing) for weighing in _WEIGHINGS])
        mask = item.read().mask[:classes].any(axis=0)
        if item.located and mask.any():
            marked = total.values >= 0.5
            overlap = np.logical_and(marked, mask).sum()
            dices.append(2.0 * overlap / (marked.sum() + mask.sum()))
    ranked = [average_precision(np.array(truth), column) for column in np.array(scores, np.float64).T]
    ap = max((value for value in ranked if value is not None), default=None)
    return {"dice": float(np.mean(dices)) if dices else None, "ap": ap}


def _detected(judged: Iterator[Judged], plan: Plan) -> Figures:
    """Average precision of the boxes at IoU 0.5, and over 0.5 to 0.95."""
    pairs = [
        (labelled((item.boxes, item.kinds)), found(prediction.boxes, plan.classes))
        for item, prediction in judged
        if item.located
    ]
    mean, _ = box_precision(pairs, len(plan.classes))
    return {"map_50": mean.ap_50, "map_50_95": mean.ap_50_95}


def _classified(judged: Iterator[Judged], plan: Plan) -> Figures:
    """Share of images told right, a mean over the classes, and the average precision of being defective."""
    truth, scores, told = [], [], []
    for item, prediction in judged:
        score, by_class = pooled_scores(prediction.maps, 1.0)
        each = np.array([1.0 - score, *(by_class[cls] for cls in plan.classes)])
        truth.append(item.cls)
        scores.append(score)
        told.append(int(each.argmax()))
    true, answers = np.array(truth), np.array(told)
    recalls = [float((answers[true == cls] == cls).mean()) for cls in sorted(set(truth))]
    ap = average_precision(true > 0, np.array(scores, np.float64))
    return {"accuracy": float(np.mean(recalls)) if recalls else None, "ap": ap}


_MEASURES: dict[Task, Callable[[Iterator[Judged], Plan], Figures]] = {
    Task.SEGMENT: _segmented,
    Task.DETECT: _detected,
    Task.CLASSIFY: _classified,
}

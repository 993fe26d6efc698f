"""What a network is taught, by task. An objective is one file here and one line in `objective_of`."""

from onspec.domain import Task
from onspec.training.objectives.base import Objective
from onspec.training.objectives.classification import Classification
from onspec.training.objectives.detection import Detection
from onspec.training.objectives.segmentation import Segmentation
from onspec.training.plan import Plan

__all__ = ["Objective", "objective_of"]


def objective_of(plan: Plan) -> Objective:
    """The plan's objective."""
    classes, cell = len(plan.classes), plan.input.cell
    match plan.task:
        case Task.SEGMENT:
            return Segmentation(classes, separate=plan.separate, loss=plan.loss)
        case Task.DETECT:
            return Detection(classes, cell)
        case Task.CLASSIFY:
            return Classification(classes, cell)

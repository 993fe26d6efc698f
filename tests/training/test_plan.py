"""A plan comes back from its file unchanged, and a wrong edit is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from onspec.domain import Task, UsageError
from onspec.training.plan import Plan, read_plan, write_plan

PlanFor = Callable[..., Plan]


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("classes", [("defect",), ("crack", "hole: the large", "yes")])
def test_a_plan_comes_back_as_it_was_written(
    task: Task, classes: tuple[str, ...], plan_for: PlanFor, tmp_path: Path
) -> None:
    changes = {"separate": True, "paste_share": 0.25} if task is Task.SEGMENT else {}
    plan = plan_for(task, classes, **changes)
    write_plan(tmp_path / "plan.yaml", plan, {"task": f"labels\nsay {task}", "crop": "images are small"})
    assert read_plan(tmp_path / "plan.yaml") == plan
    text = (tmp_path / "plan.yaml").read_text()
    assert f"# labels\n# say {task}\ntask: {task}\n" in text
    assert "# images are small\ncrop:" in text


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (("crop: 64", "crop: 70"), "multiple of the network's stride 32; got 70"),
        (("batch: 4", "batch: none"), "batch"),
        (
            ("network: unet-lite", "network: resnet"),
            "Unknown network 'resnet'; choose unet-lite, unet-deck, cnn-weimer",
        ),
        (
            ("network: unet-lite", "network: cnn-weimer"),
            "network cnn-weimer cannot segment; choose unet-lite, unet-deck",
        ),
        (("network: unet-lite", "network: unet-deck"), "network unet-deck has stride 16 and cells of 1 px"),
        (("task: segment", "task: guess"), "task"),
        (("task: segment", "task: detect"), "cells of 4 px"),
        (("loss: dice+ce", "loss: hinge"), "loss"),
        (("paste_share: 0.0", "paste_share: 1.5"), "paste_share"),
        (("crop: 64", "crops: 64"), "crops"),
        (("crop: 64", "crop: [64"), "not valid YAML"),
    ],
)
def test_a_wrong_edit_is_named(edit: tuple[str, str], sentence: str, small_plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    write_plan(path, small_plan, {})
    assert edit[0] in path.read_text()
    path.write_text(path.read_text().replace(*edit))
    with pytest.raises(UsageError, match=sentence):
        read_plan(path)


def test_a_missing_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.yaml: cannot read the plan"):
        read_plan(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("task", "changes", "sentence"),
    [
        (Task.DETECT, {"paste_share": 0.5}, "need the task segment; got detect"),
        (Task.DETECT, {"synthetic_share": 0.5}, "need the task segment or classify; got detect"),
        (Task.CLASSIFY, {"network": "cnn-weimer", "start": "surfaces"}, "cnn-weimer has no weights to start from"),
        (Task.CLASSIFY, {"separate": True}, "need the task segment; got classify"),
        (Task.SEGMENT, {"paste_share": 0.6, "synthetic_share": 0.6}, "must not exceed 1 together"),
        (Task.SEGMENT, {"classes": ("a", "b"), "synthetic_share": 0.1}, "synthetic defects are of no class"),
    ],
)
def test_what_does_not_fit_the_task_is_refused(
    task: Task, changes: dict[str, object], sentence: str, plan_for: PlanFor
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        plan_for(task, **changes)


def test_planes_of_a_label(plan_for: PlanFor) -> None:
    assert plan_for(classes=("a", "b"), separate=True).label_planes == 3
    assert plan_for(classes=("a", "b")).label_planes == 2
    assert plan_for(Task.DETECT).label_planes == plan_for(Task.CLASSIFY).label_planes == 0

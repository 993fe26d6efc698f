"""The image's class: pooled in training exactly as production pools, blind to padding, and learned from folders."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from onspec.domain import Sample, ScoreMap, Task
from onspec.imaging.pooling import pooled_scores
from onspec.imaging.preparation import predict
from onspec.training.crops import Truth
from onspec.training.loop import Outcome
from onspec.training.objectives import objective_of
from onspec.training.objectives.classification import Classification
from onspec.training.objectives.exclusive import log_scores
from onspec.training.plan import Plan
from onspec.training.pool import Labelled
from onspec.training.validation import torch_infer

CELL = 8
KNOWN = torch.tensor([-1, -1])
Pools = tuple[list[Labelled], list[Labelled]]


def evidence_of(seed: int, classes: int) -> Tensor:
    return 1.5 * torch.randn(2, classes, 3, 4, generator=torch.Generator().manual_seed(seed))


def truth(cls: int) -> Truth:
    return Truth(
        np.zeros((0, 24, 32), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64),
        np.ones((1, 24, 32), np.float32), cls, False,
    )  # fmt: skip


def target_of(*kinds: int, classes: int) -> Tensor:
    objective = Classification(classes, CELL)
    return torch.from_numpy(np.stack([objective.target(truth(kind)) for kind in kinds]))


@given(st.integers(0, 1000), st.integers(1, 4))
def test_an_image_is_pooled_as_in_production(seed: int, classes: int) -> None:
    """−log of the score that `pooled_scores` gives with sharpness 1 to the true class, from the very score maps."""
    evidence, objective = evidence_of(seed, classes), Classification(classes, CELL)
    names = tuple(f"class {k}" for k in range(classes))
    losses = []
    for planes, kind in zip(objective.scores(evidence).numpy(), (0, classes), strict=True):
        score, by_class = pooled_scores([ScoreMap(m, name) for m, name in zip(planes, names, strict=True)], 1.0)
        losses.append(-np.log([1 - score, *by_class.values()][kind]))
    target = target_of(0, classes, classes=classes)
    target[:, -1] = -1  # cells are another matter
    loss = objective.loss([evidence], target, torch.ones(2, 1, 24, 32), KNOWN)
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_evidence_alike_everywhere_is_the_images() -> None:
    evidence = torch.tensor([0.3, -1.0]).reshape(1, 2, 1, 1).expand(1, 2, 3, 4)
    loss = Classification(2, CELL).loss([evidence], target_of(1, classes=2), torch.ones(1, 1, 24, 32), KNOWN[:1])
    assert loss.item() == pytest.approx(-log_scores(evidence)[0, 1, 0, 0].item())
    assert loss.item() == pytest.approx(F.cross_entropy(torch.tensor([[0, 0.3, -1.0]]), torch.tensor([1])).item())


def test_cells_of_padding_do_not_count() -> None:
    objective, target, valid = Classification(2, CELL), target_of(0, 2, classes=2), torch.ones(2, 1, 24, 32)
    valid[:, :, :, 20:] = 0  # the third column of cells is half inside, the last outside
    inside = evidence_of(0, 2)
    outside = inside.clone()
    outside[..., 3] = 50.0
    losses = [objective.loss([e.requires_grad_()], target, valid, KNOWN) for e in (inside, outside)]
    assert losses[0].item() == losses[1].item()
    taught = torch.autograd.grad(losses[1], outside)[0]
    assert taught[..., 3].abs().max() == 0
    assert taught[..., :3].abs().min() > 0
    assert objective.quality(inside, target, valid) == objective.quality(outside, target, valid)


def test_cells_are_taught_where_they_are_known() -> None:
    """All of a good image, and those of a synthetic defect, whose class nobody knows; of other images none."""
    objective, valid = Classification(2, CELL), torch.ones(3, 1, 24, 32)
    drawn = np.zeros((1, 24, 32), np.uint8)
    drawn[0, 7:10, 20] = 1  # it reaches over two cells
    painted = replace(truth(0), mask=drawn)
    target = torch.from_numpy(np.stack([objective.target(t) for t in (truth(0), painted, truth(2))]))
    assert target[0, -1].eq(0).all()
    assert target[1, -1].nonzero().tolist() == [[0, 2], [1, 2]]
    assert target[1, :-1].eq(0).all()
    assert target[2, -1].eq(-1).all()
    evidence = torch.zeros(3, 2, 3, 4, requires_grad=True)
    taught = torch.autograd.grad(objective.loss([evidence], target, valid, KNOWN.new_full((3,), -1)), evidence)[0]
    assert taught[0].min() > 0
    assert taught[1][:, [0, 1], 2].max() < 0
    assert torch.equal(taught[1][0], taught[1][1])
    assert taught[2][0].max() == taught[2][0].min()


def test_a_synthetic_defect_is_told_right_by_any_class() -> None:
    objective, evidence = Classification(2, CELL), torch.full((1, 2, 3, 4), -5.0)
    drawn = np.ones((1, 24, 32), np.uint8)
    target = torch.from_numpy(objective.target(replace(truth(0), mask=drawn)))[None]
    assert objective.quality(evidence, target, torch.ones(1, 1, 24, 32)) == 0.0
    evidence[0, 1] = 5.0
    assert objective.quality(evidence, target, torch.ones(1, 1, 24, 32)) == 1.0


def test_the_curve_shows_the_share_of_images_told_right() -> None:
    evidence = torch.full((2, 2, 3, 4), -5.0)
    evidence[1, 1, 0, 0] = 9.0
    assert Classification(2, CELL).quality(evidence, target_of(0, 2, classes=2), torch.ones(2, 1, 24, 32)) == 1.0
    assert Classification(2, CELL).quality(evidence, target_of(0, 1, classes=2), torch.ones(2, 1, 24, 32)) == 0.5


@pytest.mark.slow
def test_kinds_of_whole_images_are_told_apart_and_shown(
    tmp_path: Path, kind_parts: list[object], make_samples: Callable[..., list[Sample]], plan_for: Callable[..., Plan],
    pools_of: Callable[..., Pools], run_fit: Callable[..., Outcome],
) -> None:  # fmt: skip
    """Nothing but each image's class is known, and yet the heat map is highest at the defect."""
    plan = plan_for(Task.CLASSIFY, ("coarse", "pale"), batch=8, learning_rate=4e-3)
    pools = pools_of(make_samples(kind_parts, "classes", True), plan)
    outcome = run_fit(tmp_path, plan, pools, steps=160)
    assert (outcome.validation.figures["accuracy"] or 0) >= 0.75
    assert (outcome.validation.figures["ap"] or 0) >= 0.95
    infer = torch_infer(outcome.network, objective_of(plan))
    masks = {item.sample.name: item.read().mask for item in pools_of(make_samples(kind_parts, "masks"), plan_for())[1]}
    hits = [
        _near(
            predict(item.read().image, plan.input, plan.classes, plan.task, False, infer).total(),
            masks[item.sample.name],
        )
        for item in pools[1]
        if item.sample.defective
    ]
    assert np.mean(hits) >= 0.8


def _near(total: ScoreMap, mask: np.ndarray) -> bool:
    """Whether the hottest pixel lies in the defect, or a cell beside it."""
    y, x = np.unravel_index(int(total.values.argmax()), total.values.shape)
    return bool(mask[0, max(0, y - CELL) : y + CELL + 1, max(0, x - CELL) : x + CELL + 1].any())


@pytest.mark.slow
def test_the_small_classifier_learns(
    tmp_path: Path, kind_parts: list[object], make_samples: Callable[..., list[Sample]], plan_for: Callable[..., Plan],
    pools_of: Callable[..., Pools], run_fit: Callable[..., Outcome],
) -> None:  # fmt: skip
    plan = plan_for(Task.CLASSIFY, network="cnn-weimer", learning_rate=3e-4)
    samples = [s for i, s in enumerate(make_samples(kind_parts, "classes")) if i % 3 != 1]  # good and pale ones
    outcome = run_fit(tmp_path, plan, pools_of(samples, plan, 3), steps=60)
    assert outcome.validation.figures["ap"] == pytest.approx(1.0)

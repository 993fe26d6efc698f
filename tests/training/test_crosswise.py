"""Several processes learn exactly what one does with all of their crops.

Started by `torch.distributed.run` with a folder as its argument, this file is what each of the processes does.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn

from onspec.domain import Sample, Task
from onspec.imaging.preparation import Extent, InputSpec
from onspec.training import crosswise, curves
from onspec.training.augmentation import Augmentation
from onspec.training.crops import Truth
from onspec.training.loop import Budget, fit
from onspec.training.networks import NETWORKS, ConvNorm
from onspec.training.objectives import Objective, objective_of
from onspec.training.plan import Plan
from onspec.training.pool import Labelled, Pixels, mask_spots
from onspec.training.sampling import CropSampler

pytestmark = pytest.mark.slow

SIDE, CROPS, PROCESSES = 32, 4, 2
BAGS = (0, 0, -1, 0)
CASES: dict[str, tuple[Task, dict[str, object]]] = {
    "segment": (Task.SEGMENT, {}),
    "cores": (Task.SEGMENT, {"separate": True}),
    "dice": (Task.SEGMENT, {"loss": "dice"}),
    "detect": (Task.DETECT, {}),
    "classify": (Task.CLASSIFY, {}),
    "bag": (Task.SEGMENT, {}),
}


def plan_of(task: Task, **changes: object) -> Plan:
    side = Extent(min=64, max=64)
    return Plan(
        task=task,
        classes=("a", "b"),
        input=InputSpec(width=side, height=side, stride=32, cell=NETWORKS["unet-lite"].cells[task]),
        crop=64,
        batch=CROPS,
        ema=0.5,
        augmentation=Augmentation(),
        **changes,
    )


def truth(seed: int) -> Truth:
    """Crops differ in how much of them is valid, defective and of which class, so that means over processes matter."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((3, SIDE, SIDE), np.uint8)
    mask[seed % 2, 4 : 8 + 4 * seed, 6:20] = 1
    mask[2, 6 : 7 + seed, 9:15] = 1
    valid = np.ones((1, SIDE, SIDE), np.float32)
    valid[:, :, SIDE - 3 * seed :] = 0
    boxes = np.array([[4, 4, 14, 12], [8, 10, 27, 30]][: seed % 3], np.float32).reshape(-1, 4)
    return Truth(mask, boxes, rng.integers(0, 2, len(boxes)), valid, seed % 3, True)


class Small(nn.Module):
    """Two convolutions with `Norm`, and logits one a cell."""

    def __init__(self, planes: int, cell: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(1, 6), ConvNorm(6, 8)
        self.pool = nn.AvgPool2d(cell) if cell > 1 else nn.Identity()
        self.head = nn.Conv2d(8, planes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the cells."""
        logits: Tensor = self.head(self.pool(self.second(self.first(x))))
        return logits


def learned(name: str, rank: int = 0, processes: int = 1) -> dict[str, Tensor]:
    """Gradients and running statistics after one step on every `processes`-th crop from `rank` on."""
    task, changes = CASES[name]
    plan = plan_of(task, **changes)
    objective: Objective = objective_of(plan)
    torch.manual_seed(0)
    network = Small(objective.planes, plan.input.cell)
    places = range(CROPS)[rank::processes]
    truths = [truth(seed) for seed in places]
    if not plan.separate:
        truths = [Truth(t.mask[:2], t.boxes, t.kinds, t.valid, t.cls, t.located) for t in truths]
    x = torch.stack(
        [torch.from_numpy(np.random.default_rng(s).normal(s, 1 + s, (1, SIDE, SIDE))).float() for s in places]
    )
    target = torch.from_numpy(np.stack([objective.target(t) for t in truths]))
    valid = torch.from_numpy(np.stack([t.valid for t in truths]))
    bags = torch.tensor([BAGS[place] if name == "bag" else -1 for place in places])
    loss = objective.loss([network(x)], target, valid, bags)
    torch.autograd.backward(loss)
    found = {f"gradient {n}": p.grad for n, p in network.named_parameters() if p.grad is not None}
    if processes > 1:
        for gradient in found.values():  # as DDP does
            dist.all_reduce(gradient)
            gradient.div_(processes)
    return found | {f"buffer {n}": b.float() for n, b in network.named_buffers()}


def part(number: int) -> Labelled:
    """Noise with a bright spot of class 0 or 1; every third is good."""
    rng = np.random.default_rng(number)
    image, mask = rng.normal(100, 20, (64, 64)).clip(0, 255).astype(np.uint8), np.zeros((2, 64, 64), np.uint8)
    if number % 3:
        x, y = rng.integers(5, 40, 2)
        image[y : y + 14, x : x + 18], mask[number % 2, y : y + 14, x : x + 18] = 240, 1
    return Labelled(
        sample=Sample(f"{number}.png", Path(f"{number}.png"), f"{number}", number % 3 > 0),
        size=(64, 64), stats=(0.0, 1.0), located=True, spots=mask_spots(mask), boxes=np.zeros((0, 4), np.float32),
        kinds=np.zeros(0, np.int64), cls=0, read=lambda: Pixels(image, mask),
    )  # fmt: skip


def pool() -> list[Labelled]:
    return [part(number) for number in range(9)]


def trained(run: Path, fabric: Fabric) -> dict[str, Tensor]:
    """The network after some steps of a whole run."""
    run.mkdir(exist_ok=True)
    plan, items = plan_of(Task.SEGMENT, paste_share=0.5), pool()
    outcome = fit(
        run, plan, CropSampler(items, plan, seed=0), items[:3], budget=Budget(0.0, 10, time.monotonic()), resume=False,
        watch=lambda *_: None, fabric=fabric,
    )  # fmt: skip
    return outcome.network.state_dict() if fabric.is_global_zero else {}


def scores_of(weights: dict[str, Tensor]) -> Tensor:
    """What a network says of the pool."""
    network = NETWORKS["unet-lite"].make(1, 2, 1).eval()
    network.load_state_dict(weights)
    with torch.inference_mode():
        images = np.stack([item.read().image[None] for item in pool()])
        return objective_of(plan_of(Task.SEGMENT)).scores(network(torch.from_numpy(images / 127.5 - 1).float()))


def one_process(folder: Path) -> None:
    """What each of the processes does: the first writes down what all of them learned."""
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=PROCESSES, strategy="ddp", precision="32-true")
    fabric.launch()
    rank = fabric.global_rank
    found = {name: learned(name, rank, PROCESSES) for name in CASES}
    mean = crosswise.mean(torch.tensor(3.0 + rank), torch.tensor(2.0 * rank))
    found["run"] = trained(folder / f"run{rank}", fabric)
    torch.save({"found": found, "mean": mean}, folder / f"{rank}.pt")
    fabric.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    one_process(Path(sys.argv[1]))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what two processes learned."""
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(PROCESSES)]
    command += [__file__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder


def close(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    assert ours.keys() == theirs.keys() != set()
    for name, value in ours.items():
        scale = max(1.0, float(value.abs().max()))
        torch.testing.assert_close(theirs[name], value, atol=tolerance * scale, rtol=tolerance, msg=name)


@pytest.mark.parametrize("name", CASES)
def test_gradients_and_statistics_are_those_of_one_process(name: str, together: Path) -> None:
    theirs = torch.load(together / "0.pt")["found"][name]
    close(learned(name), theirs, 1e-5)


def test_both_processes_learn_the_same(together: Path) -> None:
    first, second = (torch.load(together / f"{rank}.pt")["found"] for rank in range(PROCESSES))
    for name in CASES:
        close(first[name], second[name], 0.0)


def test_the_first_alone_writes(together: Path) -> None:
    assert {p.name for p in (together / "run0").iterdir()} >= {"checkpoint.pt", "curves.jsonl", "curves.png"}
    assert not list((together / "run1").iterdir())


def test_a_mean_is_over_all_processes(together: Path) -> None:
    """3 and 4 over a count of 0 + 2: the mean of what both get is 3.5 = 7 / 2."""
    means = [torch.load(together / f"{rank}.pt")["mean"].item() for rank in range(PROCESSES)]
    assert means == [3.0, 4.0]
    assert crosswise.mean(torch.tensor(7.0), torch.tensor(2.0)).item() == np.mean(means)
    assert crosswise.mean(torch.tensor(7.0), torch.tensor(0.0)).item() == 7.0


def test_a_run_ends_with_the_network_of_one_process(together: Path, tmp_path: Path) -> None:
    ours = trained(tmp_path / "run", Fabric(accelerator="cpu", devices=1, precision="32-true"))
    theirs = torch.load(together / "0.pt")["found"]["run"]
    torch.manual_seed(0)
    untrained = NETWORKS["unet-lite"].make(1, 2, 1).state_dict()
    moved, apart = (float((scores_of(ours) - scores_of(other)).norm()) for other in (untrained, theirs))
    assert moved > 0.3
    assert apart < 0.02 * moved  # nothing but rounding, of which Adam makes much
    rows = [[row for row in curves.read(run) if "loss" in row] for run in (tmp_path / "run", together / "run0")]
    assert rows[0][0]["loss"] == pytest.approx(rows[1][0]["loss"], rel=2e-2)


@pytest.mark.parametrize("seed", [0, 1])
def test_norm_is_torchs_own_for_one_process(seed: int) -> None:
    torch.manual_seed(seed)
    ours, theirs = crosswise.Norm(3), nn.BatchNorm2d(3)
    x = 5 * torch.randn(4, 3, 5, 5) + 2
    torch.testing.assert_close(ours(x), theirs(x))
    assert torch.equal(ours.eval()(x), theirs.eval()(x))

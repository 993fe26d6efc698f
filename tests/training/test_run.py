"""A whole run: what it writes, what it refuses, what it never reads, and that no kill loses it."""

import csv
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

from onspec.datasets.dataset import Dataset
from onspec.datasets.layouts import load
from onspec.datasets.splitting import assign, read_split
from onspec.decision.judge import judge
from onspec.decision.tasks import image_scores
from onspec.domain import DataError, Sample, Split, SplitError, Task, UsageError
from onspec.evaluation.ranking import auroc
from onspec.imaging.preparation import predict
from onspec.imaging.reading import read_image
from onspec.recipe.golden_choice import MOST
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package
from onspec.recipe.schema import Recipe
from onspec.runtime.inspector import Inspector
from onspec.training import checkpoint, curves
from onspec.training.loop import load_kept
from onspec.training.objectives import objective_of
from onspec.training.plan import Plan, read_plan, write_plan
from onspec.training.planning import Wishes
from onspec.training.run import Settings, train
from onspec.training.validation import torch_infer

pytestmark = pytest.mark.slow

WriteSet = Callable[..., Path]
PlanFor = Callable[..., Plan]
KINDS = [None, "coarse", None, "pale"] * 9


def silent(*_: object, **__: object) -> None:
    """Talk to nobody."""


def told(recipe: Recipe | None) -> Recipe:
    """What the only process gives."""
    assert recipe is not None
    return recipe


def train_quickly(
    data: Path | Dataset, run: Path, plan: Plan | None = None, steps: int = 12, **options: object
) -> Recipe:
    """`plan` is smaller than the one that would be made."""
    if plan is not None:
        options["plan_file"] = run.parent / f"{run.name}.yaml"
        run.parent.mkdir(exist_ok=True)
        write_plan(options["plan_file"], plan, {})  # type: ignore[arg-type]
    settings = Settings(run=run, budget_s=600, steps=steps, started=time.monotonic(), **options)  # type: ignore[arg-type]
    return told(train(data if isinstance(data, Dataset) else load(data), settings, say=silent, watch=silent))


@pytest.fixture(scope="module")
def sets(
    tmp_path_factory: pytest.TempPathFactory, grain_set: Path, write_coco_set: WriteSet, write_class_set: WriteSet
) -> dict[Task, Path]:
    """A set for each task, in a layout of its own."""
    folder = tmp_path_factory.mktemp("sets")
    return {
        Task.SEGMENT: grain_set,
        Task.DETECT: write_coco_set(folder / "boxes", KINDS),
        Task.CLASSIFY: write_class_set(folder / "classes", KINDS),
    }


@pytest.fixture(scope="module", params=list(Task))
def task(request: pytest.FixtureRequest) -> Task:
    """Each of the tasks."""
    return Task(request.param)


@pytest.fixture(scope="module")
def runs() -> dict[Task, Path]:
    """The runs that were trained so far."""
    return {}


@pytest.fixture(scope="module")
def trained(
    task: Task,
    sets: dict[Task, Path],
    runs: dict[Task, Path],
    tmp_path_factory: pytest.TempPathFactory,
    plan_for: PlanFor,
) -> Path:
    """A short run of the task."""
    if task not in runs:
        runs[task] = tmp_path_factory.mktemp(f"{task}") / "run"
        plan = plan_for(task, ("defect",) if task is Task.SEGMENT else ("coarse", "pale"))
        train_quickly(sets[task], runs[task], plan, steps=120)
    return runs[task]


def for_the_test(run: Path, data: Dataset) -> list[Sample]:
    assignment = read_split(run / "split.csv", data)
    return [s for s in data.samples if assignment[s.name] is Split.TEST]


def test_a_run_is_complete(task: Task, trained: Path, sets: dict[Task, Path]) -> None:
    package, data = open_package(trained), load(sets[task])
    recipe, assignment = package.recipe, read_split(trained / "split.csv", data)
    assert recipe.task is task
    assert set(assignment.values()) == {Split.TRAIN, Split.VAL, Split.TEST}
    assert recipe.provenance.data is not None
    assert sum(recipe.provenance.data.images.values()) == len(data.samples)
    assert sum(recipe.provenance.data.parts.values()) == len(data.samples)
    assert recipe.provenance.data.fingerprint.startswith("sha256:")
    assert recipe.provenance.training["steps"] == 120
    assert recipe.provenance.training["precision"] in ("bf16-mixed", "32-true")
    moved = recipe.provenance.training["logit_adjustments"]
    assert moved.keys() <= (set(recipe.classes) if task is Task.DETECT else set())
    figures = {Task.SEGMENT: {"dice", "ap"}, Task.DETECT: {"map_50", "map_50_95"}, Task.CLASSIFY: {"accuracy", "ap"}}
    assert recipe.provenance.metrics.keys() == {f"val_{name}" for name in figures[task]}
    assert recipe.thresholds.basis
    used = [s for s in data.samples if assignment[s.name] is not Split.TEST]
    held_out = [s for s in used if assignment[s.name] is Split.VAL and not s.defective]
    assert recipe.reference is not None
    assert (recipe.reference.images, recipe.reference.scored) == (len(used), len(held_out))
    assert {"brightness", "contrast", "black", "white", "sharpness"} <= recipe.reference.looks.keys()
    for name in ("plan.yaml", "curves.jsonl", "curves.png", "curves.svg"):
        assert (trained / name).is_file()
    assert read_plan(trained / "plan.yaml").task is task
    stems = {golden.name.rsplit(".")[0] for golden in package.golden}
    assert {"clear-good", "clear-defect"} <= stems
    assert len(package.golden) == len({golden.data for golden in package.golden}) <= MOST
    onnx.checker.check_model(onnx.load_from_string(package.model))


def with_both_verdicts(package: Package, samples: Sequence[Sample]) -> Package:
    """With the threshold in the widest gap between the images' scores: what so few steps learn, and so the threshold
    that training chose, differs from processor to processor."""
    with closing(Inspector(package)) as inspector:
        scores = sorted(inspector.inspect_file(sample.image).inspection.score or 0.0 for sample in samples)
    low, high = max(pairwise(scores), key=lambda pair: pair[1] - pair[0])
    assert high - low > 1e-3
    chosen = package.recipe.thresholds.model_copy(update={"image": (low + high) / 2, "review": None})
    return replace(package, recipe=package.recipe.model_copy(update={"thresholds": chosen}))


def test_torch_and_the_recipe_agree_on_every_test_image(task: Task, trained: Path, sets: dict[Task, Path]) -> None:
    """Maps within 1e-4, the same boxes and the same verdict, for the images that no side has seen."""
    samples = for_the_test(trained, load(sets[task]))
    assert len(samples) >= 6
    package = with_both_verdicts(open_package(trained), samples)
    recipe = package.recipe
    network, moved = load_kept(trained), recipe.provenance.training["logit_adjustments"]
    network.adjust_logits([moved.get(cls, 0.0) for cls in recipe.classes])
    infer = torch_infer(network, objective_of(read_plan(trained / "plan.yaml")))
    inspector = Inspector(package)
    verdicts, boxes = set(), 0
    for sample in samples:
        image = read_image(sample.image)
        ours = predict(image, recipe.input, recipe.classes, recipe.task, recipe.separate, infer)
        theirs = inspector.predict(image)
        for a, b in zip(ours.maps, theirs.maps, strict=True):
            assert float(np.abs(a.values - b.values).max()) < 1e-4
        assert [box.cls for box in ours.boxes] == [box.cls for box in theirs.boxes]
        for one, other in zip(ours.boxes, theirs.boxes, strict=True):
            sides = ((box.x, box.y, box.width, box.height) for box in (one, other))
            assert next(sides) == pytest.approx(next(sides), abs=0.02)
            assert one.score == pytest.approx(other.score, abs=1e-4)
        boxes += len(ours.boxes)
        decision = judge(ours, recipe.thresholds, recipe.rules, task=recipe.task)
        assert inspector.inspect_file(sample.image).inspection.verdict == decision.verdict
        verdicts.add(decision.verdict)
    inspector.close()
    assert len(verdicts) == 2
    assert (boxes > 0) == (task is Task.DETECT)


def test_a_run_plans_itself(task: Task, sets: dict[Task, Path], tmp_path: Path) -> None:
    """Task and classes from the labels, and what the plan says is what is trained."""
    said: list[str] = []
    settings = Settings(run=tmp_path / "run", budget_s=600, steps=2, started=time.monotonic())
    recipe = told(train(load(sets[task]), settings, say=said.append, watch=silent))
    assert recipe.task is task
    assert recipe.classes == (("defect",) if task is Task.SEGMENT else ("coarse", "pale"))
    plan = read_plan(tmp_path / "run" / "plan.yaml")
    assert recipe.provenance.training["plan"] == plan.model_dump(mode="json")
    assert recipe.input == plan.input
    assert any(sentence.startswith("plan: task: the labels tell defects") for sentence in said)


def test_a_network_that_tells_nothing_apart_is_called_out(write_grain_set: WriteSet, tmp_path: Path) -> None:
    """Every image is the same one, whatever its label says."""
    images = sorted((write_grain_set(tmp_path / "set") / "images").iterdir())
    for image in images[1:]:
        shutil.copy(images[0], image)
    splits = [f"images/{image.name},{'val' if i % 2 else 'train'},{i}" for i, image in enumerate(images)]
    (tmp_path / "split.csv").write_text("\n".join(["image,split,part", *splits]))
    said: list[str] = []
    settings = Settings(
        run=tmp_path / "run", budget_s=600, steps=2, split_file=tmp_path / "split.csv", started=time.monotonic()
    )
    told(train(load(tmp_path / "set"), settings, say=said.append, watch=silent))
    (warning,) = [sentence for sentence in said if sentence.startswith("warning:")]
    assert "an escape 20 times as dear as a false reject would have most good images rejected" in warning


def test_another_task_than_the_labels_say_can_be_asked_for(sets: dict[Task, Path], tmp_path: Path) -> None:
    for wanted in (Task.DETECT, Task.CLASSIFY):
        recipe = train_quickly(sets[Task.SEGMENT], tmp_path / wanted, steps=1, wishes=Wishes(wanted))
        assert open_package(tmp_path / wanted).recipe.task is recipe.task is wanted


def test_the_test_split_is_never_read(task: Task, sets: dict[Task, Path], tmp_path: Path, plan_for: PlanFor) -> None:
    shutil.copytree(sets[task], tmp_path / "data")
    names = [sample.name for sample in load(tmp_path / "data").samples]
    splits = {name: ("train", "train", "val", "test")[(i + i // 4) % 4] for i, name in enumerate(names)}
    with (tmp_path / "data" / "split.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "split"])
        writer.writerows(splits.items())
    for name in (name for name in names if splits[name] == "test"):
        (tmp_path / "data" / name).write_bytes(b"no image")
    recipe = train_quickly(tmp_path / "data", tmp_path / "run", steps=1)
    assert recipe.provenance.training["steps"] == 1


def test_a_finished_run_is_not_overwritten(trained: Path, grain_set: Path) -> None:
    with pytest.raises(UsageError, match="already holds a run; go on with --resume, or choose another --out"):
        train_quickly(grain_set, trained)


def test_a_file_is_no_run(grain_set: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="takes a folder"):
        train_quickly(grain_set, tmp_path / "run")


def test_one_defective_part_is_too_few(write_grain_set: WriteSet, tmp_path: Path) -> None:
    data = write_grain_set(tmp_path / "data", good=8, defective=1)
    with pytest.raises(DataError, match=r"no defective image, so nothing can be learned or judged.*--good-only"):
        train_quickly(data, tmp_path / "run")


def test_one_good_part_is_too_few_and_nobody_is_sent_to_a_split_file(write_grain_set: WriteSet, tmp_path: Path) -> None:
    data = write_grain_set(tmp_path / "data", good=1, defective=0)
    with pytest.raises(DataError, match="the val split has no image: there are too few parts; add some"):
        train_quickly(data, tmp_path / "run")


def test_a_given_split_without_validation_is_to_be_corrected(grain_set: Path, tmp_path: Path) -> None:
    data = load(grain_set)
    own = replace(data, samples=tuple(replace(s, split=Split.TRAIN) for s in data.samples))
    rows = [(s.name, Split.TRAIN) for s in data.samples]
    (tmp_path / "split.csv").write_text("image,split\n" + "".join(f"{name},{split}\n" for name, split in rows))
    with pytest.raises(DataError, match="the val split has no image: correct it, or leave the split to onspec"):
        train_quickly(own, tmp_path / "run", split_file=tmp_path / "split.csv")


def test_only_unlocated_defects_cannot_be_segmented(
    grain_set: Path, tmp_path: Path, unlocated: Callable[[Sample], Sample]
) -> None:
    data = load(grain_set)
    weak = replace(data, samples=tuple(unlocated(s) if s.defective else s for s in data.samples))
    with pytest.raises(DataError, match="cannot teach to segment; use --task classify"):
        train_quickly(weak, tmp_path / "asked", wishes=Wishes(Task.SEGMENT))
    assert train_quickly(weak, tmp_path / "run", steps=1).task is Task.CLASSIFY


def test_unlocated_defects_beside_located_ones_are_used(
    grain_set: Path, tmp_path: Path, unlocated: Callable[[Sample], Sample], small_plan: Plan
) -> None:
    data = load(grain_set)
    weak = replace(data, samples=tuple(unlocated(s) if i % 2 else s for i, s in enumerate(data.samples)))
    recipe = train_quickly(weak, tmp_path / "run", small_plan, steps=60)
    assert recipe.provenance.metrics["val_ap"] is not None
    assert open_package(tmp_path / "run").recipe.task is Task.SEGMENT


def ranks_real_defects(run: Path, data: Dataset) -> float:
    """AUROC of the real defects among the parts for the test."""
    package = open_package(run)
    inspector = Inspector(package)
    samples = for_the_test(run, data)
    scores = [
        image_scores(inspector.predict(read_image(s.image)), package.recipe.thresholds, package.recipe.task).image
        for s in samples
    ]
    inspector.close()
    found = auroc(np.array([s.defective for s in samples]), np.array(scores))
    assert found is not None
    return found


def test_good_parts_alone_teach_to_find_real_defects(grain_set: Path, tmp_path: Path, plan_for: PlanFor) -> None:
    data, run = load(grain_set), tmp_path / "run"
    recipe = train_quickly(data, run, plan_for(synthetic_share=1.0), steps=150, good_only=True)
    assignment = read_split(run / "split.csv", data)
    assert {assignment[s.name] for s in data.samples if s.defective} == {Split.TEST}
    assert {assignment[s.name] for s in data.samples if not s.defective} == set(Split)
    assert "nothing is known about escapes" in recipe.thresholds.basis
    assert recipe.provenance.metrics["val_ap"] is not None  # on synthetic defects
    assert {"clear-good.png"} <= {golden.name for golden in open_package(run).golden}
    assert ranks_real_defects(run, data) >= 0.8


def test_a_set_without_a_defective_part_is_learned_as_such(write_grain_set: WriteSet, tmp_path: Path) -> None:
    data = write_grain_set(tmp_path / "data", good=10, defective=0)
    shutil.rmtree(data / "masks")
    (data / "images").rename(data / "good")
    good = tuple(Sample(p.name, p, p.stem, False) for p in sorted((data / "good").iterdir()))
    recipe = train_quickly(Dataset(data, "folders", good, "by name"), tmp_path / "run", steps=2)
    assert recipe.task is Task.SEGMENT
    assert "nothing is known about escapes" in recipe.thresholds.basis
    assert read_plan(tmp_path / "run" / "plan.yaml").synthetic_share == 1


def test_the_decks_way_learns_from_defective_images_alone(grain_set: Path, tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(run=tmp_path / "run", budget_s=600, steps=2, started=time.monotonic(), plan_file=Path("deck"))
    recipe = told(train(load(grain_set), settings, say=said.append, watch=silent))
    plan = read_plan(tmp_path / "run" / "plan.yaml")
    assert (plan.network, plan.loss, plan.optimiser, plan.learning_rate) == ("unet-deck", "dice", "adam", 1e-4)
    assert recipe.provenance.data is not None
    defective = recipe.provenance.data.images["train_defective"]
    assert any(f"data: {defective} images to train on" in sentence for sentence in said)
    assert [row["lr"] for row in curves.read(tmp_path / "run") if "lr" in row] == [1e-4]
    assert recipe.provenance.training["parameters"] == 490_993


def command(data: Path, run: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "onspec.cli", "train", str(data), "--out", str(run), *options]


@pytest.fixture
def small(tmp_path: Path, small_plan: Plan) -> list[str]:
    """Options for a small run of 90 steps."""
    write_plan(tmp_path / "small.yaml", small_plan, {})
    return ["--steps", "90", "--plan", str(tmp_path / "small.yaml")]


def stop(line: list[str], when: Callable[[], bool], how: signal.Signals) -> int:
    """Start, stop as soon as `when`, and give the exit code."""
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not when() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert when()
    assert process.poll() is None, "it was done before it was stopped"
    process.send_signal(how)
    return process.wait()


def test_a_run_that_was_stopped_ends_like_any_other(
    grain_set: Path, tmp_path: Path, small: list[str], onspec: Callable[..., tuple[int, str, str]]
) -> None:
    """One is killed before its first step; the other is stopped with Ctrl-C, resumed, killed, and resumed again."""
    one, other = tmp_path / "one", tmp_path / "other"
    line = command(grain_set, one, *small)
    stop(line, (one / "split.csv").is_file, signal.SIGKILL)
    assert onspec("train", grain_set, "--out", one, *small, "--resume")[0] == 0
    line = command(grain_set, other, *small)
    assert stop(line, lambda: len(curves.read(other)) >= 2, signal.SIGINT) != 0
    saved = checkpoint.load(other)
    assert saved is not None
    assert 0 < saved["state"]["step"] < 90
    stop([*line, "--resume"], lambda: curves.read(other)[-1]["step"] > saved["state"]["step"], signal.SIGKILL)
    assert onspec("train", grain_set, "--out", other, *small, "--resume")[0] == 0
    assert open_package(other).recipe.provenance.training["steps"] == 90
    assert (one / "model.onnx").read_bytes() == (other / "model.onnx").read_bytes()
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in curves.read(run)] for run in (one, other)]
    assert rows[0] == rows[1]


def test_resuming_keeps_the_reasons_of_the_plan_and_refuses_what_it_says_otherwise(
    grain_set: Path, tmp_path: Path
) -> None:
    train_quickly(grain_set, tmp_path / "run", steps=1)
    before = (tmp_path / "run" / "plan.yaml").read_text()
    assert "coherence" in before
    train_quickly(grain_set, tmp_path / "run", steps=1, resume=True, wishes=Wishes(Task.SEGMENT, "one", "unet-lite"))
    assert (tmp_path / "run" / "plan.yaml").read_text() == before
    for wishes, told in (
        (Wishes(Task.CLASSIFY), r"--task classify, but .*plan\.yaml says segment; leave the option out, or change"),
        (Wishes(network="unet-deck"), r"--network unet-deck, but .*plan\.yaml says unet-lite"),
    ):
        with pytest.raises(UsageError, match=told):
            train_quickly(grain_set, tmp_path / "run", steps=1, resume=True, wishes=wishes)
        plan = tmp_path / "run" / "plan.yaml"
        with pytest.raises(UsageError, match=told):
            train_quickly(grain_set, tmp_path / "other", steps=1, plan_file=plan, wishes=wishes)


def test_a_part_of_a_kind_that_no_label_locates_is_held_out_as_defective(
    sets: dict[Task, Path], tmp_path: Path
) -> None:
    dataset = load(sets[Task.DETECT])
    splits = assign(dataset, seed=0)
    stained = next(s.name for s in dataset.samples if s.defective and splits[s.name] is Split.VAL)
    samples = [replace(s, split=splits[s.name]) for s in dataset.samples]
    samples = [replace(s, annotations=(), cls="stain") if s.name == stained else s for s in samples]
    recipe = train_quickly(replace(dataset, samples=tuple(samples)), tmp_path / "run", steps=1)
    assert recipe.classes == ("coarse", "pale")
    assert recipe.provenance.data is not None
    assert recipe.provenance.data.images["val_defective"] == sum(s.defective and s.split is Split.VAL for s in samples)


def test_another_data_set_does_not_resume(trained: Path, write_grain_set: WriteSet, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    other = write_grain_set(tmp_path / "other", good=20, defective=20, seed=5)
    with pytest.raises(SplitError, match="is not listed"):
        train_quickly(other, tmp_path / "run", steps=120, resume=True)


def test_processes_train_together_as_one(grain_set: Path, tmp_path: Path) -> None:
    """The batch is divided among them; the first alone writes."""
    options = ["--steps", "12", "--seed", "3"]
    one, two = tmp_path / "one", tmp_path / "two"
    alone = subprocess.Popen(
        command(grain_set, one, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    line = [sys.executable, *launcher, *command(grain_set, two, *options)[1:]]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=240)
    said = alone.communicate(timeout=240)
    assert alone.returncode == 0, said[1]
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert [done.stderr.count(f"plan: {name}:") for name in ("task", "crop")] == [1, 1]
    assert done.stdout.count("run: ") == 1
    assert {p.name for p in one.iterdir()} == {p.name for p in two.iterdir()}
    assert (one / "split.csv").read_bytes() == (two / "split.csv").read_bytes()
    assert (one / "plan.yaml").read_bytes() == (two / "plan.yaml").read_bytes()
    ours, theirs = ([row for row in curves.read(run) if "loss" in row] for run in (one, two))
    assert [row["step"] for row in ours] == [row["step"] for row in theirs] == [10, 12]
    for a, b in zip(ours, theirs, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=2e-2)
    assert len([row for row in curves.read(two) if "val_dice" in row]) == 12
    assert open_package(two).recipe.provenance.training["steps"] == 12


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--budget", "soon"], "budget 'soon' is not a duration; write it as 90s, 20m or 1h"),
        (["--budget", "0s"], "is not a duration"),
        (["--task", "guess"], "Unknown task 'guess'; choose segment, detect, classify"),
        (["--classes", "some"], "Unknown classes 'some'; choose one, each"),
        (["--network", "resnet"], "Unknown network 'resnet'; choose unet-lite, unet-deck, cnn-weimer"),
        (["--network", "cnn-weimer"], "network cnn-weimer cannot segment; choose unet-lite, unet-deck"),
        (["--layout", "nonsense"], "nonsense"),
        (["--plan", "absent.yaml"], "absent.yaml: cannot read the plan"),
    ],
)
def test_bad_usage_is_one_sentence(
    options: list[str], sentence: str, grain_set: Path, tmp_path: Path, onspec: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, said = onspec("train", grain_set, "--out", tmp_path / "run", *options)
    assert code == 2
    assert sentence in said
    assert "Traceback" not in said


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "nowhere", tmp_path / "run"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""

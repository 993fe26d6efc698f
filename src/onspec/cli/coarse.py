"""The coarse network of `onspec hasten`: surveyed, learned, and its limit chosen, all on the training images."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onspec.domain import Sample
    from onspec.imaging.blocks import Scale
    from onspec.imaging.preparation import Infer, Prepared
    from onspec.recipe.package import Package
    from onspec.training.distilling import Piece, Teacher

_NOT_LEARNED = 5
"""Every so-manyth image is not learned from, so that the limit is chosen on some that the network does not know."""

_HALF = 0.5
"""Share of the odds of the lowest score that can change a verdict, from which a region must be looked at. Evidence is
summed up as odds: a region of half the size has half of them, where scores near 1 hardly differ."""


@dataclass(frozen=True, slots=True)
class Made:
    """A parent with its coarse network, a draft; and how that came about."""

    package: "Package"
    learned: int
    steps: int
    seed: int
    limit: int


@dataclass(frozen=True, slots=True)
class _Surveyed:
    """A training image as the fine network sees it: pieces to learn from, and the blocks that matter."""

    sample: "Sample"
    pieces: "tuple[Piece, ...]"
    matter: "NDArray[np.bool_]"


def make_coarse(parent: "Package", samples: "Sequence[Sample]", *, steps: int, seconds: float, seed: int) -> Made:
    """Train a coarse network on what the parent's network says of these images, and choose its limit.

    Raises:
        UsageError: the parent sees no defect in any of them.
        ImageError: one of them cannot be judged.
    """
    from onspec.cli.progress import TrainingProgress, talk
    from onspec.domain import UsageError
    from onspec.runtime.engines import REFERENCE, open_engine
    from onspec.training.coarse_network import to_whole_onnx
    from onspec.training.distilling import LESSONS, distil, make_lessons, scale_of

    started = time.monotonic()
    with closing(open_engine(REFERENCE, parent.model)) as engine:
        teach = _teacher(parent, engine.infer)
        surveyed = list(_survey(parent, samples, engine.infer, seed))
        if not any(one.matter.any() for one in surveyed):
            raise UsageError(
                "the recipe's network finds no defect in any of the training images, so nothing says what a coarse one "
                "must not pass over; give the images that the recipe was trained on"
            )
        pieces = [piece for one in _learned_from(surveyed) for piece in one.pieces]
        scale = scale_of(pieces)
        lessons = list(make_lessons(pieces, scale, teach, seed, LESSONS))
    talk(f"{len(lessons)} pieces of {len(_learned_from(surveyed))} images to learn from")
    left = max(1.0, seconds - (time.monotonic() - started))
    with TrainingProgress() as progress:
        made = distil(
            lessons, parent.recipe.thresholds.pixel, steps=steps, seconds=left, seed=seed,
            watch=lambda share, loss, rest: progress(share, loss, float("nan"), rest),
        )  # fmt: skip
    if made.steps < steps:
        talk(f"the budget ended after {made.steps} of {steps} steps; the same seed may give another network")
    model = to_whole_onnx(made.network)
    limit = _limit(parent, model, scale, surveyed)
    package = _with_coarse(parent, model, scale, limit)
    return Made(package, len(_learned_from(surveyed)), made.steps, seed, limit)


def _teacher(parent: "Package", infer: "Infer") -> "Teacher":
    from onspec.imaging.preparation import run

    classes = len(parent.recipe.classes)
    return lambda prepared: run(prepared, infer)[:classes]


def _survey(parent: "Package", samples: "Sequence[Sample]", infer: "Infer", seed: int) -> "Iterator[_Surveyed]":
    import numpy as np

    from onspec.imaging.blocks import BLOCK, block_peaks, blocks_that_matter
    from onspec.imaging.preparation import interpret, run
    from onspec.recipe.hastening import level_of
    from onspec.training.distilling import pieces_of

    told = parent.recipe
    thresholds = told.thresholds
    for place, sample in enumerate(samples):
        prepared = _prepared(parent, sample)
        planes = run(prepared, infer)
        peaks = block_peaks(planes[: len(told.classes)], prepared.cell, BLOCK, prepared.working)
        prediction = interpret(planes, prepared, told.classes, told.task, told.separate)
        matter = blocks_that_matter(
            prediction, (level_of(thresholds), thresholds.pixel), _half(thresholds.lowest), thresholds.weighing,
            BLOCK, prepared.working,
        )  # fmt: skip
        rng = np.random.default_rng([seed, place, 2])
        yield _Surveyed(sample, tuple(pieces_of(prepared, peaks, rng)), matter)


def _half(score: float) -> float:
    """The score of half the odds."""
    odds = _HALF * score / max(1.0 - score, 1e-9)
    return odds / (1.0 + odds)


def _learned_from(surveyed: "Sequence[_Surveyed]") -> "list[_Surveyed]":
    """All but every fifth good and every fifth defective one; all of either where they are fewer than that."""
    kept: list[_Surveyed] = []
    for truth in (False, True):
        group = [one for one in surveyed if one.sample.defective is truth]
        kept += [one for n, one in enumerate(group) if n % _NOT_LEARNED != _NOT_LEARNED - 1]
    return kept


def _prepared(parent: "Package", sample: "Sample") -> "Prepared":
    from onspec.imaging.preparation import prepare
    from onspec.imaging.reading import decode_image, read_bytes

    spec = parent.recipe.input
    return prepare(decode_image(read_bytes(sample.image), sample.name, spec.camera), spec, sample.name)


def _limit(parent: "Package", model: bytes, scale: "Scale", surveyed: "Sequence[_Surveyed]") -> int:
    """Chosen on all images, those that the network did not learn from, too."""
    from onspec.imaging.blocks import BLOCK
    from onspec.runtime.coarse import CoarseNetwork
    from onspec.runtime.limit import Answered, choose_limit

    answered = []
    with closing(CoarseNetwork(model, BLOCK)) as network:
        for one in surveyed:
            prepared = _prepared(parent, one.sample)
            answers = network.answers(scale.levels(prepared, BLOCK))
            answered.append(Answered(answers, one.matter, prepared.padded))
    return choose_limit(answered, BLOCK, parent.recipe.input)


def _with_coarse(parent: "Package", model: bytes, scale: "Scale", limit: int) -> "Package":
    """A draft: what was tested and released is the parent."""
    from onspec.imaging.blocks import BLOCK
    from onspec.recipe.hastening import Hastening
    from onspec.recipe.reading import with_digest
    from onspec.runtime.coarse import CoarseNetwork

    with closing(CoarseNetwork(model, BLOCK)) as network:
        answer = network.made_up(parent.recipe.input.channels)
    told = Hastening(
        block=BLOCK, low=scale.low, high=scale.high, limit=limit, answer=answer,
        thresholds=parent.recipe.thresholds.model_copy(update={"basis": ""}),
    )  # fmt: skip
    recipe = parent.recipe.model_copy(update={"hastened": told})
    return with_digest(replace(parent, recipe=recipe, coarse=model, approval=None))

"""Whether there are parts enough of each kind, and what a test on those held out can say at best.

Counted in parts, never in images: twenty pictures of one part are one case.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from onspec.datasets.dataset import Dataset
from onspec.datasets.problem import Problem, named, new_problem
from onspec.datasets.splitting import own_split
from onspec.domain import DEFECT, Sample, Split

FEW_PARTS = 20
"""Defective parts below which hardly anything can be said about escapes."""

CONFIDENCE = 0.95

_HELD_OUT = 0.25
"""Share of parts that a computed split tests, as in `splitting.assign`."""

_FEW_HELD_OUT = 5
_FEW_OF_A_CLASS = 5
_EXTREME = 100
"""So many times as many parts of one truth as of the other, or of one class as of another, are extreme."""


class EscapeBound(BaseModel):
    """What testing can show at best: no defective part held out escapes, and still the rate is only known to be under
    `best` with `confidence` (1 − 0.05^(1/n), the exact bound for none of n); `None` where none is held out.
    """

    model_config = ConfigDict(frozen=True)

    held_out: int
    best: float | None
    confidence: float = CONFIDENCE


def escape_bound(dataset: Dataset) -> EscapeBound:
    """By the set's own test split, or by what a computed one would hold out."""
    own = own_split(dataset)
    defective = [s for s in dataset.samples if s.defective]
    parts = {s.part for s in defective}
    if Split.TEST in own.values():
        held_out = len({s.part for s in defective if own[s.name] is Split.TEST})
    else:
        held_out = min(max(1, round(_HELD_OUT * len(parts))), max(0, len(parts) - 2))
    return EscapeBound(held_out=held_out, best=bound(held_out) if held_out else None)


def bound(parts: int) -> float:
    """The escape rate that `parts` defective parts without an escape leave possible."""
    return float(1 - (1 - CONFIDENCE) ** (1 / parts))


def amount_problems(dataset: Dataset) -> Iterator[Problem]:
    """Too few parts of a truth or a class, or far fewer than of another."""
    defective, good = ({s.part for s in dataset.samples if s.defective is truth} for truth in (True, False))
    if not defective:
        text = "no image is defective, so nothing can be said about escapes"
        advice = "train with --good-only, which needs none, and collect defective parts for the test"
        yield new_problem("warning", "no-defective", None, text, advice)
        return
    yield from _few(dataset, len(defective))
    if not good:
        text = "no image is good, so false rejects cannot be measured"
        yield new_problem("warning", "no-good", None, text, "add images of good parts; they need no label")
    elif len(good) >= _EXTREME * len(defective):
        text = f"{len(good)} good parts for {len(defective)} defective ones"
        advice = "collect defective parts, or train with --good-only; more good parts add little"
        yield new_problem("warning", "imbalance", None, text, advice)
    elif len(defective) >= _EXTREME * len(good):
        text = f"{len(defective)} defective parts for {len(good)} good {'one' if len(good) == 1 else 'ones'}"
        yield new_problem("warning", "imbalance", None, text, "add images of good parts; they need no label")
    yield from _classes(dataset.samples)


def _few(dataset: Dataset, defective: int) -> Iterator[Problem]:
    test = escape_bound(dataset)
    ours = "a test" if Split.TEST not in own_split(dataset).values() else "the set's own test split"
    advice = "move defective parts to the test split, or leave splits out: they are computed then"
    if test.best is None:
        says = f"nothing can be said about escapes, as {ours} holds none of them"
    else:
        says = (
            f"hardly anything can be said about escapes; {ours} of {test.held_out} of them without a single escape "
            f"would still leave an escape rate of up to {test.best * 100:.0f} % possible (95 % confidence)"
        )
    if defective < FEW_PARTS:
        advice = f"collect {FEW_PARTS} or more defective parts; to show 5 % takes 59 of them held out, 1 % takes 299"
    if defective < FEW_PARTS or test.held_out < _FEW_HELD_OUT:
        only = "only " if defective < FEW_PARTS else ""
        yield new_problem("warning", "few-defective", None, f"{only}{_number(defective)}: {says}", advice)


def _number(parts: int) -> str:
    return f"{parts} defective part" + ("" if parts == 1 else "s")


def _classes(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Classes of defects that are too rare to be learned, or far rarer than the most frequent one."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    images: defaultdict[str, list[str]] = defaultdict(list)
    for sample in samples:
        for cls in sample.classes:
            parts[cls].add(sample.part)
            images[cls].append(sample.name)
    if len(parts) < 2:
        return
    most = max(parts, key=lambda cls: (len(parts[cls]), cls))
    for cls, found in sorted(parts.items()):
        count = f"{len(found)} part" + ("" if len(found) == 1 else "s")
        if len(found) < _FEW_OF_A_CLASS and cls != DEFECT:
            text = f"class {cls} has {count}: {named(images[cls])}; too few to learn it, or to test it"
            advice = "collect more of it, or train with --classes one, which tells good from defective alone"
            yield new_problem("warning", "few-of-class", images[cls], text, advice)
        elif len(parts[most]) >= _EXTREME * len(found):
            text = f"class {cls} has {count}, {most} has {len(parts[most])}"
            advice = "collect more of it, or train with --classes one, which tells good from defective alone"
            yield new_problem("warning", "imbalance", images[cls], text, advice)

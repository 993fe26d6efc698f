"""What a split achieved, in a sentence that is said before anything is learned from it."""

from collections.abc import Mapping, Sequence

from onspec.datasets.dataset import Dataset
from onspec.datasets.splitting import leaks
from onspec.datasets.times import in_order
from onspec.domain import DataError, Sample, Split


def describe(dataset: Dataset, assignment: Mapping[str, Split]) -> str:
    """Images, parts, lots and the share of defective parts in each split; with times, how the splits follow in time.

    Parts that stand in two splits are told: a set's own split may have it so where parts are guessed.
    """
    by_split = {split: [s for s in dataset.samples if assignment[s.name] is split] for split in Split}
    counts = ", ".join(f"{split} {_counts(samples)}" for split, samples in by_split.items() if samples)
    crossing = leaks(dataset.samples, assignment)
    in_two = f"; {_number(len(crossing), 'part')} in two splits, so that figures are too good" if crossing else ""
    return f"{counts}{_follow(by_split)}{in_two}"


def _counts(samples: Sequence[Sample]) -> str:
    parts = {s.part for s in samples}
    defective = len({s.part for s in samples if s.defective})
    lots = {s.lot for s in samples if s.lot is not None}
    of = f"{len(samples)} images of {_number(len(parts), 'part')}"
    in_lots = f" in {_number(len(lots), 'lot')}" if lots else ""
    return f"{of}{in_lots} ({defective / len(parts):.0%} defective)"


def _follow(by_split: Mapping[Split, Sequence[Sample]]) -> str:
    """Up to when the training images are, and how many of the others are older than the newest of them."""
    every = [s for samples in by_split.values() for s in samples]
    texts = {s.name: s.time for s in every if s.time is not None}
    if len(texts) < len(every) or not by_split[Split.TRAIN]:
        return ""
    try:
        times = in_order(texts)
    except DataError:  # times that nobody asked to order
        return ""
    newest = max(by_split[Split.TRAIN], key=lambda s: times[s.name])
    others = [s for split in (Split.VAL, Split.TEST) for s in by_split[split]]
    older = sum(times[s.name] < times[newest.name] for s in others)
    told = f"{older} of the others are older, as their parts or lots reach past that" if older else "no other is older"
    return f"; training images up to {newest.time}, {told}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")

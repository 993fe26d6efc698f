"""Which parts train, validate and test. No part and no lot ever stands in two splits, and the result depends on names,
times and seed alone, never on the order of files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from onspec.datasets import split_file as files
from onspec.datasets.carving import by_lots, by_parts, by_time
from onspec.datasets.dataset import Dataset
from onspec.datasets.grouping import Group, groups_of, has_lots
from onspec.datasets.times import in_order
from onspec.domain import DataError, Sample, Split, SplitError

Way = Literal["chance", "time"]
"""How a split is computed: from hashes of names, or the oldest parts for training and the newest for the test."""


def assign(
    dataset: Dataset,
    *,
    seed: int = 0,
    val: float = 0.15,
    test: float = 0.25,
    split_file: Path | None = None,
    by: Way = "chance",
) -> dict[str, Split]:
    """A split for every sample: from `split_file`, else from the set itself, else computed.

    What the set's own split leaves open is carved from its training parts: `test` of all parts, then `val`, stratified
    by truth and kind of defect; whole lots where lots are known. A set whose own training split has nothing defective
    (made for methods that learn from good parts alone) is split anew.

    Raises:
        DataError: nothing in the set is defective; by time, a time that is none.
        SplitError: a part or a lot in two splits where they are known, a split file that does not fit, or nothing
            left to split by time.
    """
    if dataset.defective == 0:
        raise DataError(
            f"{dataset.root}: no image is defective, so nothing can be learned or judged; add defective parts"
        )
    if split_file is not None:
        _refuse_way(by, str(split_file))
        return read_split(split_file, dataset)
    own = own_split(dataset)
    _refuse_crossing(dataset, own)
    return _carve(dataset, dataset.samples, own, seed=seed, val=val, test=test, by=by)


def assign_good(
    dataset: Dataset,
    *,
    seed: int = 0,
    val: float = 0.15,
    test: float = 0.25,
    split_file: Path | None = None,
    by: Way = "chance",
) -> dict[str, Split]:
    """As `assign`, for learning from good parts alone: every part with a defect, and with it its lot, is for the test.

    Raises:
        DataError: no part (no lot, where lots are known) is free of defects.
        SplitError: as `assign`.
    """
    bad = {name for group in groups_of(dataset.samples) if group.defective for name in group.images}
    good = [sample for sample in dataset.samples if sample.name not in bad]
    if not good:
        what = "lot" if has_lots(dataset.samples) else "part"
        advice = "add good parts" if what == "part" else "whole lots stay in one split; add lots of good parts alone"
        raise DataError(f"{dataset.root}: no {what} is free of defects, so there is none to learn from; {advice}")
    if split_file is not None:
        _refuse_way(by, str(split_file))
        assignment = read_split(split_file, dataset)
    else:
        own = {sample.name: sample.split for sample in dataset.samples if sample.split is not None}
        own = own if len(own) == len(dataset.samples) else {}
        _refuse_crossing(dataset, own)
        of_good = {s.name: own[s.name] for s in good} if own else {}
        assignment = _carve(dataset, good, of_good, seed=seed, val=val, test=test, by=by)
    return dict(assignment) | dict.fromkeys(bad, Split.TEST)


def own_split(dataset: Dataset) -> dict[str, Split]:
    """The split that the set itself assigns, by name; empty where it assigns none that could be trained on."""
    own = {sample.name: sample.split for sample in dataset.samples if sample.split is not None}
    trains = any(s.defective for s in dataset.samples if own.get(s.name) is Split.TRAIN)
    return own if trains and len(own) == len(dataset.samples) else {}


def write_split(path: Path, dataset: Dataset, assignment: Mapping[str, Split]) -> None:
    """Write the assignment as CSV with the columns image, split, part, and lot and time where any is known.

    Raises:
        SplitError: a file of this name is there already and says something else.
    """
    files.write(path, dataset.samples, assignment)


def read_split(path: Path, dataset: Dataset) -> dict[str, Split]:
    """Read an assignment of every sample.

    Raises:
        SplitError: it cannot be read, leaves a sample out, or has a part or a lot in two splits. A part that was only
            guessed may cross where the set's own split says so.
    """
    listed = files.read(path, [sample.name for sample in dataset.samples])
    own = {} if dataset.parts_known else own_split(dataset)
    foreign = [s for s in dataset.samples if own.get(s.name) is not listed.splits[s.name]]
    refuse_leaks(foreign, listed.splits, listed.parts)
    refuse_lot_leaks(dataset.samples, listed.splits, listed.lots)
    return listed.splits


def refuse_leaks(
    samples: Iterable[Sample], splits: Mapping[str, Split], parts: Mapping[str, str] | None = None
) -> None:
    """Raise SplitError for the first part in two splits; `parts` by name overrides the samples' own."""
    for part, pair in leaks(samples, splits, parts).items():
        first, second = pair
        raise SplitError(
            f"part {part!r} stands in {splits[first]} ({first}) and in {splits[second]} ({second}); "
            "keep all images of a part in one split, or say which images show one part in a column part"
        )


def refuse_lot_leaks(
    samples: Iterable[Sample], splits: Mapping[str, Split], lots: Mapping[str, str] | None = None
) -> None:
    """Raise SplitError for the first lot in two splits; `lots` by name overrides the samples' own."""
    for lot, (first, second) in lot_leaks(samples, splits, lots).items():
        raise SplitError(
            f"lot {lot!r} stands in {splits[first]} ({first}) and in {splits[second]} ({second}); "
            "keep all images of a lot in one split, or split without lots"
        )


def leaks(
    samples: Iterable[Sample], splits: Mapping[str, Split], parts: Mapping[str, str] | None = None
) -> dict[str, tuple[str, str]]:
    """Parts that stand in two splits, each with an image of either."""
    return _crossing({s.name: (parts or {}).get(s.name, s.part) for s in samples}, splits)


def lot_leaks(
    samples: Iterable[Sample], splits: Mapping[str, Split], lots: Mapping[str, str] | None = None
) -> dict[str, tuple[str, str]]:
    """Lots that stand in two splits, each with an image of either; an image of an unknown lot crosses nothing."""
    return _crossing({s.name: (lots or {}).get(s.name, s.lot) for s in samples}, splits)


def _crossing(groups: Mapping[str, str | None], splits: Mapping[str, Split]) -> dict[str, tuple[str, str]]:
    first: dict[str, str] = {}
    found: dict[str, tuple[str, str]] = {}
    for name, group in sorted(groups.items()):
        if group is None:
            continue
        other = first.setdefault(group, name)
        if splits[other] is not splits[name]:
            found.setdefault(group, (other, name))
    return found


def _refuse_crossing(dataset: Dataset, own: Mapping[str, Split]) -> None:
    """A set's own split is believed where parts were only guessed; lots are never guessed."""
    if own and dataset.parts_known:
        refuse_leaks(dataset.samples, own)
    if own:
        refuse_lot_leaks(dataset.samples, own)


def _refuse_way(by: Way, source: str) -> None:
    if by != "chance":
        raise SplitError(f"{source} assigns train, val and test already, so there is nothing to split by {by}")


def _carve(
    dataset: Dataset,
    samples: Sequence[Sample],
    own: Mapping[str, Split],
    *,
    seed: int,
    val: float,
    test: float,
    by: Way,
) -> dict[str, Split]:
    if not (0 < val < 1 and 0 < test < 1 and val + test < 1):
        raise SplitError(f"shares of val and test must be over 0 and together under 1; got {val} and {test}")
    assignment = dict.fromkeys((s.name for s in samples), Split.TRAIN) | dict(own)
    present = set(assignment.values())
    wanted = {s: share for s, share in ((Split.TEST, test), (Split.VAL, val)) if s not in present}
    if not wanted:
        _refuse_way(by, f"the own split of {dataset.root}")
        return assignment
    if Split.TEST not in wanted:
        wanted[Split.VAL] = val / (1 - test)
    free = _free_groups(samples, assignment)
    if by == "chance" and not has_lots(samples):
        for split in wanted:
            share, keep = (test, 2) if split is Split.TEST else (val / (1 - test), 1)
            chosen = by_parts(free, share, keep, seed)
            assignment |= {name: split for group in free if group.name in chosen for name in group.images}
            free = [group for group in free if group.name not in chosen]
        return assignment
    shares = {Split.TRAIN: 1.0 - sum(wanted.values())} | {s: wanted[s] for s in (Split.VAL, Split.TEST) if s in wanted}
    found = by_time(free, _times(dataset, samples), shares) if by == "time" else by_lots(free, shares, seed)
    return assignment | {name: found[group.name] for group in free for name in group.images}


def _free_groups(samples: Sequence[Sample], assignment: Mapping[str, Split]) -> list[Group]:
    return groups_of([sample for sample in samples if assignment[sample.name] is Split.TRAIN])


def _times(dataset: Dataset, samples: Sequence[Sample]) -> dict[str, float]:
    without = [s.name for s in samples if s.time is None]
    if without:
        raise SplitError(
            f"{dataset.root}: {len(without)} images have no time, the first is {without[0]}, so nothing can be split "
            "by time; give --time-from a pattern with the time in parentheses, a column, or modified"
        )
    return in_order({s.name: s.time for s in samples if s.time is not None})

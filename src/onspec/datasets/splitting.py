"""Which parts train, validate and test. No part ever stands in two splits, and the result depends on names and seed
alone, never on the order of files."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onspec.datasets import split_file as files
from onspec.datasets.dataset import Dataset
from onspec.datasets.pairing import meaningful
from onspec.domain import DEFECT, DataError, Sample, Split, SplitError


def assign(
    dataset: Dataset, *, seed: int = 0, val: float = 0.15, test: float = 0.25, split_file: Path | None = None
) -> dict[str, Split]:
    """A split for every sample: from `split_file`, else from the set itself, else computed.

    What the set's own split leaves open is carved from its training parts: `test` of all parts, then `val`, stratified
    by truth and kind of defect. A set whose own training split has nothing defective (made for methods that learn from
    good parts alone) is split anew.

    Raises:
        DataError: nothing in the set is defective.
        SplitError: a part in two splits where parts are known, or a split file that does not fit.
    """
    if dataset.defective == 0:
        raise DataError(
            f"{dataset.root}: no image is defective, so nothing can be learned or judged; add defective parts"
        )
    if split_file is not None:
        return read_split(split_file, dataset)
    own = own_split(dataset)
    if own and dataset.parts_known:
        refuse_leaks(dataset.samples, own)
    return _carve(dataset.samples, own, seed=seed, val=val, test=test)


def assign_good(
    dataset: Dataset, *, seed: int = 0, val: float = 0.15, test: float = 0.25, split_file: Path | None = None
) -> dict[str, Split]:
    """As `assign`, for learning from good parts alone: every part with a defect is for the test.

    Raises:
        DataError: no part is free of defects.
        SplitError: as `assign`.
    """
    bad = {sample.part for sample in dataset.samples if sample.defective}
    good = [sample for sample in dataset.samples if sample.part not in bad]
    if not good:
        raise DataError(f"{dataset.root}: no part is free of defects, so there is none to learn from; add good parts")
    if split_file is not None:
        assignment = read_split(split_file, dataset)
    else:
        own = {sample.name: sample.split for sample in dataset.samples if sample.split is not None}
        own = own if len(own) == len(dataset.samples) else {}
        if own and dataset.parts_known:
            refuse_leaks(dataset.samples, own)
        assignment = _carve(good, {s.name: own[s.name] for s in good} if own else {}, seed=seed, val=val, test=test)
    return dict(assignment) | {s.name: Split.TEST for s in dataset.samples if s.part in bad}


def own_split(dataset: Dataset) -> dict[str, Split]:
    """The split that the set itself assigns, by name; empty where it assigns none that could be trained on."""
    own = {sample.name: sample.split for sample in dataset.samples if sample.split is not None}
    trains = any(s.defective for s in dataset.samples if own.get(s.name) is Split.TRAIN)
    return own if trains and len(own) == len(dataset.samples) else {}


def write_split(path: Path, dataset: Dataset, assignment: Mapping[str, Split]) -> None:
    """Write the assignment as CSV with the columns image, split, part."""
    files.write(path, dataset.samples, assignment)


def read_split(path: Path, dataset: Dataset) -> dict[str, Split]:
    """Read an assignment of every sample.

    Raises:
        SplitError: it cannot be read, leaves a sample out, or has a part in two splits. A part that was only guessed
            may cross where the set's own split says so.
    """
    listed = files.read(path, [sample.name for sample in dataset.samples])
    own = {} if dataset.parts_known else own_split(dataset)
    foreign = [s for s in dataset.samples if own.get(s.name) is not listed.splits[s.name]]
    refuse_leaks(foreign, listed.splits, listed.parts)
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


def leaks(
    samples: Iterable[Sample], splits: Mapping[str, Split], parts: Mapping[str, str] | None = None
) -> dict[str, tuple[str, str]]:
    """Parts that stand in two splits, each with an image of either."""
    first: dict[str, str] = {}
    found: dict[str, tuple[str, str]] = {}
    for sample in sorted(samples, key=lambda s: s.name):
        part = (parts or {}).get(sample.name, sample.part)
        other = first.setdefault(part, sample.name)
        if splits[other] is not splits[sample.name]:
            found.setdefault(part, (other, sample.name))
    return found


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    defective: bool
    kind: str
    rank: bytes


def _carve(
    samples: Sequence[Sample], own: Mapping[str, Split], *, seed: int, val: float, test: float
) -> dict[str, Split]:
    if not (0 < val < 1 and 0 < test < 1 and val + test < 1):
        raise SplitError(f"shares of val and test must be over 0 and together under 1; got {val} and {test}")
    assignment = dict.fromkeys((s.name for s in samples), Split.TRAIN) | dict(own)
    present = set(assignment.values())
    if Split.TEST not in present:
        _move(samples, assignment, Split.TEST, test, seed, keep=2)
    if Split.VAL not in present:
        _move(samples, assignment, Split.VAL, val / (1 - test), seed, keep=1)
    return assignment


def _move(
    samples: Sequence[Sample], assignment: dict[str, Split], to: Split, share: float, seed: int, *, keep: int
) -> None:
    """Move a share of the training parts to another split; at least `keep` defective parts stay."""
    parts = _training_parts(samples, assignment, seed)
    chosen: set[str] = set()
    for defective in (True, False):
        strata: defaultdict[str, list[_Part]] = defaultdict(list)
        for part in parts:
            if part.defective is defective:
                strata[part.kind].append(part)
        total = sum(map(len, strata.values()))
        wanted = max(1, round(share * total)) if total > 1 else 0
        chosen.update(_spread(strata, min(wanted, total - keep) if defective else wanted))
    for sample in samples:
        if sample.part in chosen and assignment[sample.name] is Split.TRAIN:
            assignment[sample.name] = to


def _spread(strata: Mapping[str, Sequence[_Part]], wanted: int) -> list[str]:
    """`wanted` parts, from each stratum its share, what is left of shares carried on to the next stratum."""
    total = sum(map(len, strata.values()))
    chosen: list[str] = []
    carried = 0.0
    for kind in sorted(strata):
        members = sorted(strata[kind], key=lambda p: p.rank)
        carried += wanted * len(members) / total
        take = min(len(members), max(0, round(carried)))
        carried -= take
        chosen += [part.name for part in members[:take]]
    return chosen


def _training_parts(samples: Sequence[Sample], assignment: Mapping[str, Split], seed: int) -> list[_Part]:
    by_part: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if assignment[sample.name] is Split.TRAIN:
            by_part[sample.part].append(sample)
    return [_part(name, group, seed) for name, group in by_part.items()]


def _part(name: str, group: Sequence[Sample], seed: int) -> _Part:
    defective = [sample for sample in group if sample.defective]
    kind = min((kind_of(sample) for sample in defective or group), default="")
    return _Part(name, bool(defective), kind, hashlib.sha256(f"{seed}\0{name}".encode()).digest())


def kind_of(sample: Sample) -> str:
    """What kind of part or defect a sample shows, as its labels or else its folders say."""
    named = sorted({a.cls for a in sample.annotations} - {DEFECT})
    return sample.cls or "+".join(named) or "/".join(meaningful(tuple(sample.name.split("/")[:-1])))

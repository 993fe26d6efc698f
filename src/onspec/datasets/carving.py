"""How groups that must stay together are shared out among splits: by chance part by part, by whole lots, or by time."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from onspec.datasets.grouping import Group
from onspec.domain import Split, SplitError

Shares = Mapping[Split, float]
"""The share of all parts that each split is to get; together 1."""

_TRIALS = 16
"""Orders in which lots are shared out; the best result is kept."""

_WITHOUT_ANY = {Split.TRAIN: 4000.0, Split.VAL: 2000.0, Split.TEST: 1000.0}
_WITHOUT_DEFECTIVE = {Split.TRAIN: 400.0, Split.VAL: 200.0, Split.TEST: 100.0}
_WITHOUT_GOOD = {Split.TRAIN: 10.0, Split.VAL: 10.0, Split.TEST: 10.0}
"""What it costs that a split has no part, no defective one, no good one: more than any unequal shares, and where lots
are too few for all splits, training comes first."""


def by_parts(groups: Sequence[Group], share: float, keep: int, seed: int) -> set[str]:
    """The names of a share of groups of one part each, stratified by truth and kind; `keep` defective ones stay.

    The choice is made from hashes of the names, so a part that comes in later moves hardly any other.
    """
    chosen: set[str] = set()
    for defective in (True, False):
        strata: defaultdict[str, list[Group]] = defaultdict(list)
        for group in groups:
            if bool(group.defective) is defective:
                strata[group.parts[0].kind].append(group)
        total = sum(map(len, strata.values()))
        wanted = max(1, round(share * total)) if total > 1 else 0
        chosen.update(_spread(strata, min(wanted, total - keep) if defective else wanted, seed))
    return chosen


def by_lots(groups: Sequence[Group], shares: Shares, seed: int) -> dict[str, Split]:
    """Group name → split, so that parts of every truth and kind are shared out as nearly as whole groups allow.

    In an order by hash, each group goes where it brings the shares nearest to what is wanted; then single groups move
    while that helps. The best of several orders is taken.

    Raises:
        SplitError: fewer than two groups hold defective parts, or there are fewer than two.
    """
    _refuse_few(groups)
    counts, splits = _counts(groups), list(shares)
    best: tuple[float, NDArray[np.int64]] | None = None
    for trial in range(max(1, min(_TRIALS, 4000 // len(groups)))):
        order = sorted(range(len(groups)), key=lambda i: rank(groups[i].name, f"{seed}\0{trial}"))
        found = _improved(_dealt(counts, order, shares), counts, shares)
        cost = float(_cost(_table(found, counts, len(splits)), counts, shares))
        if best is None or cost < best[0] - 1e-12:
            best = cost, found
    assert best is not None
    return {group.name: splits[at] for group, at in zip(groups, best[1], strict=True)}


def by_time(groups: Sequence[Group], times: Mapping[str, float], shares: Shares) -> dict[str, Split]:
    """Group name → split: the oldest groups train, the next validate, the newest test.

    A group is as old as its newest image; groups of one age stay together. `times` is by image name.

    Raises:
        SplitError: there are too few ages with defective parts for these splits.
    """
    ages = {group.name: max(times[name] for name in group.images) for group in groups}
    steps = sorted(set(ages.values()))
    at = {age: step for step, age in enumerate(steps)}
    parts, defective = np.zeros(len(steps), np.int64), np.zeros(len(steps), np.int64)
    for group in groups:
        parts[at[ages[group.name]]] += len(group.parts)
        defective[at[ages[group.name]]] += group.defective
    ends = {split: len(steps) for split in shares}
    end, left = len(steps), 1.0
    for split in [s for s in (Split.TEST, Split.VAL) if s in shares]:
        before = 2 if split is Split.TEST and Split.VAL in shares else 1
        start = _newest(parts[:end], defective[:end], shares[split] / left, before)
        ends[Split.VAL if Split.VAL in shares and split is Split.TEST else Split.TRAIN] = start
        end, left = start, left - shares[split]
    order = [s for s in Split if s in shares]
    return {name: next(s for s in order if at[age] < ends[s]) for name, age in ages.items()}


def rank(name: str, seed: int | str) -> bytes:
    """Where a name stands in an order that looks random and depends on name and seed alone."""
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def _spread(strata: Mapping[str, Sequence[Group]], wanted: int, seed: int) -> list[str]:
    """`wanted` groups, from each stratum its share, what is left of shares carried on to the next stratum."""
    total = sum(map(len, strata.values()))
    chosen: list[str] = []
    carried = 0.0
    for kind in sorted(strata):
        members = sorted(strata[kind], key=lambda g: rank(g.name, seed))
        carried += wanted * len(members) / total
        take = min(len(members), max(0, round(carried)))
        carried -= take
        chosen += [group.name for group in members[:take]]
    return chosen


def _refuse_few(groups: Sequence[Group]) -> None:
    holding = [group for group in groups if group.defective]
    if len(groups) < 2 or len(holding) == 1:
        what = "defective parts lie" if holding else "parts lie"
        only = (holding or list(groups))[0].name.removeprefix("lot:")
        raise SplitError(
            f"all {what} in one lot ({only}), and whole lots stay in one split, so nothing is left to validate on; "
            "add another lot, or split without lots"
        )


def _counts(groups: Sequence[Group]) -> NDArray[np.float64]:
    """float64 (groups, strata): parts of each truth and kind, then all defective ones, then all good ones."""
    kinds = sorted({kind for group in groups for kind in group.kinds})
    rows = [
        [*(group.kinds[kind] for kind in kinds), group.defective, len(group.parts) - group.defective]
        for group in groups
    ]
    return np.array(rows, np.float64)


def _table(at: NDArray[np.int64], counts: NDArray[np.float64], splits: int) -> NDArray[np.float64]:
    table = np.zeros((splits, counts.shape[1]))
    np.add.at(table, at[at >= 0], counts[at >= 0])
    return table


def _dealt(counts: NDArray[np.float64], order: Sequence[int], shares: Shares) -> NDArray[np.int64]:
    at = np.full(len(counts), -1, np.int64)
    table = np.zeros((len(shares), counts.shape[1]))
    each = np.eye(len(shares))[:, :, None]
    for i in order:
        at[i] = int(_cost(table + each * counts[i], counts, shares).argmin())
        table[at[i]] += counts[i]
    return at


def _improved(at: NDArray[np.int64], counts: NDArray[np.float64], shares: Shares) -> NDArray[np.int64]:
    """Move the one group that helps most, while any does."""
    at, each = at.copy(), np.eye(len(shares))
    while True:
        table = _table(at, counts, len(shares))
        moves = each[None, :, :] - each[at][:, None, :]  # (groups, to, splits): +1 where it goes, −1 where it was
        costs = _cost(table + moves[..., None] * counts[:, None, None, :], counts, shares)
        i, to = np.unravel_index(int(costs.argmin()), costs.shape)
        if costs[i, to] >= _cost(table, counts, shares) - 1e-9:
            return at
        at[i] = to


def _cost(tables: NDArray[np.float64], counts: NDArray[np.float64], shares: Shares) -> NDArray[np.float64]:
    """How far tables (…, splits, strata) are from the wanted shares, squared, and what it costs that some lack."""
    totals = counts.sum(axis=0)
    wanted = np.array(list(shares.values()))[:, None]
    cost: NDArray[np.float64] = ((tables / np.maximum(totals, 1) - wanted * (totals > 0)) ** 2).sum(axis=(-2, -1))
    for present, missing in (
        (tables[..., -2:].sum(axis=-1), _WITHOUT_ANY),
        (tables[..., -2], _WITHOUT_DEFECTIVE if totals[-2] else {}),
        (tables[..., -1], _WITHOUT_GOOD if totals[-1] else {}),
    ):
        cost = cost + ((present == 0) * np.array([missing.get(split, 0.0) for split in shares])).sum(axis=-1)
    return cost


def _newest(parts: NDArray[np.int64], defective: NDArray[np.int64], share: float, before: int) -> int:
    """The step from which on the rest is nearest to a share of all parts.

    At least `before` steps with defective parts lie before it, and one in it, if there are so many.
    """
    holding = np.concatenate([[0], np.cumsum(defective > 0 if defective.any() else parts > 0)])
    rest = 1.0 - np.concatenate([[0], np.cumsum(parts)]) / parts.sum()
    allowed = [step for step in range(1, len(parts)) if holding[step] >= before]
    allowed = [step for step in allowed if holding[-1] > holding[step]] or allowed
    if not allowed:
        what = "defective parts" if defective.any() else "parts"
        raise SplitError(
            f"{what} are of {int(holding[-1])} different times only, and each split needs a time of its own with "
            f"{what}; add newer ones, or split by chance"
        )
    return min(allowed, key=lambda step: (abs(rest[step] - share), step))

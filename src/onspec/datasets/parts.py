"""Which images show the same physical part. All images of a part must stay in one split, or the test set leaks.

Said by the user (a `part` column, a pattern) it is known; otherwise it is guessed from the names, and a guess in doubt
merges: a part too coarse costs a little freedom in splitting, a part cut in two makes every figure too good.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from onspec.datasets import bursts, changed_copies, views
from onspec.datasets.belonging import Belonging
from onspec.domain import DataError, Sample, UsageError

_EXAMPLES = {"part": r"tile(\d+)_", "lot": r"lot(\d+)_", "time": r"_(\d{8})"}


@dataclass(frozen=True, slots=True)
class Telling:
    """Part of every sample by name, the rule as a sentence, and whether it was said rather than guessed.

    Where it was guessed, `originals` has by name which image each one is, or is a changed copy of.
    """

    parts: dict[str, str]
    rule: str
    known: bool
    originals: Mapping[str, str] = field(default_factory=dict)


def tell_apart(
    samples: Sequence[Sample], listed: Mapping[str, str], pattern: str | None, own: Mapping[str, str] | None = None
) -> Telling:
    """The part of every sample. A pattern wins over a listed part, that over the set's own, that over guessing; equal
    files share a part.

    Args:
        listed: parts that a split file names, by sample name.
        pattern: regular expression searched in each name; its group 1 is the part.
        own: parts that the set's layout names, by sample name; an image that nobody names is a part of its own.

    Raises:
        UsageError: a pattern that is no regular expression or has no group.
        DataError: a name that the pattern does not match.
    """
    names = [sample.name for sample in samples]
    originals: dict[str, str] = {}
    if pattern is not None:
        parts, rule, known = by_pattern(names, pattern), f"parts told by the pattern {pattern!r}", True
    elif listed or own:
        said = {**(own or {}), **listed}
        source = "the column part of the split file" if listed else "the set itself"
        parts, rule, known = {n: said.get(n, n) for n in names}, f"parts told by {source}", True
    else:
        parts, rule, originals = _guess(names)
        known = False
    merged = _merge_equal_files(samples, parts)
    if merged:
        copies = "1 image is a copy" if merged == 1 else f"{merged} images are copies"
        rule += f"; {copies} of another file, with which the part is shared"
    return Telling(parts, rule, known, originals)


def by_pattern(names: Sequence[str], pattern: str, what: str = "part") -> dict[str, str]:
    """Group 1 of the pattern in every name; `what` it is stands in errors.

    Raises:
        UsageError: a pattern that is no regular expression or has no group.
        DataError: a name that the pattern does not match.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{what} pattern {pattern!r} is no regular expression: {error}") from None
    if expression.groups < 1:
        raise UsageError(
            f"{what} pattern {pattern!r} has no group; put the {what} in parentheses, as in '{_EXAMPLES[what]}'"
        )
    found = {}
    for name in names:
        match = expression.search(name)
        if match is None or not match[1]:
            raise DataError(f"{name} does not match the {what} pattern {pattern!r}; extend the pattern to every name")
        found[name] = match[1]
    return found


def _guess(names: Sequence[str]) -> tuple[dict[str, str], str, dict[str, str]]:
    """The part of every name, the rule, and the original of every name."""
    copies = changed_copies.originals(names)
    alone = sorted(set(copies.of.values()))
    grouped, rule = views.group(alone) or bursts.group(alone) or ({}, "every image is taken for a part of its own")
    if copies.rule:
        rule += f"; {copies.rule}"
    return {name: grouped.get(own, own) for name, own in copies.of.items()}, f"guessed from names: {rule}", copies.of


def _merge_equal_files(samples: Sequence[Sample], parts: dict[str, str]) -> int:
    """Give byte-equal images one part, in place; returns how many images are copies of another."""
    copies = equal_files([sample.image for sample in samples])
    by_path = {sample.image: sample.name for sample in samples}
    merged = Belonging[str]()
    for group in copies:
        merged.join(parts[by_path[path]] for path in group)
    for name, part in parts.items():
        parts[name] = merged.first(part)
    return sum(len(group) - 1 for group in copies)


def equal_files(paths: Sequence[Path]) -> list[list[Path]]:
    """Groups of two or more files with the same bytes; only files of one size are read. Absent files equal nothing."""
    by_size: defaultdict[int, list[Path]] = defaultdict(list)
    for path in paths:
        if path.is_file():
            by_size[path.stat().st_size].append(path)
    alike = [path for group in by_size.values() if len(group) > 1 for path in group]
    with ThreadPoolExecutor(4) as threads:
        digests = list(threads.map(_digest, alike))
    by_digest: defaultdict[bytes, list[Path]] = defaultdict(list)
    for path, digest in zip(alike, digests, strict=True):
        by_digest[digest].append(path)
    return [group for group in by_digest.values() if len(group) > 1]


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()

"""The lot that an image's part was made in, and when the image was taken, from wherever the plant says so.

Nothing here is guessed: a lot or a time is known because a column, a folder, a pattern or the file's date was named, or
because a table has a column of that very name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from onspec.datasets.folder_names import folder_truth, meaningful
from onspec.datasets.parts import by_pattern
from onspec.datasets.table_column import columns_of, read_column
from onspec.datasets.tree import Tree
from onspec.domain import DataError, Sample, UsageError


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of every image, by name, and how, in a few words; nothing and an empty rule where nobody says."""

    values: Mapping[str, str]
    rule: str = ""


def tell_lots(samples: Sequence[Sample], tree: Tree, listed: Mapping[str, str], source: str | None) -> Origin:
    """The lot of every image: by `source`, else by the column `lot` of the split file or of a table.

    Args:
        listed: lots that a split file names, by sample name.
        source: `folder`, a column of a table of the set, or a regular expression whose group 1 is the lot.

    Raises:
        UsageError: a source that is none of these.
        DataError: an image of which the source says nothing.
    """
    return _tell("lot", samples, tree, listed, source)


def tell_times(samples: Sequence[Sample], tree: Tree, listed: Mapping[str, str], source: str | None) -> Origin:
    """The time of every image, as text; as `tell_lots`, but the word is `modified`: the date of the file."""
    return _tell("time", samples, tree, listed, source)


def _tell(what: str, samples: Sequence[Sample], tree: Tree, listed: Mapping[str, str], source: str | None) -> Origin:
    names = [sample.name for sample in samples]
    if source is None:
        return _unasked(what, set(names), tree, listed)
    word, of_word = _WORDS[what]
    if source == word:
        return Origin(of_word(samples), f"told by the {_MEANING[word]}")
    column = read_column(tree, source) if re.fullmatch(r"[\w .-]+", source) else None
    if column is not None:
        found = _complete({name: column[name] for name in names if name in column}, names, what, source)
        return Origin(found, f"told by the column {source}")
    try:
        return Origin(by_pattern(names, source, what), f"told by the pattern {source!r}")
    except UsageError as error:
        if "(" in source:
            raise
        has = ", ".join(columns_of(tree)) or "none"
        raise UsageError(
            f"--{what}-from {source!r} is no column of a table of {tree.root} (columns: {has}); give {word}, a column, "
            f"or a pattern with the {what} in parentheses, as in '_{what}(\\d+)_'"
        ) from error


def _unasked(what: str, names: set[str], tree: Tree, listed: Mapping[str, str]) -> Origin:
    if listed:
        return Origin(listed, f"told by the column {what} of the split file")
    column = read_column(tree, what) or {}
    found = {name: value for name, value in column.items() if name in names}
    return Origin(found, f"told by the column {what}" if found else "")


def _complete(found: dict[str, str], names: Sequence[str], what: str, source: str) -> dict[str, str]:
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(
            f"{missing[0]} (and {len(missing) - 1} more) has no {what} in the column {source}; fill the column for "
            "every image"
        )
    return found


def _folders(samples: Sequence[Sample]) -> dict[str, str]:
    """The folders of an image but for those that say its split, its class, or what files are."""
    classes = {a.cls.lower() for s in samples for a in s.annotations} | {s.cls.lower() for s in samples if s.cls}
    lots = {}
    for sample in samples:
        folders = meaningful(tuple(sample.name.split("/")[:-1]))
        kept = [f for f in folders if folder_truth(f) is None and f.lower() not in classes]
        if not kept:
            raise DataError(
                f"{sample.name} lies in no folder that could be its lot; give a pattern with the lot in parentheses, "
                "as in --lot-from '_lot(\\d+)_', or a column"
            )
        lots[sample.name] = "/".join(kept)
    return lots


def _modified(samples: Sequence[Sample]) -> dict[str, str]:
    try:
        stamps = {sample.name: sample.image.stat().st_mtime for sample in samples}
    except OSError as error:
        raise DataError(f"{error.filename}: its date cannot be read ({error.strerror}); is the file there?") from error
    return {name: datetime.fromtimestamp(stamp, UTC).isoformat() for name, stamp in stamps.items()}


_WORDS: dict[str, tuple[str, Callable[[Sequence[Sample]], dict[str, str]]]] = {
    "lot": ("folder", _folders),
    "time": ("modified", _modified),
}
"""What is told → the word that names its own source, and what reads that."""

_MEANING = {"folder": "folder of the image", "modified": "date of the image's file"}

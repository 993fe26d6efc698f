"""The test parts of an acceptance test: which they are, and what they are by agreement."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from onspec.cli.labelled import Selection
    from onspec.domain import Sample
    from onspec.evaluation.reference_part import Reference
    from onspec.recipe.package import Package

BORDERLINE: Final = "borderline"
"""The folder of parts of which the parties do not agree what they are, and the column that says so."""

_IMAGE: Final = ("image", "name", "file", "filename")
_YES: Final = {"1", "yes", "y", "true", "x", BORDERLINE}
_NO: Final = {"", "0", "no", "n", "false"}


@dataclass(frozen=True, slots=True)
class ReferenceParts:
    """The parts that are to be judged, each with its images; `borderline` are the names of images."""

    parts: dict[str, tuple["Sample", ...]]
    borderline: frozenset[str]

    def reference(self, part: str) -> "Reference":
        """What a part is: borderline if any of its images is, else defective if any of them shows it."""
        from onspec.evaluation.reference_part import Reference

        samples = self.parts[part]
        if any(sample.name in self.borderline for sample in samples):
            return Reference.BORDERLINE
        return Reference.DEFECTIVE if any(sample.defective for sample in samples) else Reference.GOOD

    def class_of(self, part: str) -> str:
        """`good`, `borderline`, or the class of its defects; several are told together."""
        from onspec.domain import DEFECT
        from onspec.evaluation.reference_part import Reference

        reference = self.reference(part)
        if reference is not Reference.DEFECTIVE:
            return str(reference)
        samples = self.parts[part]
        named = {s.cls for s in samples if s.defective and s.cls} | {a.cls for s in samples for a in s.annotations}
        return " + ".join(sorted(named)) or DEFECT

    def count(self, reference: "Reference") -> int:
        """Parts that are so."""
        return sum(self.reference(part) is reference for part in self.parts)


def reference_parts(samples: Iterable["Sample"], file: Path | None, names: Iterable[str] = ()) -> ReferenceParts:
    """The samples by part. Borderline is an image in a folder `borderline`, or one of which `file` says so.

    Args:
        names: of all images of the set, of which `file` may speak, too.

    Raises:
        UsageError: a file that cannot be read, or that calls an image borderline which is not in the set.
    """
    samples = list(samples)
    by_part: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_part[sample.part].append(sample)
    marked = {s.name for s in samples if BORDERLINE in PurePosixPath(s.name.lower()).parts[:-1]}
    if file is not None:
        marked |= _from_file(file, {*names, *(sample.name for sample in samples)})
    return ReferenceParts({part: tuple(images) for part, images in sorted(by_part.items())}, frozenset(marked))


def _from_file(file: Path, names: Iterable[str]) -> set[str]:
    """Names of images that a table calls borderline."""
    from onspec.datasets.listed_names import ListedNames
    from onspec.datasets.text_file import delimiter_of
    from onspec.domain import UsageError

    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file}: cannot be read as text ({error}); give a CSV with columns image, borderline"
        ) from error
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter_of(text.split("\n", 1)[0]))
    columns = {(column or "").strip().lower(): column for column in rows.fieldnames or ()}
    image = next((columns[name] for name in _IMAGE if name in columns), None)
    if image is None or BORDERLINE not in columns:
        got = ", ".join(columns) or "nothing"
        raise UsageError(f"{file}: needs the columns image and borderline; got {got}")
    told: set[str] = set()
    listed = ListedNames(names)
    for number, row in _numbered(rows, file):
        word = (row.get(columns[BORDERLINE]) or "").strip().lower()
        if word not in _YES | _NO:
            raise UsageError(f"{file}:{number}: borderline is {word!r}; allowed: yes, no, 1, 0 or nothing")
        if word in _YES:
            given = (row.get(image) or "").strip()
            name = listed.find(given)
            if name is None:
                raise UsageError(
                    f"{file}:{number}: {given!r} names no image of the set, or several; give its path in the set"
                )
            told.add(name)
    return told


def _numbered(rows: "csv.DictReader[str]", file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    from onspec.domain import UsageError

    try:
        yield from enumerate(rows, 2)
    except csv.Error as error:
        raise UsageError(f"{file}: not a table ({error}); save it again as CSV") from error


def refuse_learned_from(selection: "Selection", split: str) -> None:
    """Refuse test parts that the network was made with: no bound holds on them.

    Raises:
        UsageError: parts that it was trained or chosen on.
    """
    from onspec.domain import Split, UsageError

    if not selection.known:
        return
    used = sum(selection.assignment[sample.name] is not Split.TEST for sample in selection.samples)
    if used:
        raise UsageError(
            f"--split {split} has {used} images that the network was trained or chosen on, so they prove nothing about "
            "new parts; choose --split test, or take parts that the recipe does not know"
        )


def learned_names(package: "Package", selection: "Selection") -> int:
    """How many of the test images are called as images that the recipe was trained or chosen on."""
    if package.split_csv is None:
        return 0
    rows = csv.DictReader(io.StringIO(package.split_csv.decode("utf-8-sig", "replace")))
    learned = {row.get("image") for row in rows if row.get("split") in ("train", "val")}
    return sum(sample.name in learned for sample in selection.samples)

"""Recorded parts under another recipe or other rules: what would have changed, and was it for the better."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue, TypeAdapter, ValidationError

from onspec.decision.rejudging import Basis, Lack, Rejudge
from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import ImageError, Inspection, Task, Verdict
from onspec.domain.look import Reference
from onspec.domain.pixel_size import PixelSizeMm
from onspec.records.archive import Archive
from onspec.records.query import Filter
from onspec.records.record import Entry, RecipeFacts

_SAME = ("task", "classes", "separate", "input", "hastened")
"""What of two recipes must be alike, beside the network, for one to judge by what the other saw."""

_PIXEL: TypeAdapter[PixelSizeMm | None] = TypeAdapter(PixelSizeMm | None)
_REFERENCE: TypeAdapter[Reference | None] = TypeAdapter(Reference | None)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded part and what became of it.

    Attributes:
        after: what it would have been; `None` where that takes the image, and `lack` says why.
        reasons: of `after`.
        from_image: the network ran again.
    """

    entry: Entry
    after: Verdict | None
    reasons: tuple[str, ...] = ()
    lack: Lack | None = None
    from_image: bool = False

    @property
    def before(self) -> Verdict:
        """What was recorded."""
        return self.entry.record.inspection.verdict


@dataclass(slots=True)
class Counts:
    """Escapes and false rejects among reviewed parts."""

    escapes: int = 0
    false_rejects: int = 0

    def add(self, verdict: Verdict, truth: str) -> None:
        """A reviewed part; REVIEW is neither, and ERROR stops a part for another reason."""
        self.escapes += truth == "defective" and verdict is Verdict.OK
        self.false_rejects += truth == "good" and verdict is Verdict.NG


@dataclass(slots=True)
class Summary:
    """Of a replay.

    Attributes:
        changes: verdict before and after → parts.
        lacks: why parts could not be replayed → parts.
        reviewed: parts that were replayed and reviewed, by truth.
    """

    parts: int = 0
    from_images: int = 0
    changes: Counter[tuple[Verdict, Verdict]] = field(default_factory=Counter)
    lacks: Counter[Lack] = field(default_factory=Counter)
    reviewed: Counter[str] = field(default_factory=Counter)
    before: Counts = field(default_factory=Counts)
    after: Counts = field(default_factory=Counts)

    def add(self, one: Replayed) -> None:
        """Count it."""
        self.parts += 1
        self.from_images += one.from_image
        if one.after is None:
            if one.lack is not None:
                self.lacks[one.lack] += 1
            return
        self.changes[one.before, one.after] += 1
        truth = one.entry.truth
        if truth is not None:
            self.reviewed[truth.truth] += 1
            self.before.add(one.before, truth.truth)
            self.after.add(one.after, truth.truth)

    @property
    def replayed(self) -> int:
        """Parts whose verdict is known."""
        return self.changes.total()

    @property
    def changed(self) -> int:
        """Parts with another verdict."""
        return sum(count for (before, after), count in self.changes.items() if before is not after)

    def as_json(self) -> dict[str, JsonValue]:
        """For scripts."""
        return {
            "parts": self.parts,
            "replayed": self.replayed,
            "from_images": self.from_images,
            "changed": self.changed,
            "changes": [
                {"before": before.value, "after": after.value, "parts": count}
                for (before, after), count in sorted(self.changes.items())
            ],
            "not_replayed": [
                {"reason": lack.name.lower(), "because": lack.value, "parts": count}
                for lack, count in sorted(self.lacks.items())
            ],
            "reviewed": {"good": self.reviewed["good"], "defective": self.reviewed["defective"]},
            "escapes": {"before": self.before.escapes, "after": self.after.escapes},
            "false_rejects": {"before": self.before.false_rejects, "after": self.after.false_rejects},
        }


Judge = Callable[[bytes, Entry], Inspection]
"""Judges a kept image anew: the bytes of its file, and its record."""


def basis_of(recipe: str) -> Basis:
    """From `recipe.json`. Raises pydantic's ValidationError for what is none."""
    told = json.loads(recipe)
    return Basis(
        Task(told["task"]),
        Thresholds.model_validate(told["thresholds"]),
        RuleSet.model_validate(told["rules"]),
        _PIXEL.validate_python(told.get("pixel_size_mm")),
        _REFERENCE.validate_python(told.get("reference")),
    )


class Replay:
    """Under the recipe `now`. `judge` judges kept images of those parts that cannot be told from their record."""

    def __init__(self, archive: Archive, now: RecipeFacts, judge: Judge | None = None) -> None:
        self._archive, self._now, self._judge = archive, now, judge
        self._known = archive.recipes()
        self._ways: dict[str, Rejudge | Lack] = {}

    def run(self, wanted: Filter) -> Iterator[Replayed]:
        """Every part that is wanted, oldest first; in memory for a page. Raises RecordError, RulesError."""
        for entry in self._archive.walk(wanted):
            one = self._from_record(entry)
            yield self._from_image(one) if one.lack is not None and self._judge is not None else one

    def _from_record(self, entry: Entry) -> Replayed:
        seen = entry.record.inspection
        way = self._way(seen.recipe)
        try:
            told = way if isinstance(way, Lack) else way(seen)
        except ImageError as error:  # it does not look as it should, or its part lies so that a zone is hidden
            return Replayed(entry, Verdict.ERROR, (str(error),))
        if isinstance(told, Lack):
            return Replayed(entry, None, lack=Lack.ERROR if seen.verdict is Verdict.ERROR else told)
        return Replayed(entry, told.verdict, told.reasons)

    def _from_image(self, one: Replayed) -> Replayed:
        path = self._archive.image(one.entry.record)
        if path is None or self._judge is None:
            return one
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # a limit took it meanwhile
            return one
        seen = self._judge(data, one.entry)
        reasons = seen.reasons if seen.error is None else (seen.error,)
        return Replayed(one.entry, seen.verdict, reasons, from_image=True)

    def _way(self, identity: str) -> Rejudge | Lack:
        if identity not in self._ways:
            self._ways[identity] = self._find_way(identity)
        return self._ways[identity]

    def _find_way(self, identity: str) -> Rejudge | Lack:
        then = self._known.get(identity)
        if then is None:
            return Lack.UNKNOWN
        if then.model_sha256 != self._now.model_sha256:
            return Lack.MODEL
        told = [json.loads(facts.recipe) for facts in (then, self._now)]
        if any(told[0].get(name) != told[1].get(name) for name in _SAME):
            return Lack.MODEL
        try:
            bases = basis_of(then.recipe), basis_of(self._now.recipe)
            if bases[1].rules.part is not None and told[0].get("taught") != told[1].get("taught"):
                return Lack.PART
            return Rejudge(*bases)
        except (ValidationError, KeyError, ValueError):
            return Lack.UNKNOWN  # of another time: its fields are no longer, or not yet, known here

"""What the archive holds of one inspection, and how it becomes a row and comes back."""

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from onspec.domain import Inspection, RecordError, UsageError, Verdict
from onspec.domain.verdict import GOOD
from onspec.records.database import Change
from onspec.records.tables import Row, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = {"class_scores", "reasons", "fired", "defects", "placement", "look", "ms"}
"""Kept as JSON."""

MAP_TYPE = "png"
"""What score maps are kept as: 16 bit, 65535 = 1."""


class NoRecordError(RecordError):
    """No such record in the archive."""


@dataclass(frozen=True, slots=True)
class Original:
    """The file that was inspected: lower hex digest, kind by its first bytes, length, and whether policy keeps it."""

    sha256: str
    type: str
    bytes: int
    kept: bool


@dataclass(frozen=True, slots=True)
class Record:
    """One inspection in the archive.

    Attributes:
        time: UTC, when it was recorded.
        station: who judged it.
        original: `None` where no file came in.
        maps: class → its score map as a file, where policy keeps them.
    """

    id: str
    time: datetime
    station: str
    inspection: Inspection
    original: Original | None
    maps: Mapping[str, Original] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """What replay must know of the recipe that judged: sha256 of its network, and its `recipe.json`."""

    identity: str
    name: str
    model_sha256: str
    recipe: str

    def change(self) -> Change:
        """As a row."""
        row: Row = {
            "identity": self.identity, "name": self.name, "model_sha256": self.model_sha256, "recipe": self.recipe
        }  # fmt: skip
        return "recipes", row


Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Review(BaseModel):
    """What a person says of an inspected part. It stands beside the verdict and beside earlier reviews.

    Attributes:
        outlines: the recorded outlines are those of the defects, so that they may serve as labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    truth: Literal["good", "defective"]
    cls: Short | None = Field(None, alias="class", description="kind of the defect, where it is known")
    outlines: bool = Field(False, description="the recorded outlines are right: use them as labels")
    by: Short = Field(examples=["M. Weber"])
    note: str = Field("", max_length=2000)

    @model_validator(mode="after")
    def _consistent(self) -> "Review":
        if self.truth == GOOD and (self.cls is not None or self.outlines):
            raise ValueError("a good part has no defect: leave out class and outlines")
        return self


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review as it is kept."""

    id: str
    time: datetime
    review: Review


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with its reviews, the newest last."""

    record: Record
    reviews: tuple[Reviewed, ...] = ()

    @property
    def truth(self) -> Review | None:
        """The review that counts."""
        return self.reviews[-1].review if self.reviews else None

    def as_json(self) -> dict[str, JsonValue]:
        """The inspection's own fields, and what the archive adds."""
        record, original = self.record, self.record.original
        shown: dict[str, JsonValue] = {
            "id": record.id,
            "time": iso(record.time),
            "station": record.station,
            **record.inspection.model_dump(mode="json", by_alias=True),
            "record": record.id,
            "image_sha256": None if original is None else original.sha256,
            "image_bytes": None if original is None else original.bytes,
            "image_kept": original is not None and original.kept,
            "map_sha256": {cls: kept.sha256 for cls, kept in record.maps.items()},
        }
        shown["reviews"] = [
            {"id": one.id, "time": iso(one.time), **one.review.model_dump(mode="json", by_alias=True)}
            for one in self.reviews
        ]
        return shown


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): a later one sorts later, so that new rows lie together."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def checked_id(text: str) -> str:
    """A UUID in its usual spelling; raises UsageError for anything else."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise UsageError(f"{text!r} is no id of a record; give a UUID, as `onspec records list` shows it") from None


def now() -> datetime:
    """UTC."""
    return datetime.now(UTC)


def to_us(when: datetime) -> int:
    """Whole microseconds since 1970; a time without a zone is refused with ValueError."""
    if when.tzinfo is None:
        raise ValueError(f"a time in the archive needs its zone; got {when}")
    return (when - _EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    """Undoes `to_us`."""
    return _EPOCH + timedelta(microseconds=microseconds)


def iso(when: datetime) -> str:
    """`2026-11-28T07:17:04.123456Z`."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def changes_of(record: Record) -> list[Change]:
    """The rows of a record."""
    seen, original = record.inspection, record.original
    told = seen.model_dump(mode="json", by_alias=True, include=_COLUMNS)
    row: Row = {
        "id": record.id,
        "time_us": to_us(record.time),
        "station": storable(record.station),
        "part_id": None if seen.part_id is None else storable(seen.part_id),
        "image": storable(seen.image),
        "image_sha256": None if original is None else original.sha256,
        "image_type": None if original is None else original.type,
        "image_bytes": None if original is None else original.bytes,
        "image_kept": original is not None and original.kept,
        "width": None if seen.size is None else seen.size[0],
        "height": None if seen.size is None else seen.size[1],
        "recipe": storable(seen.recipe),
        "recipe_name": storable(recipe_name(seen.recipe)),
        "engine": storable(seen.engine),
        "verdict": seen.verdict.value,
        "score": seen.score,
        "class": None if seen.cls is None else storable(seen.cls),
        "error": None if seen.error is None else storable(seen.error),
        **{name: _text(told[name]) for name in sorted(_COLUMNS)},
        "maps": _text({cls: {"sha256": m.sha256, "bytes": m.bytes} for cls, m in record.maps.items()} or None),
    }
    changes: list[Change] = [("records", row)]
    for cls in sorted({storable(defect.cls) for defect in seen.defects}):
        changes.append(("defect_classes", {"record_id": record.id, "class": cls}))
    return changes


def review_change(review: Review, record_id: str, id_: str, when: datetime) -> Change:
    """The row of a review."""
    row: Row = {
        "id": id_, "record_id": record_id, "time_us": to_us(when), "truth": review.truth,
        "class": None if review.cls is None else storable(review.cls), "outlines": review.outlines,
        "by": storable(review.by), "note": storable(review.note),
    }  # fmt: skip
    return "reviews", row


def record_of(row: Row) -> Record:
    """From its row. Raises pydantic's ValidationError for a row that cannot be one."""
    told = {name: json.loads(str(row[name])) for name in _COLUMNS if row[name] is not None}
    size = None if row["width"] is None else (row["width"], row["height"])
    plain = {name: row[name] for name in ("image", "part_id", "verdict", "score", "recipe", "engine", "error", "class")}
    inspection = Inspection.model_validate({**told, **plain, "size": size})
    when, station = from_us(_int(row["time_us"])), str(row["station"])
    return Record(str(row["id"]), when, station, inspection, _original(row), _maps(row))


def reviewed_of(row: Row) -> Reviewed:
    """From its row."""
    fields = {name: row[name] for name in ("truth", "class", "outlines", "by", "note")}
    fields["outlines"] = bool(fields["outlines"])
    return Reviewed(str(row["id"]), from_us(_int(row["time_us"])), Review.model_validate(fields))


def recipe_name(identity: str) -> str:
    """Of NAME@sha256:HEX."""
    return identity.split("@", 1)[0]


def storable(text: str) -> str:
    """What no database takes, NUL and half characters, is shown instead: a record must not fail for a name."""
    return text.replace("\x00", "\u2400").encode("utf-8", "backslashreplace").decode()


def verdicts(names: Sequence[str]) -> tuple[Verdict, ...]:
    """From their names in any case; raises UsageError with those allowed."""
    allowed = {verdict.value: verdict for verdict in Verdict}
    unknown = [name for name in names if name.upper() not in allowed]
    if unknown:
        raise UsageError(f"unknown verdict {unknown[0]!r}; choose {', '.join(allowed)}")
    return tuple(allowed[name.upper()] for name in names)


def _original(row: Row) -> Original | None:
    if row["image_sha256"] is None:
        return None
    return Original(str(row["image_sha256"]), str(row["image_type"]), _int(row["image_bytes"]), bool(row["image_kept"]))


def _maps(row: Row) -> dict[str, Original]:
    maps = {} if row["maps"] is None else json.loads(str(row["maps"]))
    return {cls: Original(kept["sha256"], MAP_TYPE, kept["bytes"], True) for cls, kept in maps.items()}


def _int(value: Value) -> int:
    assert isinstance(value, int)
    return value


def _text(value: JsonValue) -> str | None:
    """JSON with NUL spelt as `\\u0000`, which is text."""
    if value is None:
        return None
    return storable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

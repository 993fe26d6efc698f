"""`/api/records…`: what was judged, and what people say of it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from onspec.domain import Inspection, RecordError, UsageError
from onspec.records.archive import Archive
from onspec.records.query import LARGEST_PAGE, Filter, parse_time
from onspec.records.record import Entry, NoRecordError, Record, Review, verdicts
from onspec.service.exporting import LEFT_OUT, DataSets, Format, Layout, table
from onspec.service.problems import Problem, ProblemError, busy

MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "bmp": "image/bmp", "tif": "image/tiff"}
"""Kind of file → media type; any other is sent as bytes."""


class ReviewInfo(BaseModel):
    """A review as it is kept."""

    id: str
    time: datetime
    truth: Literal["good", "defective"]
    cls: str | None = Field(None, alias="class")
    outlines: bool = Field(description="the recorded outlines are right")
    by: str
    note: str


class RecordInfo(Inspection):
    """An inspection, and what the archive knows of it."""

    id: str
    time: datetime
    station: str
    image_sha256: str | None
    image_bytes: int | None
    map_sha256: dict[str, str] = Field(description="class → its score map, where policy keeps them")
    maps: dict[str, str] = Field(description="class → where its score map is; limits may have removed it since")
    image_kept: bool = Field(description="policy kept the file that came in; limits may have removed it since")
    reviews: tuple[ReviewInfo, ...] = Field(description="oldest first; the last counts")


class RecordPage(BaseModel):
    """Some records, the newest first unless asked otherwise."""

    records: list[RecordInfo]
    next: str | None = Field(description="give it as `after` for the next page; null at the end")


class Said(Review):
    """A review, as it is posted."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"truth": "defective", "class": "scratch", "by": "M. Weber", "note": ""}]}
    )


_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is no text."},
    404: {"model": Problem, "description": "No such record, or its image was not kept."},
    422: {"model": Problem, "description": "A parameter is wrong."},
    503: {"model": Problem, "description": "The archive does not answer."},
}

_TEXT, _BYTES = {"schema": {"type": "string"}}, {"schema": {"type": "string", "format": "binary"}}
_EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A row a record; or images with what was said of them.",
        "content": {"text/csv": _TEXT, "application/vnd.apache.parquet": _BYTES, "application/zip": _BYTES},
        "headers": {
            LEFT_OUT: {
                "description": "of a data set: how many reviewed images are not in it; the ZIP's comment says which",
                "schema": {"type": "integer"},
            }
        },
    },
    404: {"model": Problem, "description": "No reviewed part can go into the data set."},
    501: {"model": Problem, "description": "The server has no package for Parquet."},
}


def _wanted(  # noqa: PLR0913 (as many as there are to ask for)
    since: Annotated[str | None, Query(description="from then on: 2026-11-28T06:00Z, or how long ago: 8h")] = None,
    until: Annotated[str | None, Query(description="before then")] = None,
    verdict: Annotated[list[str] | None, Query(description="OK, NG, REVIEW, ERROR; may be given often")] = None,
    recipe: Annotated[str | None, Query(description="NAME or NAME@sha256:HEX")] = None,
    part_id: Annotated[str | None, Query()] = None,
    station: Annotated[str | None, Query()] = None,
    score_min: Annotated[float | None, Query(ge=0, le=1)] = None,
    score_max: Annotated[float | None, Query(ge=0, le=1)] = None,
    cls: Annotated[str | None, Query(alias="class", description="of some defect")] = None,
    reviewed: Annotated[bool | None, Query(description="whether anybody said what the part is")] = None,
) -> Filter:
    """What the query asks for."""
    try:
        return Filter(
            since=None if since is None else parse_time(since),
            until=None if until is None else parse_time(until),
            verdicts=verdicts(verdict or ()),
            recipe=recipe, part_id=part_id, station=station, score_min=score_min, score_max=score_max, cls=cls,
            reviewed=reviewed,
        )  # fmt: skip
    except UsageError as error:
        raise ProblemError(422, str(error)) from None


def router(archive: Archive) -> APIRouter:
    """All of it; who may do what is in `roles.py`."""
    routes = APIRouter(prefix="/api/records", tags=["records"], responses=_REFUSED)
    sets = DataSets(archive)

    @routes.get("", summary="Records, a page at a time", responses={200: {"model": RecordPage}})
    def some(
        wanted: Annotated[Filter, Depends(_wanted)],
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
        after: Annotated[str | None, Query(description="`next` of the page before")] = None,
        order: Annotated[Literal["newest", "oldest"], Query(description="what comes first")] = "newest",
    ) -> JSONResponse:
        try:
            page = archive.page(wanted, limit, after, order == "newest")
        except (UsageError, RecordError) as error:
            raise _problem(error) from None
        return JSONResponse({"records": [_told(entry) for entry in page.entries], "next": page.next})

    @routes.get(
        "/export",
        summary="Records as a table, oldest first; or reviewed parts as a data set to train on",
        response_class=StreamingResponse,
        responses=_EXPORTED,
    )
    def export(
        wanted: Annotated[Filter, Depends(_wanted)],
        kind: Annotated[Format, Query(alias="format", description="a table, or a ZIP with a data set")],
        layout: Annotated[Layout, Query(description="of a data set, as `onspec convert` writes it")] = "masks",
    ) -> StreamingResponse:
        try:
            return sets.answer(wanted, layout) if kind == "dataset" else table(archive, wanted, kind)
        except (UsageError, RecordError) as error:
            raise _problem(error) from None

    @routes.get(
        "/export.csv",
        summary="The same as `export?format=csv`",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/csv": _TEXT}, "description": "A row a record."}},
    )
    def as_csv(wanted: Annotated[Filter, Depends(_wanted)]) -> StreamingResponse:
        return export(wanted, "csv")

    @routes.get("/{id}", summary="A record with its reviews", responses={200: {"model": RecordInfo}})
    def one(id: str) -> JSONResponse:
        return JSONResponse(_told(_entry(archive, id)))

    @routes.get(
        "/{id}/image",
        summary="The file that was inspected, as it came in",
        response_class=FileResponse,
        responses={200: {"content": {"image/*": _BYTES, "application/octet-stream": _BYTES}}},
    )
    def image(id: str) -> FileResponse:
        record = _entry(archive, id).record
        path = archive.image(record)
        if path is None or record.original is None:
            raise ProblemError(404, _no_image(archive, record.original is not None and record.original.kept, record.id))
        return _picture(path, f"{record.id}.{record.original.type}")

    @routes.get(
        "/{id}/maps/{cls:path}",
        summary="The score map of a class: PNG of 16 bit, 65535 = 1",
        response_class=FileResponse,
        responses={200: {"content": {"image/png": _BYTES}}},
    )
    def score_map(id: str, cls: str) -> FileResponse:
        record = _entry(archive, id).record
        path = archive.score_map(record, cls)
        if path is None:
            raise ProblemError(404, _no_map(cls, record))
        return _picture(path, f"{record.id}-map.png")

    @routes.post(
        "/{id}/review", summary="Say what the part is", status_code=201, responses={201: {"model": RecordInfo}}
    )
    def review(id: str, said: Said, request: Request) -> JSONResponse:
        by = signed(said.by, request)
        try:
            archive.review(id, Review.model_validate({**said.model_dump(), "by": by}))
        except (UsageError, RecordError) as error:
            raise _problem(error) from None
        return JSONResponse(_told(_entry(archive, id)), 201)

    return routes


def _told(entry: Entry) -> dict[str, JsonValue]:
    """As JSON, with links."""
    record = entry.record
    links: JsonValue = {cls: f"/api/records/{record.id}/maps/{quote(cls, safe='')}" for cls in record.maps}
    return entry.as_json() | {"maps": links}


def _picture(path: Path, name: str) -> FileResponse:
    """A kept file, which a browser shows and runs nothing of."""
    media_type = MEDIA_TYPES.get(path.suffix[1:], "application/octet-stream")
    safe = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
    return FileResponse(path, media_type=media_type, filename=name, content_disposition_type="inline", headers=safe)


def signed(by: str, request: Request) -> str:
    """Who says it; where a token proves who asked, with its name."""
    token = getattr(getattr(request.state, "caller", None), "name", None)
    return by if token is None or token == by else f"{by[:120]} (token {token[:60]})"


def _entry(archive: Archive, id_: str) -> Entry:
    try:
        return archive.get(id_)
    except (UsageError, RecordError) as error:
        raise _problem(error) from None


def _problem(error: UsageError | RecordError) -> ProblemError:
    if isinstance(error, NoRecordError):
        return ProblemError(404, str(error))
    return ProblemError(422, str(error)) if isinstance(error, UsageError) else busy(str(error))


def _no_map(cls: str, record: Record) -> str:
    if cls not in record.maps:
        return f"record {record.id} has no score map of {cls!r} (--keep-maps keeps those of NG and REVIEW)"
    return f"the score map of {cls!r} is not here: it is over the limits of age or size, or another station has it"


def _no_image(archive: Archive, kept: bool, id_: str) -> str:
    if not kept:
        return f"the image of record {id_} was not kept (OK parts are kept by a share: --keep-ok)"
    return f"the image of record {id_} is not here: it is over the limits of age or size, or another station has it"

"""`/api/records…`: what was judged, and what people say of it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from onspec.domain import Inspection, RecordError, UsageError
from onspec.records.archive import Archive
from onspec.records.query import LARGEST_PAGE, Filter, parse_time
from onspec.records.record import Entry, NoRecordError, Review, verdicts
from onspec.records.table import csv_lines
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
    404: {"model": Problem, "description": "No such record, or its image was not kept."},
    422: {"model": Problem, "description": "A parameter is wrong."},
    503: {"model": Problem, "description": "The archive does not answer."},
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
        return JSONResponse({"records": [entry.as_json() for entry in page.entries], "next": page.next})

    @routes.get(
        "/export.csv",
        summary="Records as a table, oldest first",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A row a record."}},
    )
    def table(wanted: Annotated[Filter, Depends(_wanted)]) -> StreamingResponse:
        try:
            archive.page(wanted, limit=1)  # what does not answer is told before anything is sent
        except (UsageError, RecordError) as error:
            raise _problem(error) from None
        headers = {"Content-Disposition": 'attachment; filename="records.csv"'}
        lines = csv_lines(archive.walk(wanted))
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)

    @routes.get("/{id}", summary="A record with its reviews", responses={200: {"model": RecordInfo}})
    def one(id: str) -> JSONResponse:
        return JSONResponse(_entry(archive, id).as_json())

    @routes.get(
        "/{id}/image",
        summary="The file that was inspected, as it came in",
        response_class=FileResponse,
        responses={200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}},
    )
    def image(id: str) -> FileResponse:
        record = _entry(archive, id).record
        path = archive.image(record)
        if path is None or record.original is None:
            raise ProblemError(404, _no_image(archive, record.original is not None and record.original.kept, record.id))
        media_type = MEDIA_TYPES.get(record.original.type, "application/octet-stream")
        name = f"{record.id}.{record.original.type}"
        safe = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
        return FileResponse(path, media_type=media_type, filename=name, content_disposition_type="inline", headers=safe)

    @routes.post(
        "/{id}/review", summary="Say what the part is", status_code=201, responses={201: {"model": RecordInfo}}
    )
    def review(id: str, said: Said, request: Request) -> JSONResponse:
        by = signed(said.by, request)
        try:
            archive.review(id, Review.model_validate({**said.model_dump(), "by": by}))
        except (UsageError, RecordError) as error:
            raise _problem(error) from None
        return JSONResponse(_entry(archive, id).as_json(), 201)

    return routes


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


def _no_image(archive: Archive, kept: bool, id_: str) -> str:
    if not kept:
        return f"the image of record {id_} was not kept (OK parts are kept by a share: --keep-ok)"
    return f"the image of record {id_} is not here: it is over the limits of age or size, or another station has it"

"""The image in a request: the raw body, or the one file of a multipart form; never more than allowed is held."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from onspec.service.problems import ProblemError

NAMELESS = "image"
"""What an image is called that came without a file name."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One image file as it came in."""

    data: bytes
    name: str = NAMELESS


async def read_upload(request: Request, max_bytes: int) -> Upload:
    """The image that a request carries.

    Raises:
        ProblemError: 413 over `max_bytes` (said before it is all read), 400 for an empty body or an unusable form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    upload = await (_from_form(request, max_bytes) if kind == "multipart/form-data" else _from_body(request, max_bytes))
    if not upload.data:
        raise ProblemError(400, "the request holds no image (0 bytes); send the image file as the body")
    return upload


async def _from_body(request: Request, max_bytes: int) -> Upload:
    return Upload(b"".join([chunk async for chunk in _limited(request, max_bytes)]))


async def _from_form(request: Request, max_bytes: int) -> Upload:
    """Exactly one file and no other field, so that nothing a client sends is silently left aside."""
    parser = MultiPartParser(request.headers, _limited(request, max_bytes), max_files=2, max_fields=1)
    parser.spool_max_size = max_bytes  # stays in memory: a request never reaches the file system
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise ProblemError(400, f"the multipart form cannot be read ({error}); send one file") from error
    try:
        items = form.multi_items()
        file = items[0][1] if len(items) == 1 else None
        if not isinstance(file, UploadFile):
            raise ProblemError(
                400,
                f"a multipart form must hold one file and nothing else; got {len(items)} fields; "
                "recipe and part_id belong into the query, as /api/inspect?part_id=17",
            )
        return Upload(await file.read(), _plain(file.filename))
    finally:
        await form.close()


async def _limited(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    too_large = ProblemError(413, f"the body is larger than the {max_bytes / 1e6:g} MB allowed (--max-body-mb)")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        yield chunk


def _plain(filename: str | None) -> str:
    """A file name as it may stand in a result: the last part of a path, of a stated length, on one line."""
    name = (filename or "").replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in name if c.isprintable())[-200:] or NAMELESS

"""The images in a request: the raw body, or the files of a multipart form; never more than allowed is held."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from onspec.runtime.inspector import Decoded, Inspector
from onspec.service.problems import ProblemError

MOST_FILES = 1000
"""Images in one form."""

NAMELESS = "image"
"""What an image is called that came without a file name."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One image file as it came in."""

    data: bytes
    name: str = NAMELESS

    @property
    def weight(self) -> int:
        """Bytes to decode."""
        return len(self.data)

    def read(self, inspector: Inspector) -> Decoded:
        """The pixels, read as the recipe's camera says; never raises for the image."""
        return inspector.decode(self.data, self.name)

    def original(self) -> bytes:
        """The file that came in."""
        return self.data


async def read_uploads(request: Request, max_bytes: int) -> list[Upload]:
    """The images that a request carries: one as its body, or any number in a form. An empty file is kept as such.

    Raises:
        ProblemError: 413 over `max_bytes` (said before it is all read), 400 for an empty body or an unusable form.
    """
    if is_form(request):
        return await _from_form(request, max_bytes)
    body = await read_body(request, max_bytes)
    if not body:
        raise ProblemError(400, "the request holds no image (0 bytes); send the image file as the body")
    return [Upload(body)]


def is_form(request: Request) -> bool:
    """Whether the body is a multipart form."""
    return request.headers.get("content-type", "")[:19].lower() == "multipart/form-data"


async def read_body(request: Request, max_bytes: int) -> bytes:
    """All of a body; raises ProblemError 413 over `max_bytes`."""
    # What came in one piece is not copied: the stream's end, which is empty, would make two of it.
    return b"".join([chunk async for chunk in _limited(request, max_bytes) if chunk])


class _WholeForm(MultiPartParser):
    """Refuses a form without its last boundary: a file that is cut off would be left out without a word."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], **limits: int) -> None:
        super().__init__(headers, self._whole(stream), **limits)
        self._ended = False

    def on_end(self) -> None:
        """At the last boundary."""
        self._ended = True
        super().on_end()

    async def _whole(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for chunk in stream:
            yield chunk
        if not self._ended:
            raise MultiPartException("it ends before its last boundary")


async def _from_form(request: Request, max_bytes: int) -> list[Upload]:
    """Files and no other field, so that nothing a client sends is silently left aside."""
    parser = _WholeForm(request.headers, _limited(request, max_bytes), max_files=MOST_FILES, max_fields=1)
    parser.spool_max_size = max_bytes  # stays in memory: a request never reaches the file system
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise ProblemError(400, f"the multipart form cannot be read ({error}); send image files") from error
    try:
        files = [value for _, value in form.multi_items()]
        uploads = [Upload(await file.read(), _plain(file.filename)) for file in files if isinstance(file, UploadFile)]
    finally:
        await form.close()
    if not uploads or len(uploads) < len(files):
        raise ProblemError(
            400,
            f"a multipart form must hold image files and nothing else; got {len(uploads)} files among {len(files)} "
            "fields; recipe and part_id belong into the query, as /api/inspect?part_id=17",
        )
    return uploads


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

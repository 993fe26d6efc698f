"""`GET /api/events`: verdicts as they are given, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from onspec.domain import Verdict
from onspec.service.problems import Problem, ProblemError

_BEHIND = 1000
"""Events that a slow reader may be behind; then it is cut off and connects anew, rather than filling the memory."""

_BEAT_S = 15.0
"""A comment so often tells proxies and readers that the connection lives."""


class Events:
    """Passes each verdict to everyone who listens; costs nothing while nobody does."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Queue[str | None]] = set()
        self._closed = False
        self.listened_elsewhere = False
        self.others: Callable[[str, object], None] = lambda _kind, _value: None

    @property
    def wanted(self) -> bool:
        """Whether anyone listens, here or at another worker."""
        return bool(self._readers) or self.listened_elsewhere

    def publish(self, line: str) -> None:
        """One inspection of this process as a line of JSON."""
        if self.listened_elsewhere:
            self.others("event", line)
        self.pass_on(line)

    def pass_on(self, line: str) -> None:
        """To the readers of this process."""
        for reader in list(self._readers):
            if reader.qsize() < _BEHIND:
                reader.put_nowait(line)
            else:
                self._readers.discard(reader)
                reader.put_nowait(None)

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closed = True
        for reader in self._readers:
            reader.put_nowait(None)

    async def stream(self, verdicts: frozenset[str]) -> AsyncIterator[str]:
        """Server-sent events named `inspection`, until the reader goes or falls behind."""
        reader: asyncio.Queue[str | None] = asyncio.Queue()
        self._readers.add(reader)
        self.others("listening", True)
        try:
            yield ": connected\n\n"
            while not self._closed:
                try:
                    line = await asyncio.wait_for(reader.get(), _BEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if line is None:
                    return
                if not verdicts or any(f'"verdict":"{verdict}"' in line for verdict in verdicts):
                    yield f"event: inspection\ndata: {line}\n\n"
        finally:
            self._readers.discard(reader)
            self.others("listening", bool(self._readers))


def router(events: Events) -> APIRouter:
    """The stream."""
    routes = APIRouter()

    @routes.get(
        "/api/events",
        summary="Verdicts as they are given",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "Events `inspection`, data as JSON."},
            422: {"model": Problem, "description": "A parameter is not valid."},
        },
    )
    async def stream(
        verdict: Annotated[list[str] | None, Query(description="only these verdicts; may be repeated")] = None,
    ) -> StreamingResponse:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        wanted = frozenset(name.upper() for name in verdict or ())
        if unknown := wanted - set(Verdict):
            raise ProblemError(422, f"unknown verdict {min(unknown)!r}; choose {', '.join(Verdict)}")
        lines = events.stream(wanted)
        return StreamingResponse(lines, media_type="text/event-stream", headers=headers)

    return routes

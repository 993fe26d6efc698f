"""How long and how large a request may be before it is one: clients that send a byte a minute hold no connection.

uvicorn itself waits for ever for the end of a request's head, and keeps all that comes until then.
"""

import asyncio
import logging
from time import monotonic
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from onspec.service.sending import Joining

logger = logging.getLogger("onspec.service")

HEAD_S = 15.0
"""From the first byte of a request, or the beginning of a connection, to the end of its head."""

BODY_S, SLOWEST = 30.0, 8_192.0
"""A body may pause so long; on the whole it comes with so many bytes a second."""

MOST_HEAD = 65_536
"""Bytes of the request line and the headers."""


class PatientProtocol(HttpToolsProtocol):
    """A connection that knows since when it waits for its client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A TLS handshake was before."""
        super().connection_made(cast("asyncio.Transport", Joining(transport)))
        self._head_since: float | None = monotonic()
        self._head_bytes = 0
        self._body_since: float | None = None
        self._body_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too large before the parser keeps it."""
        if self._body_since is None:
            if self._head_since is None:
                self._head_since = monotonic()
            self._head_bytes += min(len(data), MOST_HEAD)
        else:
            self._body_bytes += len(data)
        # In one piece a body may follow; a head that is still incomplete afterwards is too large.
        super().data_received(data)
        if self._head_since is not None and self._head_bytes >= MOST_HEAD and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large", "the head of the request is too large")

    def on_headers_complete(self) -> None:
        """The head is there."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._head_since, self._head_bytes = None, 0
        self._body_since, self._body_bytes = monotonic(), 0
        if size > MOST_HEAD:
            self._refuse(b"431 Request Header Fields Too Large", "the head of the request is too large")
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Nothing more of a request that was refused."""
        if self.cycle is not None and not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Nothing more is awaited."""
        self._body_since = None
        if self.cycle is not None and not self.transport.is_closing():
            super().on_message_complete()

    def end_if_slow(self, now: float) -> None:
        """Called about once a second."""
        if self.transport.is_closing():
            return
        if self._head_since is not None and now - self._head_since > HEAD_S:
            self._refuse(b"408 Request Timeout", "the head of the request did not come in time")
        elif self._body_since is not None:
            if self.flow.read_paused:  # it is we who do not read
                self._body_since = now - self._body_bytes / SLOWEST
            elif now - self._body_since > BODY_S + self._body_bytes / SLOWEST:
                self._refuse(b"408 Request Timeout", "the body of the request did not come in time")

    def _refuse(self, status: bytes, sentence: str) -> None:
        client = self.client[0] if self.client else None
        logger.warning("connection closed", extra={"fields": {"client": client, "error": sentence}})
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = b'{"error": "%s; the connection is closed"}' % sentence.encode()
            self.transport.write(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, len(body), body)
            )
        self.transport.close()


class PatientServer(uvicorn.Server):
    """Looks after its connections once a second; a timer for each request would cost more."""

    async def on_tick(self, counter: int) -> bool:
        """As uvicorn's, which comes ten times a second."""
        if counter % 10 == 0:
            now = monotonic()
            for connection in list[Any](self.server_state.connections):
                if isinstance(connection, PatientProtocol):
                    connection.end_if_slow(now)
        return await super().on_tick(counter)

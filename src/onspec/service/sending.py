"""How an answer goes out: its head and its body in one packet, by one call of the system.

uvicorn writes them one after the other, and uvloop sends each at once: twice the system's time on this side, and on the
other a client that wakes up for a head without a body.
"""

import asyncio
from typing import Any

_HEAD, _INTERIM = b"HTTP/1.1 ", b"HTTP/1.1 1"
_WORTH_A_COPY = 65_536
"""Bytes; what is longer is sent on its own rather than copied behind its head."""


class Joining:
    """A transport that keeps the head of an answer until its body follows, at most until the loop's next turn.

    The order of what is written never changes.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._kept = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is as the transport has it
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """A head is kept, anything else sent behind what is kept."""
        if self._kept:
            kept, self._kept = self._kept, b""
            if len(data) <= _WORTH_A_COPY:
                self._transport.write(kept + data)
                return
            self._transport.write(kept)
        elif data.startswith(_HEAD) and not data.startswith(_INTERIM):
            self._kept = data
            self._loop.call_soon(self._send_kept)
            return
        self._transport.write(data)

    def close(self) -> None:
        """After what was written."""
        self._send_kept()
        self._transport.close()

    def _send_kept(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, b""
            if not self._transport.is_closing():  # a client that is gone meanwhile hears nothing
                self._transport.write(kept)

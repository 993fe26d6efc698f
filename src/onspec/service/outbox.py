"""Messages to another process that never make their sender wait: a process that is stopped reads nothing."""

import queue
import threading
from multiprocessing.connection import Connection

MOST_WAITING = 1000
"""Messages that may wait for the other end; further ones that it can do without are dropped."""

_CLOSE_S = 1.0


class Outbox:
    """A thread that writes what it is given to a connection, in its order. May be called from several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: queue.SimpleQueue[tuple[str, object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._thread.start()

    def send(self, kind: str, value: object, *, needed: bool = True) -> None:
        """Soon. An end that is gone misses it."""
        if needed or self._waiting.qsize() < MOST_WAITING:
            self._waiting.put((kind, value))

    def close(self) -> None:
        """After what waits, unless the other end does not read; the connection stays open."""
        self._waiting.put(None)
        self._thread.join(_CLOSE_S)

    def _write(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._connection.send(message)
            except OSError:
                return

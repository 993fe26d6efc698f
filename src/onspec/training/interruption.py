"""Ctrl-C between two steps."""

import signal
import threading
from typing import Any


class Interruption:
    """Ctrl-C, noticed between two steps so that the saved state is of a whole step; a second one stops at once."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _request(self, *_: object) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, self._previous)

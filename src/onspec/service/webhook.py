"""Posts to the one address that was named for it: in order, signed, patient, and never in anybody's way."""

import hashlib
import hmac
import json
import logging
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException
from typing import IO

from pydantic import JsonValue

from onspec import __version__
from onspec.domain import UsageError

logger = logging.getLogger("onspec.service")

SIGNATURE = "Onspec-Signature"
DELIVERY = "Onspec-Delivery"

MOST_WAITING = 100
"""Posts that wait for a receiver that is away; of more the oldest go."""
_TIMEOUT_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
"""After a failure, doubled each time up to the longest."""
_GIVE_UP_S = 86_400.0
"""How old a post may grow."""
_PASSING = frozenset({408, 425, 429})
"""Refusals of a receiver that may take the same later; others it never will."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where posts go. `secret` signs them; without one they are not signed."""

    url: str
    secret: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        try:
            parts = urllib.parse.urlsplit(self.url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            known = known and parts.username is None and self.url.isascii() and self.url.isprintable()
        except ValueError:
            known = False
        if not known:
            raise UsageError("--webhook: give an address, as https://plant.example/hooks/onspec")
        if self.secret is not None and len(self.secret) < 16:
            raise UsageError(
                "the webhook's secret must have at least 16 characters; make one with: openssl rand -hex 32"
            )

    @property
    def shown(self) -> str:
        """Only the host: the rest of such an address is often a secret itself."""
        return str(urllib.parse.urlsplit(self.url).hostname)


@dataclass(frozen=True, slots=True)
class _Post:
    delivery: str
    body: bytes
    made: float


class Webhook:
    """A thread that posts what it is given, one after the other; started by the first post.

    Args:
        pause_s: after the first failure.
        clock: seconds since 1970, for signatures and age.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout_s: float = _TIMEOUT_S,
        pause_s: float = _FIRST_PAUSE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._address, self._timeout_s, self._pause_s, self._clock = address, timeout_s, pause_s, clock
        self._waiting: deque[_Post] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._opener = urllib.request.build_opener(_NoRedirect)

    def post(self, body: Mapping[str, JsonValue]) -> None:
        """Soon, as JSON; returns at once. May be called from any thread."""
        data = json.dumps(body, ensure_ascii=False).encode()
        with self._changed:
            if self._closing:
                return
            if len(self._waiting) >= MOST_WAITING:
                self._tell("webhook dropped", self._waiting.popleft(), "too many wait")
            self._waiting.append(_Post(str(uuid.uuid4()), data, self._clock()))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="onspec-webhook", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, grace_s: float = 2.0) -> None:
        """Try what waits once more, then stop; what is not taken is in the log."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(grace_s + self._timeout_s)
        with self._changed:
            for post in self._waiting:
                self._tell("webhook dropped", post, "the service stops")
            self._waiting.clear()

    def _run(self) -> None:
        pause = self._pause_s
        while (post := self._next()) is not None:
            cause, again = self._send(post)
            again = again and self._clock() - post.made < _GIVE_UP_S
            if cause is not None:
                self._tell("webhook failed" if again else "webhook dropped", post, cause)
            with self._changed:
                if not again:
                    pause = self._pause_s
                    if self._waiting and self._waiting[0] is post:  # not dropped meanwhile
                        self._waiting.popleft()
                    continue
                if self._closing:
                    return
                self._changed.wait_for(lambda: self._closing, pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _next(self) -> _Post | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or bool(self._waiting))
            return self._waiting[0] if self._waiting else None

    def _send(self, post: _Post) -> tuple[str | None, bool]:
        """What went wrong, `None` if it was taken, and whether to try it again."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"onspec/{__version__}",
            DELIVERY: post.delivery,
        }
        if self._address.secret is not None:
            headers[SIGNATURE] = signature(self._address.secret, post.body, int(self._clock()))
        request = urllib.request.Request(self._address.url, post.body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return None, False
        except urllib.error.HTTPError as error:
            with error:
                return f"status {error.code}", error.code >= 500 or error.code in _PASSING
        except (OSError, HTTPException) as error:  # no route, no answer, no certificate, or what is not HTTP
            return str(getattr(error, "reason", error)) or type(error).__name__, True

    def _tell(self, event: str, post: _Post, cause: str) -> None:
        fields = {"to": self._address.shown, "delivery": post.delivery, "cause": cause}
        logger.log(logging.WARNING if event == "webhook failed" else logging.ERROR, event, extra={"fields": fields})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed post goes where it was meant to go, or nowhere."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Refuse, which makes the redirect a failure."""


def signature(secret: bytes, body: bytes, at: int) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 over `SECONDS.BODY`, so that an old post cannot be sent again as a new one."""
    mac = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}"

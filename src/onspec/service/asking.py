"""Which request is being answered: its id and its trace context, wherever in the service one looks."""

import re
import secrets
from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is answered here, for its log lines and the audit log."""

trace_parent: ContextVar[str | None] = ContextVar("trace_parent", default=None)
"""Its W3C trace context, if it came with one (https://www.w3.org/TR/trace-context/)."""

_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


_drawn: list[str] = []
_AT_A_TIME = 1024


def identify(given: str | None, parent: str | None) -> str:
    """Take over a request's own id, if it is fit for a log line, or make one; and its trace context, if it is one."""
    known = given if given is not None and _ID.fullmatch(given) else _new_id()
    request_id.set(known)
    trace_parent.set(parent if parent is not None and _TRACE_PARENT.fullmatch(parent) else None)
    return known


def _new_id() -> str:
    """64 random bits. Called in the event loop only.

    The system is asked for many at a time: each call of it lets the judging thread go first, and waits for its turn.
    """
    if not _drawn:
        digits = secrets.token_hex(8 * _AT_A_TIME)
        _drawn.extend(digits[at : at + 16] for at in range(0, len(digits), 16))
    return _drawn.pop()

"""Who changed what: an append-only file of JSON lines, each with the hash of the one before, so that removal shows.

A change is written down before it is made ("asked") and again with its outcome ("done"): what cannot be written down
is not done.
"""

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onspec.domain import OnspecError, UsageError
from onspec.service.asking import request_id
from onspec.service.problems import ProblemError, busy

logger = logging.getLogger("onspec.service")

FIRST = "0" * 64
"""What stands for the hash of the line before the first."""

UNCHANGING: tuple[str, ...] = (
    r"/api/inspect",
    r"/v2/models/[^/]+(/versions/[^/]+)?/infer",
    r"/v2/repository/index",
)
"""Paths whose POST changes nothing. Every other request that is not GET or HEAD is written down."""

_UNCHANGING = re.compile("|".join(UNCHANGING))
_LONGEST = 500
_BLOCK = 65_536


class AuditError(OnspecError):
    """A line could not be brought to the disk."""


class AuditLog:
    """The file. Several workers append to it, one at a time."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError if the file cannot be written."""
        self.path = path
        try:
            self._open().close()
        except OSError as error:
            raise UsageError(
                f"--audit {path}: cannot be written ({error.strerror}); name a file in a folder that may be"
            ) from None

    def append(self, fields: dict[str, object]) -> str:
        """Write a line through to the disk; its hash, which the next line will carry. Raises OSError."""
        with self._open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            last = _last_line(file)
            torn = last is not None and not last.endswith(b"\n")
            entry = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                **fields,
                "previous": FIRST if last is None else hashlib.sha256(last.rstrip(b"\n")).hexdigest(),
            }
            line = json.dumps(entry, ensure_ascii=True).encode()
            end = file.seek(0, os.SEEK_END)
            try:
                # After a loss of power the last line may be torn: it is ended, and hashed as it is.
                file.write(b"\n" * torn + line + b"\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), end)  # a full disk must not leave half a line
                raise
        return hashlib.sha256(line).hexdigest()

    def _open(self) -> BinaryIO:
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "r+b")


@dataclass(frozen=True, slots=True)
class Verified:
    """What a file of audit lines is worth: its lines, the hash of the last, and the first fault if there is one."""

    lines: int
    head: str
    fault: str | None = None


def verify_audit(path: Path, head: str | None = None) -> Verified:
    """Go through the chain. With `head`, the hash of a line kept elsewhere (the service's log has each), that line
    must be there, too: lines cut off at the end show in no other way.

    Raises:
        UsageError: the file cannot be read.
    """
    previous, number, seen = FIRST, 0, head is None
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = raw.rstrip(b"\n")
                try:
                    told = json.loads(line)["previous"]
                except (ValueError, KeyError, TypeError):
                    return Verified(number, previous, f"line {number} is not a whole line of an audit log")
                if told != previous:
                    return Verified(
                        number, previous, f"line {number} does not follow the one before: lines were changed or removed"
                    )
                previous = hashlib.sha256(line).hexdigest()
                seen = seen or previous == head
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); name the file given to --audit") from None
    return Verified(number, previous, None if seen else f"the line with the hash {head} is not there: it was removed")


class AuditGate:
    """Writes down every request that changes something; behind the token gate, so that it knows who asks."""

    def __init__(self, app: ASGIApp, audit: AuditLog | None, active: Callable[[], list[str]]) -> None:
        """`active` tells the recipes that judge, as NAME@sha256:HEX. Without a file the lines are only logged."""
        self._app = app
        self._audit = audit
        self._active = active

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; the answer goes out after its line is on the disk."""
        if scope["type"] != "http" or not changes(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        asked = _asked(scope)
        body, status, before = hashlib.sha256(), 500, self._active()
        size = 0

        async def hashed() -> Message:
            nonlocal size
            message = await receive()
            piece = message.get("body", b"")
            size += len(piece)
            if len(piece) > _BLOCK:
                await asyncio.to_thread(body.update, piece)
            else:
                body.update(piece)
            return message

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                done = {
                    "phase": "done", "status": status, "outcome": "done" if status < 400 else "refused",
                    "body_sha256": body.hexdigest() if size else None, "before": before, "active": self._active(),
                }  # fmt: skip
                await self._write(asked | done)
            await send(message)

        try:
            await self._write(asked | {"phase": "asked", "active": before})
        except AuditError as error:
            await busy(f"{error}, so nothing was changed").response()(scope, receive, send)
            return
        try:
            await self._app(scope, hashed, answer)
        except AuditError as error:
            await ProblemError(500, f"{error}; the change may have been made").response()(scope, receive, send)
        except Exception:  # whatever it was, it is written down, and raised again
            await self._write(asked | {"phase": "done", "status": 500, "outcome": "fault"})
            raise

    async def _write(self, fields: dict[str, object]) -> None:
        try:
            known = {} if self._audit is None else {"hash": await asyncio.to_thread(self._audit.append, fields)}
        except OSError as error:
            logger.exception("fault", extra={"fields": {"doing": "audit log"}})
            raise AuditError(f"the audit log cannot be written ({error.strerror})") from error
        logger.info("audit", extra={"fields": fields | known})


def changes(method: str, path: str) -> bool:
    """Whether a request is written down."""
    return method not in ("GET", "HEAD", "OPTIONS") and not (method == "POST" and _UNCHANGING.fullmatch(path))


def _asked(scope: Scope) -> dict[str, object]:
    caller = scope.get("state", {}).get("caller")
    client = scope.get("client")
    query = parse_qsl(scope["query_string"].decode("latin-1"))
    return {
        "who": caller.name if caller else None,
        "role": caller.role.name.lower() if caller else None,
        "client": client[0] if client else None,
        "request_id": request_id.get(),
        "method": scope["method"],
        "route": scope["path"][:_LONGEST],
        "query": {name[:_LONGEST]: value[:_LONGEST] for name, value in query[:20]},
    }


def _last_line(file: BinaryIO) -> bytes | None:
    """With its line end, if it has one."""
    at = file.seek(0, os.SEEK_END)
    end = b""
    while at > 0:
        step = min(4096, at)
        at -= step
        file.seek(at)
        end = file.read(step) + end
        start = end.rfind(b"\n", 0, len(end) - 1)
        if start >= 0:
            return end[start + 1 :]
    return end or None


def _main(arguments: list[str]) -> int:
    """`python -m onspec.service.audit FILE [HASH]`: 0 if the chain holds, 1 if not, 2 for bad usage."""
    if len(arguments) not in (1, 2):
        sys.stderr.write("usage: python -m onspec.service.audit FILE [HASH]\n")
        return 2
    try:
        found = verify_audit(Path(arguments[0]), *arguments[1:])
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{found.fault or f'{found.lines} lines, unbroken; the last has the hash {found.head}'}\n")
    return 1 if found.fault else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))

"""Load for a running `onspec serve`: a process of its own with many clients, each on a connection that it keeps.

On a machine whose cores the server needs, too, a client must be cheap, or it is the client that is measured. So these
write requests that were made beforehand to a plain TCP connection, and of an answer read what they check: its status
and length, the verdict, and the part id where parts are told apart. Nothing is left out that a client would have to do:
every answer is awaited and read to its end before the same client asks again.
"""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import cast
from urllib.parse import urlsplit

import numpy as np
import uvloop

_REST_S = 60.0
"""What answers may take after the last request."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked, by how many clients and how often.

    Attributes:
        rate: requests per second of all clients together; `None` asks without pause.
        told_apart: every request has a part id of its own, and its answer must have the same.
    """

    url: str
    images: Sequence[bytes]
    clients: int
    seconds: float
    rate: float | None = None
    told_apart: bool = False


@dataclass
class Load:
    """What a load saw.

    Attributes:
        seconds: from the first request to the last answer.
        times_ms: of the requests that got a verdict.
        over_ms: what of that was not the engine's, where one client asks.
        statuses: status → answers.
        wrong: answers with another verdict than the first for the same image, or with another part's id.
        broken: connections that ended without an answer.
        answered: part ids that got a verdict, where parts are told apart.
    """

    seconds: float = 0.0
    times_ms: list[float] = field(default_factory=list)
    over_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: int = 0
    broken: int = 0
    answered: list[int] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        """Verdicts per second."""
        return len(self.times_ms) / self.seconds

    @property
    def told(self) -> str:
        """Statuses and how often each came."""
        return ", ".join(f"{count}× {status}" for status, count in sorted(self.statuses.items()))

    @property
    def cpu_ms(self) -> float:
        """What a request cost the clients, ms of a core."""
        return 1e3 * self.cpu_s / max(1, sum(self.statuses.values()))

    def at(self, percent: float) -> float:
        """A percentile of `times_ms`."""
        return float(np.percentile(self.times_ms, percent)) if self.times_ms else float("nan")


def load(asking: Asking) -> Load:
    """Ask, from another process, until the time is over."""
    with loading(asking) as pipe:
        return pipe.recv()


@contextmanager
def loading(asking: Asking) -> Iterator["Connection[None, Load]"]:
    """The same beside what the caller does meanwhile; the pipe gives the one `Load`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, asking))
    process.start()
    theirs.close()
    try:
        yield ours
        process.join()
    finally:
        process.kill()


def _run(pipe: "Connection[Load, None]", asking: Asking) -> None:
    pipe.send(uvloop.run(_ask(asking)))


async def _ask(asking: Asking) -> Load:
    loop = asyncio.get_running_loop()
    address = urlsplit(asking.url)
    host, port = str(address.hostname), int(address.port or 80)
    begun, begun_cpu = time.perf_counter(), time.process_time()
    crowd = _Crowd(asking, begun)
    for number in range(asking.clients):
        await loop.create_connection(partial(_Client, crowd, number), host, port)
    done = [client.done for client in crowd.members]
    await asyncio.wait(done, timeout=asking.seconds + _REST_S)
    crowd.seen.broken += sum(not each.done() for each in done)
    crowd.seen.seconds = time.perf_counter() - begun
    crowd.seen.cpu_s = time.process_time() - begun_cpu
    return crowd.seen


class _Crowd:
    """What the clients of one load share."""

    def __init__(self, asking: Asking, begun: float) -> None:
        self.asking, self.end = asking, begun + asking.seconds
        self.pause = 0.0 if asking.rate is None else asking.clients / asking.rate
        self.seen = Load()
        self.known: dict[int, bytes] = {}
        self.members: list[_Client] = []
        self.parts = 0
        self._requests = [self._request("", image) for image in asking.images]

    def request(self, turn: int) -> tuple[int | None, bytes]:
        """The next part's number, if parts are told apart, and what to send."""
        if not self.asking.told_apart:
            return None, self._requests[turn % len(self._requests)]
        part, self.parts = self.parts, self.parts + 1
        return part, self._request(f"?part_id={part}", self.asking.images[turn % len(self._requests)])

    def take(self, turn: int, part: int | None, status: int, body: bytes, took_s: float) -> None:
        """An answer."""
        seen = self.seen
        seen.statuses[status] = seen.statuses.get(status, 0) + 1
        if status != 200:
            return
        seen.times_ms.append(1e3 * took_s)
        verdict = body[body.index(b'"verdict"') :][:20]
        seen.wrong += self.known.setdefault(turn % len(self._requests), verdict) != verdict
        if part is not None:
            seen.answered.append(part)
            seen.wrong += f'"part_id":"{part}"'.encode() not in body
        elif self.asking.clients == 1:
            seen.over_ms.append(1e3 * took_s - sum(json.loads(body)["ms"].values()))

    def _request(self, query: str, image: bytes) -> bytes:
        head = f"POST /api/inspect{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n"
        return head.encode() + image


class _Client(asyncio.Protocol):
    """Asks, awaits the answer, and asks again when its time has come."""

    def __init__(self, crowd: _Crowd, number: int) -> None:
        self._crowd, self._turn = crowd, number
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._due = time.perf_counter() + crowd.pause * number / crowd.asking.clients
        self._begun = 0.0
        self._part: int | None = None
        self._got = b""
        self._waits = False
        self.done = self._loop.create_future()
        crowd.members.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever still waits has no answer; there is no second try, so that it shows."""
        del error
        self._crowd.seen.broken += self._waits
        if not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        """An answer is there when it is as long as its head says."""
        if not self._waits:  # nobody asked: the server hangs up
            self._crowd.seen.broken += 1
            return
        self._got = got = self._got + data if self._got else data
        end = got.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = got[:end].lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        if len(got) < end + length:
            return
        self._got, self._waits = b"", False
        crowd, took = self._crowd, time.perf_counter() - self._begun
        crowd.take(self._turn, self._part, int(head[9:12]), got[end:], took)
        self._turn += crowd.asking.clients
        self._next()

    def _next(self) -> None:
        now, crowd = time.perf_counter(), self._crowd
        if now >= crowd.end:
            assert self._transport is not None
            self._transport.close()
        elif self._due > now and crowd.pause:
            self._loop.call_later(self._due - now, self._send)
        else:
            self._send()

    def _send(self) -> None:
        crowd, self._begun = self._crowd, time.perf_counter()
        self._due = max(self._due + crowd.pause, self._begun - 10 * crowd.pause)
        self._part, request = crowd.request(self._turn)
        self._waits = True
        assert self._transport is not None
        self._transport.write(request)

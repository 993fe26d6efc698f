"""The queue in front of the engines: what is accepted is judged in time or refused with its reason, never forgotten.

One thread judges. Beside it a few threads decode large files ahead, so that reading one image overlaps judging the one
before. All of them sleep on a lock until there is something to do: an idle queue takes no CPU.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import Protocol

from onspec.domain import OnspecError, UsageError
from onspec.runtime.inspector import Decoded, Inspector, Result
from onspec.service.at_work import LEAST_S, AtWork

logger = logging.getLogger("onspec.service")

WORTH_A_THREAD = 32_768
"""Bytes from which a file is decoded beside the engine; a smaller one is decoded quicker than it is handed over."""

_PROMPT_S = 0.001
"""Results of quicker images are handed over together: waking the event loop for each would cost more than judging."""

_CLOSE_S = 10.0
"""What the image in work may take when the service ends."""

_PACE = 0.2
"""Weight of the newest image in the running mean of what an image takes."""


class QueueFullError(OnspecError):
    """No place is free, or the wait would be longer than the deadline. Nothing was done."""

    def __init__(self, sentence: str, retry_after_s: float) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class DeadlineError(OnspecError):
    """The deadline passed before the verdict was there; none is given any more."""


class Picture(Protocol):
    """An image as it came in."""

    @property
    def name(self) -> str:
        """What its sender calls it."""
        ...

    @property
    def weight(self) -> int:
        """Bytes to decode; 0 for pixels."""
        ...

    def read(self, inspector: Inspector) -> Decoded:
        """The pixels; never raises for the image."""
        ...

    def original(self) -> bytes:
        """The file that came in, or one that holds these pixels without loss, for the record."""
        ...


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """What waits, how long, and what goes to the engine together.

    Attributes:
        max_batch: images of one recipe that are taken from the queue at a time.
        max_wait_ms: how long the first image of a batch waits for others; 0 judges what is there.
        max_queue: images of one recipe waiting or in work; one more is refused.
        deadline_ms: what an image may take from its arrival to its verdict, unless its request says less or more.
    """

    max_batch: int = 8
    max_wait_ms: float = 0.0
    max_queue: int = 32
    deadline_ms: float = 30_000.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.max_batch < 1 or self.max_queue < 1:
            raise UsageError(f"batch and queue must hold at least 1; got {self.max_batch} and {self.max_queue}")
        if not (0 <= self.max_wait_ms < self.deadline_ms):
            raise UsageError(f"max_wait_ms must be 0 … deadline; got {self.max_wait_ms} of {self.deadline_ms}")


@dataclass(eq=False, slots=True)
class _Job:
    inspector: Inspector
    picture: Picture
    part_id: str | None
    arrived: float
    future: "asyncio.Future[Result]"
    claimed: bool = False  # somebody decodes it, or has
    ahead: bool = False  # by a thread beside the judge
    over: bool = False  # its asker has its answer
    decoded: Decoded | None = None
    read: threading.Event | None = None

    def decode(self) -> Decoded:
        self.decoded = decoded = self.picture.read(self.inspector)
        if self.read is not None:
            self.read.set()
        return decoded


@dataclass(eq=False, slots=True)
class _Lane:
    """What waits for one recipe's version, the engine time that it had, and what an image takes, s."""

    waiting: deque[_Job] = field(default_factory=deque)
    in_work: int = 0
    spent: float = 0.0
    pace: float = 0.0

    @property
    def places(self) -> int:
        return len(self.waiting) + self.in_work

    def due(self, policy: BatchPolicy) -> float:
        """When its batch is to be judged: at once if full, otherwise when its first image has waited long enough."""
        return 0.0 if len(self.waiting) >= policy.max_batch else self.waiting[0].arrived + policy.max_wait_ms / 1e3


class JudgeQueue:
    """Judges images of several recipes, fairly: the recipe that had the least engine time of late goes first."""

    def __init__(self, policy: BatchPolicy | None = None, decoders: int | None = None) -> None:
        """Start the threads; `decoders` of them read ahead (by default half as many as there are cores, 1 … 4)."""
        self.policy = policy or BatchPolicy()
        decoders = min(4, max(1, (os.cpu_count() or 2) // 2)) if decoders is None else decoders
        self._lock = threading.Lock()
        self._arrival = threading.Condition(self._lock)
        self._departure = threading.Condition(self._lock)
        self._unread = threading.Condition(self._lock)
        self._lanes: dict[Inspector, _Lane] = {}
        self._large: deque[_Job] = deque()
        self._ahead, self._most_ahead = 0, 2 * decoders
        self._idle, self._closed = False, False
        self.at_work = AtWork(self.policy.deadline_ms / 1e3)
        self.on_batch: Callable[[int], None] = lambda _: None
        self._clock = 0.0
        names = ["judge", *["decode"] * decoders]
        self._threads = [
            threading.Thread(target=self._work if name == "judge" else self._read_ahead, name=name, daemon=True)
            for name in names
        ]
        for thread in self._threads:
            thread.start()

    async def judge(
        self, inspector: Inspector, picture: Picture, part_id: str | None = None, deadline_ms: float | None = None
    ) -> Result:
        """Wait for a turn, then for the result.

        Raises:
            QueueFullError: at once, when there is no place or no time for it. Nothing was done then.
            DeadlineError: at the deadline. If the image was in work then, its verdict is dropped.
        """
        loop = asyncio.get_running_loop()
        allowed_ms = self.policy.deadline_ms if deadline_ms is None else deadline_ms
        job = _Job(inspector, picture, part_id, monotonic(), loop.create_future())
        self._accept(job, allowed_ms)
        timer = loop.call_later(allowed_ms / 1e3, self._expire, job, allowed_ms)
        try:
            return await job.future
        finally:
            job.over = True
            timer.cancel()

    def require_place(self, inspector: Inspector) -> None:
        """A cheap look before a body is read; raises QueueFullError if an image would be refused now."""
        if (fault := self.at_work.fault) is not None:
            raise QueueFullError(fault, LEAST_S)
        lane = self._lanes.get(inspector)
        if lane is not None and lane.places >= self.policy.max_queue:
            raise self._full(lane)

    @property
    def places(self) -> int:
        """Images waiting or in work, of all recipes."""
        with self._lock:
            return sum(lane.places for lane in self._lanes.values())

    def forget(self, inspector: Inspector) -> bool:
        """Wait until no image of a version that is not served any more is in work: its asker may be gone already.

        Whether its engine may be closed now; not where the queue was closed before.
        """
        with self._lock:
            lane = self._lanes.get(inspector)
            while lane is not None and lane.places and not self._closed:
                self._departure.wait()
            if lane is not None and lane.places:
                return False
            self._lanes.pop(inspector, None)
            return True

    def close(self) -> bool:
        """Finish what was accepted, then end the threads; whether they ended within 10 s."""
        with self._lock:
            self._closed = True
            self._arrival.notify_all()
            self._unread.notify_all()
            self._departure.notify_all()
        end = monotonic() + _CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, end - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _accept(self, job: _Job, allowed_ms: float) -> None:
        with self._lock:
            if self._closed:
                raise QueueFullError("the server is stopping; ask another one, or again when it is back", 1)
            if (fault := self.at_work.fault) is not None:
                raise QueueFullError(fault, LEAST_S)
            lane = self._lanes.setdefault(job.inspector, _Lane())
            if lane.places >= self.policy.max_queue:
                raise self._full(lane)
            expected = self._wait_s(lane)
            if expected * 1e3 > allowed_ms:
                raise QueueFullError(
                    f"the queue needs about {expected:.2g} s, longer than the deadline of {allowed_ms:g} ms; try again",
                    expected,
                )
            if not lane.places:
                lane.spent = max(lane.spent, self._clock)  # what it did not use while idle is not saved up
            lane.waiting.append(job)
            self._wake(job)

    def _wake(self, job: _Job) -> None:
        """An idle judge takes the image at once and decodes it itself; a busy one has it read beside."""
        if self._idle:
            self._idle = False
            self._arrival.notify()
            return
        if job.picture.weight >= WORTH_A_THREAD:
            job.read = threading.Event()
            self._large.append(job)
            self._unread.notify()
        if self.policy.max_wait_ms:
            self._arrival.notify()  # it may fill the batch that is waited for

    def _wait_s(self, lane: _Lane) -> float:
        """What the images before a new one take: all of them at most, and no more than this lane's fair share."""
        busy = [other for other in self._lanes.values() if other.places]
        return min(sum(other.places * other.pace for other in busy), lane.places * lane.pace * max(1, len(busy)))

    def _full(self, lane: _Lane) -> QueueFullError:
        sentence = f"the queue is full ({lane.places} images of this recipe waiting or in work); try again"
        return QueueFullError(sentence, lane.places * lane.pace)

    def _expire(self, job: _Job, allowed_ms: float) -> None:
        """In the event loop, when the time is over."""
        if job.future.done():
            return
        with self._lock:
            job.over = True
            lane = self._lanes.get(job.inspector)
            waited = lane is not None and job in lane.waiting
            if lane is not None and waited:
                lane.waiting.remove(job)
                self._release(job)
                self._unlist(job)
        doing = "it waited" if waited else "it was in work"
        job.future.set_exception(
            DeadlineError(f"the deadline of {allowed_ms:g} ms passed while {doing}; no verdict is given")
        )

    def _work(self) -> None:
        """The judging thread. Were it to end by a fault of ours, the service must not look well."""
        try:
            self._judge_all()
        except BaseException as error:
            self.at_work.ended(error)
            raise

    def _judge_all(self) -> None:
        while (jobs := self._next_batch()) is not None:
            done: list[_Delivery] = []
            for job in jobs:
                start = perf_counter()
                self.at_work.begin(job, start)
                delivery = self._one(job)
                self.at_work.end()
                took = perf_counter() - start
                self._account(job, took)
                done.append(delivery)
                if took > _PROMPT_S or job is jobs[-1]:
                    _hand_over(done)
                    done = []

    def _next_batch(self) -> list[_Job] | None:
        with self._lock:
            while True:
                now, waiting = monotonic(), [item for item in self._lanes.items() if item[1].waiting]
                due = [item for item in waiting if item[1].due(self.policy) <= now or self._closed]
                if due:
                    break
                if self._closed:
                    return None
                self._idle = not waiting
                self._arrival.wait(min(lane.due(self.policy) for _, lane in waiting) - now if waiting else None)
            self._idle = False
            _, lane = min(due, key=lambda item: item[1].spent)
            self._clock = lane.spent
            jobs = [lane.waiting.popleft() for _ in range(min(len(lane.waiting), self.policy.max_batch))]
            lane.in_work += len(jobs)
            self.on_batch(len(jobs))
            return jobs

    def _one(self, job: _Job) -> "_Delivery":
        try:
            if job.over:
                return _Delivery(job)
            decoded = self._read(job)
            result = job.inspector.inspect_decoded(decoded, job.picture.name, job.part_id)
        except Exception as error:  # a fault of ours: it is this image's answer, and the next one is judged
            return _Delivery(job, error=error)
        else:
            return _Delivery(job, result=result)

    def _read(self, job: _Job) -> Decoded:
        with self._lock:
            mine, job.claimed = not job.claimed, True
            if mine:
                self._unlist(job)
        if mine:
            return job.decode()
        assert job.read is not None
        job.read.wait()
        assert job.decoded is not None
        return job.decoded

    def _account(self, job: _Job, took: float) -> None:
        with self._lock:
            self._release(job)
            lane = self._lanes[job.inspector]
            lane.in_work -= 1
            self._departure.notify_all()
            lane.spent += took
            if not job.over:
                lane.pace += (took - lane.pace) * (_PACE if lane.pace else 1.0)

    def _release(self, job: _Job) -> None:
        """Its unpacked image is not held any more."""
        if job.ahead:
            job.ahead, job.decoded = False, None
            self._ahead -= 1
            self._unread.notify()

    def _unlist(self, job: _Job) -> None:
        """Nobody is to read it ahead any more; its file is not held here while the reading threads are busy."""
        if job.read is not None and job in self._large:
            self._large.remove(job)

    def _read_ahead(self) -> None:
        """A decoding thread: never so far ahead that unpacked images fill the memory."""
        while (job := self._next_unread()) is not None:
            try:
                job.decode()
            except Exception as error:  # `Picture.read` does not raise; if it did, the judge must not wait for ever
                job.decoded = Decoded(None, 0.0, error)
                assert job.read is not None
                job.read.set()

    def _next_unread(self) -> _Job | None:
        with self._lock:
            while True:
                while self._large and (self._large[0].claimed or self._large[0].over):
                    self._large.popleft()
                if self._closed:
                    return None
                if self._large and self._ahead < self._most_ahead:
                    break
                self._unread.wait()
            job = self._large.popleft()
            job.claimed = job.ahead = True
            self._ahead += 1
            return job


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What a job came to; neither a result nor an error if its asker was gone before."""

    job: _Job
    result: Result | None = None
    error: Exception | None = None


def _hand_over(done: list[_Delivery]) -> None:
    done[0].job.future.get_loop().call_soon_threadsafe(_deliver, done)


def _deliver(done: list[_Delivery]) -> None:
    """In the event loop."""
    for delivery in done:
        future = delivery.job.future
        if future.done():
            if delivery.result is not None and not future.cancelled():
                fields = {"image": delivery.job.picture.name, "part_id": delivery.job.part_id}
                logger.warning("late", extra={"fields": fields | {"recipe": delivery.job.inspector.identity}})
        elif delivery.error is not None:
            future.set_exception(delivery.error)
        elif delivery.result is not None:
            future.set_result(delivery.result)

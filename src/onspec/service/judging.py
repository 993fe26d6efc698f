"""From an image that came in to a verdict that may go out: ready, in time, recorded. Every protocol calls this."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter
from typing import Protocol, TypeVar

from onspec.decision.inspectability import NAME as NOT_INSPECTABLE
from onspec.domain import ImageError, Inspection, NotInspectableError, OnspecError, Verdict
from onspec.runtime.inspector import Result
from onspec.service.asking import request_id, trace_parent
from onspec.service.events import Events
from onspec.service.limits import require_pixels
from onspec.service.metrics import Metrics
from onspec.service.problems import ProblemError, busy
from onspec.service.queue import DeadlineError, JudgeQueue, Picture, QueueFullError
from onspec.service.tracing import Tracing
from onspec.service.versions import Version

logger = logging.getLogger("onspec.service")

Answer = TypeVar("Answer")


class Kept(Protocol):
    """A record that is safe."""

    @property
    def id(self) -> str:
        """By which people ask for it."""
        ...


class Recorder(Protocol):
    """Keeps what is answered. It returns when the record is safe, and raises OnspecError when it cannot be."""

    async def record(self, result: Result, data: bytes) -> Kept:
        """A result with the bytes that came in."""
        ...


class Judging:
    """Judges pictures and lets no verdict out that is not recorded, if records are kept."""

    def __init__(
        self,
        queue: JudgeQueue,
        events: Events,
        recorder: Recorder | None = None,
        *,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
        most_pixels: float = math.inf,
    ) -> None:
        self.queue = queue
        self.events = events
        self.metrics = metrics or Metrics()
        self._recorder = recorder
        self._tracing = tracing
        self._most_pixels = most_pixels
        self.on_judged: Callable[[Inspection], None] = lambda _: None
        queue.on_batch = self.metrics.batch

    def require_place(self, version: Version) -> None:
        """Before a body is read; raises ProblemError 503 if its image could not be judged anyway."""
        try:
            version.require_ready()
            self.queue.require_place(version.inspector)
        except QueueFullError as error:
            self.metrics.refused(version.name, 503)
            raise busy(str(error), error.retry_after_s) from None
        except ProblemError as problem:
            self.metrics.refused(version.name, problem.status)
            raise

    async def judge(
        self,
        version: Version,
        picture: Picture,
        part_id: str | None = None,
        deadline_ms: float | None = None,
    ) -> Result:
        """Judge one picture; an image that cannot be judged is a result of ERROR.

        Raises:
            ProblemError: 422 for an image of too many pixels, 503 if nothing was judged (not ready, no place) or the
                verdict could not be recorded, 504 at the deadline.
        """
        recipe = version.name
        self.metrics.entered(recipe)
        try:
            return await self._judge(version, picture, part_id, deadline_ms)
        except ProblemError as problem:
            self.metrics.refused(recipe, problem.status)
            raise
        except Exception:
            self.metrics.engine_fault(recipe)
            raise
        finally:
            self.metrics.left(recipe)

    async def _judge(
        self, version: Version, picture: Picture, part_id: str | None, deadline_ms: float | None
    ) -> Result:
        start = perf_counter()
        version.require_ready()
        if picture.weight:
            require_pixels(picture.original(), picture.name, version.inspector.recipe.input.camera, self._most_pixels)
        try:
            with version.in_use() as inspector:
                result = await self.queue.judge(inspector, picture, part_id, deadline_ms)
        except QueueFullError as error:
            raise busy(str(error), error.retry_after_s) from None
        except DeadlineError as error:
            raise ProblemError(504, str(error)) from None
        judged = perf_counter()
        if self._recorder is not None:
            result = await self._record(self._recorder, result, picture)
        self._count(version, result, start, judged)
        _log(result.inspection, start)
        if self.events.wanted:
            self.events.publish(result.inspection.to_json())
        return result

    async def judge_many(
        self,
        version: Version,
        pictures: list[Picture],
        part_ids: list[str | None],
        deadline_ms: float | None = None,
        *,
        told: Callable[[Result], Awaitable[Answer]],
    ) -> list[Answer]:
        """Judge each for itself, in order; what one of them is refused for is its own ERROR.

        `told` makes the answer of a result as soon as it is there: pixels and maps of all might fill the memory.
        At most a batch is in the queue at a time, so that a long list leaves room for others. The deadline is that of
        the whole list.
        """
        end = perf_counter() + (deadline_ms or self.queue.policy.deadline_ms) / 1e3
        places = asyncio.Semaphore(min(self.queue.policy.max_batch, self.queue.policy.max_queue))

        async def one(picture: Picture, part_id: str | None) -> Answer:
            async with places:
                return await told(await judged(picture, part_id))

        async def judged(picture: Picture, part_id: str | None) -> Result:
            left_ms = (end - perf_counter()) * 1e3
            try:
                if left_ms <= 0:
                    return _refused(version, picture, part_id, "the deadline of the request passed; not judged")
                return await self.judge(version, picture, part_id, left_ms)
            except ProblemError as problem:
                return _refused(version, picture, part_id, problem.sentence)
            except Exception:  # a fault of ours with this picture; the others are judged
                logger.exception("fault", extra={"fields": {"image": picture.name, "part_id": part_id}})
                return _refused(version, picture, part_id, "internal fault; not judged; see the server's log")

        return await asyncio.gather(*map(one, pictures, part_ids))

    def _count(self, version: Version, result: Result, start: float, judged: float) -> None:
        """Metrics and traces of an image that has its verdict; `start` and `judged` are of `perf_counter`."""
        inspection, now = result.inspection, perf_counter()
        waited = max(0.0, (judged - start) * 1e3 - sum(inspection.ms.values()))
        recorded = () if self._recorder is None else (("record", (now - judged) * 1e3),)
        stages = (("queue", waited), *inspection.ms.items(), *recorded, ("total", (now - start) * 1e3))
        self.metrics.judged(version.name, inspection, stages)
        if isinstance(result.cause, NotInspectableError) or any(f.rule == NOT_INSPECTABLE for f in inspection.fired):
            self.metrics.not_inspectable(version.name)
        self.on_judged(inspection)
        if inspection.verdict is Verdict.ERROR and not isinstance(result.cause, ImageError):
            self.metrics.engine_fault(version.name)
        if self._tracing is not None:
            told = {"traceparent": trace_parent.get(), "request_id": request_id.get()}
            self._tracing.judged(inspection, stages, {name: value for name, value in told.items() if value})

    async def _record(self, recorder: Recorder, result: Result, picture: Picture) -> Result:
        """The result with the id of its record."""
        try:
            # Of pixels a file is made first, for which others must not wait.
            data = picture.original() if picture.weight else await asyncio.to_thread(picture.original)
            kept = await recorder.record(result, data)
        except OnspecError as error:
            raise busy(f"the verdict could not be recorded, so none is given: {error}") from error
        return replace(result, inspection=result.inspection.model_copy(update={"record": kept.id}))


def require_judged(result: Result) -> Inspection:
    """The inspection of a result; an ERROR becomes ProblemError 422 if it is the image's fault, else 500."""
    if result.inspection.verdict is Verdict.ERROR:
        status = 422 if isinstance(result.cause, ImageError) else 500
        raise ProblemError(status, str(result.inspection.error), record=result.inspection.record)
    return result.inspection


def _refused(version: Version, picture: Picture, part_id: str | None, sentence: str) -> Result:
    inspector = version.inspector
    inspection = Inspection(
        image=picture.name, part_id=part_id, verdict=Verdict.ERROR, recipe=inspector.identity,
        engine=inspector.engine_name, error=sentence,
    )  # fmt: skip
    return Result(inspection)


def _log(inspection: Inspection, start: float) -> None:
    error = inspection.verdict is Verdict.ERROR
    if not logger.isEnabledFor(logging.ERROR if error else logging.INFO):
        return
    fields = {
        "image": inspection.image,
        "part_id": inspection.part_id,
        "verdict": inspection.verdict.value,
        "score": inspection.score,
        "recipe": inspection.recipe,
        "error": inspection.error,
        "record": inspection.record,
        "defects": len(inspection.defects),
        "ms": {stage: round(ms, 2) for stage, ms in inspection.ms.items()},
        "ms_total": round((perf_counter() - start) * 1e3, 2),
    }
    logger.log(logging.ERROR if error else logging.INFO, "inspected", extra={"fields": fields})

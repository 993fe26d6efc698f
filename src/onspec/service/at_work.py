"""Whether the engine still answers: one that never comes back must not leave the service looking well."""

import asyncio
import logging
from time import perf_counter
from typing import Protocol

from onspec.runtime.inspector import Inspector
from onspec.service.metrics import Metrics

logger = logging.getLogger("onspec.service")

LEAST_S = 2.0
"""An engine is at least so long at an image that nobody waits for any more before it counts as stuck."""

_LOOK_S = 1.0


class Job(Protocol):
    """An image in work; `over` once its asker has his answer, be it only that the deadline passed."""

    inspector: Inspector
    over: bool


class AtWork:
    """What the judging thread is at; written by that thread, read by any."""

    def __init__(self, deadline_s: float) -> None:
        """`deadline_s`: of an image that says nothing else."""
        self._allowed_s = max(LEAST_S, deadline_s)
        self._now: tuple[Job, float] | None = None
        self._ended: str | None = None

    def begin(self, job: Job, start: float) -> None:
        """At a time of `perf_counter`."""
        self._now = (job, start)

    def end(self) -> None:
        """It came back."""
        self._now = None

    def ended(self, error: BaseException) -> None:
        """The judging thread is no more."""
        self._ended = f"judging ended by a fault ({type(error).__name__}: {error}); restart the service"

    @property
    def stuck(self) -> tuple[Inspector, float] | None:
        """What has been at one image, and for how many s, if that is longer than its own deadline and the usual one."""
        now = self._now
        if now is None or not now[0].over:
            return None
        since = perf_counter() - now[1]
        return (now[0].inspector, since) if since > self._allowed_s else None

    @property
    def fault(self) -> str | None:
        """Why nothing can be judged now, in a sentence."""
        if self._ended is not None:
            return self._ended
        if (stuck := self.stuck) is None:
            return None
        return (
            f"the engine of recipe {stuck[0].recipe.name!r} has been at one image for {stuck[1]:.0f} s and does not "
            "answer; if it stays so, restart the service"
        )


async def watch(at_work: AtWork, counts: Metrics) -> None:
    """Say once that the engine does not answer, and once that it does again; until cancelled."""
    told = False
    while True:
        await asyncio.sleep(_LOOK_S)
        stuck, fault = at_work.stuck, at_work.fault
        if (stuck is not None) is told:
            continue
        told = stuck is not None
        if stuck is None:
            logger.warning("engine answers again")
        else:
            counts.engine_fault(stuck[0].recipe.name)
            fields = {"recipe": stuck[0].identity, "engine": stuck[0].engine_name, "error": fault}
            logger.error("engine stuck", extra={"fields": fields})

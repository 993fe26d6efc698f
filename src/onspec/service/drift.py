"""Drift on the line: a window of what each recipe judged, compared now and then, beside the judging.

Every worker hears what the others judged, so that each has the whole window; one of them, the leader, compares, tells
the others, and calls out. What the hot path does is to append to a list.
"""

import asyncio
import logging
import pickle
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from fastapi import APIRouter
from pydantic import JsonValue

from onspec.domain import Inspection
from onspec.evaluation.drift import LEAST_IMAGES, Seen, Standard, WindowDrift, assess
from onspec.recipe.schema import Recipe
from onspec.service.drift_window import Alarm, DriftInfo, DriftPolicy, Watched
from onspec.service.metrics import Metrics
from onspec.service.problems import ProblemError
from onspec.service.recipes import Recipes
from onspec.service.webhook import Webhook

logger = logging.getLogger("onspec.service")

SEEN, TOLD, ASKED, WINDOWS, LEADER = "drift-seen", "drift-told", "drift-asked", "drift-windows", "drift-leader"
"""Messages between workers: what was judged, what it means, a new worker's question, its answer; who leads."""

_CLEAR = 4
"""What was an alarm is none after so many comparisons without it: a whole window of new parts."""
_REFILLED = 6
"""Windows that are taken from the records after a start."""
_GATHER_S = 1.0
"""How long what was judged may wait to be told to the others."""

History = Callable[[str, int], list[Seen]]
"""Of a recipe's records the newest so many, oldest first. May take a second; raises OSError or OnspecError."""

Windows = dict[str, tuple[list[Seen], list[Seen], dict[str, Alarm], WindowDrift | None]]
"""Recipe → its window, the parts before, its alarms, the last comparison."""

Event = Literal["drift-alarm", "drift-end"]


class Ways(Protocol):
    """To the other workers of the machine."""

    heard: dict[str, Callable[[Any], None]]

    def tell(self, kind: str, value: object) -> None:
        """All others, soon."""
        ...


class DriftWatch:
    """Windows of all recipes of one process. All methods but `history` belong to the event loop."""

    def __init__(self, policy: DriftPolicy, recipes: Recipes, metrics: Metrics, ways: Ways | None = None) -> None:
        self._policy, self._recipes, self._metrics, self._ways = policy, recipes, metrics, ways
        self._watched: dict[str, Watched] = {}
        self._judged: list[tuple[str, Seen]] = []
        self._gathering: asyncio.TimerHandle | None = None
        self._comparing: asyncio.Task[None] | None = None
        self._webhook = None if policy.webhook is None else Webhook(policy.webhook)
        self._leads = ways is None
        self._asking = ways is not None
        self._adopting: asyncio.Task[None] | None = None
        self._given: dict[str, set[str]] = {}
        self.history: History | None = None

    def see(self, inspection: Inspection) -> None:
        """An image was judged."""
        self._judged.append((inspection.recipe, Seen.of(inspection, time.time())))
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(_GATHER_S, self._gather)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the application's start to its end."""
        if self._ways is not None:
            self._ways.heard.update({
                SEEN: self._take, TOLD: self._hear, ASKED: self._answer, WINDOWS: self._adopt, LEADER: self._lead
            })  # fmt: skip
            self._ways.tell(ASKED, None)
        refilling = asyncio.create_task(self._refill(time.time()))
        try:
            yield
        finally:
            tasks = [task for task in (refilling, self._comparing, self._adopting) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._gathering is not None:
                self._gathering.cancel()
            if self._webhook is not None:
                await asyncio.to_thread(self._webhook.close)

    def told(self) -> list[DriftInfo]:
        """Of every recipe that judges, and of versions that judged lately."""
        for identity in self._recipes.identities:
            self._of(identity)
        return [watched.info(identity) for identity, watched in self._watched.items()]

    # What was judged

    def _gather(self) -> None:
        """Take what was judged here, and tell the others."""
        self._gathering = None
        judged, self._judged = self._judged, []
        if self._ways is not None:
            self._ways.tell(SEEN, judged)
        self._take(judged)

    def _take(self, judged: list[tuple[str, Seen]]) -> None:
        for identity, seen in judged:
            self._of(identity).take(seen)
        for identity in [identity for identity in self._watched if self._recipe(identity) is None]:
            self._forget(identity)
        if self._leads and self._comparing is None and self._due():
            self._comparing = asyncio.get_running_loop().create_task(self._compare())

    def _of(self, identity: str) -> Watched:
        if identity not in self._watched:
            self._watched[identity] = Watched.of(self._policy.window)
        return self._watched[identity]

    def _recipe(self, identity: str) -> Recipe | None:
        """`None` if it is not loaded any more."""
        name, _, digest = identity.partition("@sha256:")
        try:
            return self._recipes.find(name, digest).inspector.recipe
        except ProblemError:
            return None

    def _due(self) -> list[str]:
        return [identity for identity, watched in self._watched.items() if watched.fresh >= self._policy.step]

    async def _refill(self, until: float) -> None:
        """From the records: what was judged before the start."""
        if self.history is None:
            return
        for identity in self._recipes.identities:
            try:
                past = await asyncio.to_thread(self.history, identity, _REFILLED * self._policy.window)
            except Exception:  # an archive that is away; the window fills on the line
                logger.exception("fault", extra={"fields": {"doing": "refilling the window for drift"}})
                return
            self._put_before(identity, [seen for seen in past if seen.time < until], until)
        self._take([])

    def _put_before(self, identity: str, past: list[Seen], until: float) -> None:
        """Older parts under those that came since."""
        watched = self._of(identity)
        fresh, since = watched.fresh, [seen for seen in watched.window if seen.time >= until]
        watched.window.clear()
        for seen in (*past, *since):
            watched.take(seen)
        watched.fresh = fresh if len(past) < LEAST_IMAGES else self._policy.step

    # Comparing

    async def _compare(self) -> None:
        try:
            while due := self._due():
                for identity in due:
                    await self._compare_one(identity)
        except Exception:  # the next parts are compared all the same
            logger.exception("fault", extra={"fields": {"doing": "comparing for drift"}})
        finally:
            self._comparing = None

    async def _compare_one(self, identity: str) -> None:
        watched = self._watched[identity]
        watched.fresh = 0
        recipe = self._recipe(identity)
        if recipe is None:  # unloaded since
            return
        window, before = list(watched.window), list(watched.before)
        found = await asyncio.to_thread(_assessed, window, before, recipe, self._policy.standard)
        watched.last = found
        self._settle(identity, watched, found)
        if self._ways is not None:
            self._ways.tell(TOLD, {identity: (watched.alarms, found)})

    def _settle(self, identity: str, watched: Watched, found: WindowDrift) -> None:
        """Alarms that are new, go on or end."""
        new = [name for name in found.alarms if name not in watched.alarms]
        judged = {m.measure for m in found.measures} | {str(r.verdict) for r in found.rates}
        for name in new:
            watched.alarms[name] = Alarm(datetime.now(UTC).isoformat(timespec="seconds"))
        had = bool(watched.alarms)
        for name, alarm in list(watched.alarms.items()):
            if name in found.alarms:
                alarm.clear = 0
            elif name in judged:
                alarm.clear += 1
            if alarm.clear >= _CLEAR:
                del watched.alarms[name]
        self._give(identity, watched)
        if new:
            self._call("drift-alarm", identity, watched)
        elif had and not watched.alarms:
            self._call("drift-end", identity, watched)

    def _give(self, identity: str, watched: Watched) -> None:
        """Metrics, of active versions only: a name has one. What an earlier one had of alarms is over."""
        if identity not in self._recipes.identities or watched.last is None:
            return
        name = identity.partition("@")[0]
        for found in watched.last.measures:
            self._metrics.give("onspec_drift_psi", found.psi, name, found.measure)
        given = self._given.setdefault(name, set())
        given |= {m.measure for m in watched.last.measures} | {str(r.verdict) for r in watched.last.rates}
        given |= watched.alarms.keys()
        for measure in given:
            self._metrics.give("onspec_drift_alarm", float(measure in watched.alarms), name, measure)

    def _forget(self, identity: str) -> None:
        """A version that judges no more: its alarms end with it."""
        watched = self._watched.pop(identity)
        if watched.alarms and self._leads:
            watched.alarms.clear()
            self._call("drift-end", identity, watched)
        name = identity.partition("@")[0]
        if name not in self._recipes.names():
            for measure in self._given.pop(name, ()):
                self._metrics.give("onspec_drift_alarm", 0.0, name, measure)

    def _call(self, event: Event, identity: str, watched: Watched) -> None:
        """To the log and the webhook."""
        info = watched.info(identity)
        fields = {"recipe": identity, "measures": list(watched.alarms), "sentences": list(info.sentences)}
        logger.log(logging.WARNING if event == "drift-alarm" else logging.INFO, event, extra={"fields": fields})
        if self._webhook is None:
            return
        body: dict[str, JsonValue] = {
            "event": event,
            "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "station": self._policy.station,
            **info.model_dump(mode="json", include={"recipe", "state", "summary", "alarms", "sentences"}),
        }
        self._webhook.post(body)

    # The other workers

    def _lead(self, leads: bool) -> None:
        self._leads = leads
        self._take([])

    def _hear(self, said: dict[str, tuple[dict[str, Alarm], WindowDrift]]) -> None:
        """What the leader found."""
        for identity, (alarms, found) in said.items():
            watched = self._of(identity)
            watched.alarms, watched.last, watched.fresh = alarms, found, 0

    def _answer(self, _: None) -> None:
        """A new worker has asked; only the leader answers."""
        if self._leads and self._ways is not None:
            known: Windows = {i: (list(w.window), list(w.before), w.alarms, w.last) for i, w in self._watched.items()}
            asyncio.get_running_loop().run_in_executor(None, _tell_packed, self._ways, known)

    def _adopt(self, packed: bytes) -> None:
        """The leader's windows, for who has just asked. Unpacked in a thread: they may be thousands of parts."""
        if self._asking:
            self._asking = False
            self._adopting = asyncio.get_running_loop().create_task(self._unpack(packed))

    async def _unpack(self, packed: bytes) -> None:
        known: Windows = await asyncio.to_thread(pickle.loads, packed)
        for identity, (window, before, alarms, last) in known.items():
            watched = self._of(identity)
            if len(window) > len(watched.window):
                since = [seen for seen in watched.window if seen.time > window[-1].time]
                watched.window.clear()
                watched.window.extend([*window, *since])
                watched.before.clear()
                watched.before.extend(before)
            if watched.last is None:
                watched.alarms, watched.last = alarms, last


def _tell_packed(ways: Ways, known: Windows) -> None:
    """Packed here, so that only who asked has the work of unpacking it."""
    ways.tell(WINDOWS, pickle.dumps(known))


def _assessed(window: list[Seen], before: list[Seen], recipe: Recipe, standard: Standard) -> WindowDrift:
    """In a thread. Workers' parts come a second apart, so they are brought into their order first."""
    ordered = sorted(window, key=lambda seen: seen.time)
    return assess(ordered, recipe.reference, before, recipe.thresholds.lowest, standard)


def router(watch: DriftWatch) -> APIRouter:
    """`GET /api/drift`."""
    routes = APIRouter(tags=["drift"])

    @routes.get("/api/drift", summary="Whether images and scores still look as in training")
    async def drift() -> list[DriftInfo]:
        return watch.told()

    return routes

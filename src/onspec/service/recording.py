"""Keeps what is judged: from a result to a record that is safe, before anybody is answered."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from fastapi import FastAPI

from onspec.domain import RecordError
from onspec.evaluation.drift import Seen
from onspec.recipe.facts import facts_of
from onspec.records.archive import Archive, Receipt, Safety, Where
from onspec.records.images import KeepPolicy
from onspec.records.query import Filter
from onspec.records.record import RecipeFacts
from onspec.runtime.inspector import Result
from onspec.service import records_api
from onspec.service.metrics import Metrics
from onspec.service.pictures import encode_map
from onspec.service.problems import ProblemError
from onspec.service.recipes import Recipes

logger = logging.getLogger("onspec.service")

_PRUNE_S = 600.0
"""How often kept images are held against their limits."""
_AT_A_TIME = 32
"""Records on their way to the disk; they share its transactions."""


@dataclass(frozen=True, slots=True)
class Archiving:
    """How a worker opens its archive. See `records.archive.Archive`."""

    url: str
    folder: Path | None = None
    keep: KeepPolicy = field(default_factory=KeepPolicy)
    safety: Safety = field(default_factory=Safety)
    station: str | None = None

    def open(self) -> Archive:
        """Raises UsageError or RecordError."""
        return Archive(self.url, self.folder, keep=self.keep, safety=self.safety, station=self.station)


class Recording:
    """Records for an application, from its start to its end."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="onspec-recording")
        self._facts: dict[str, RecipeFacts] = {}
        self._recipes: Recipes | None = None
        self._metrics: Metrics | None = None

    async def record(self, result: Result, data: bytes) -> Receipt:
        """Returns when it is safe. Raises RecordError when it cannot be."""
        facts = self._facts_of(result.inspection.recipe)
        loop = asyncio.get_running_loop()
        receipt = await loop.run_in_executor(self._pool, self._write, result, data, facts)
        if receipt.where is not Where.DATABASE:
            self._tell_pending()
        return receipt

    def _write(self, result: Result, data: bytes, facts: RecipeFacts | None) -> Receipt:
        wanted = self.archive.keep.keeps_maps(result.inspection.verdict)
        maps = {score_map.cls: encode_map(score_map) for score_map in result.maps} if wanted else {}
        return self.archive.record(result.inspection, data, facts, maps=maps)

    def join(self, app: FastAPI) -> None:
        """Give `app` the endpoints of records, and end with it."""
        self._recipes, self._metrics = app.state.recipes, app.state.metrics
        app.state.metrics.before_reading.append(self._tell_pending)
        if app.state.drift is not None:
            app.state.drift.history = self.history
        app.include_router(records_api.router(self.archive))
        inner = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(of: FastAPI) -> AsyncIterator[None]:
            pruning = asyncio.create_task(self._prune()) if self.archive.keep.limited else None
            try:
                async with inner(of):
                    yield
            finally:
                if pruning is not None:
                    pruning.cancel()
                await asyncio.to_thread(self.close)

        app.router.lifespan_context = lifespan

    def history(self, recipe: str, most: int) -> list[Seen]:
        """Of what this station judged with a recipe the newest `most`, oldest first. Raises RecordError."""
        wanted = Filter(recipe=recipe, station=self.archive.station)
        entries = islice(self.archive.walk(wanted, newest_first=True), most)
        return [Seen.of(one.record.inspection, one.record.time.timestamp()) for one in entries][::-1]

    def close(self) -> None:
        """Finish what is on its way."""
        self._pool.shutdown()
        self.archive.close()

    def _tell_pending(self) -> None:
        if self._metrics is not None:
            self._metrics.give("onspec_records_pending", self.archive.pending)

    def _facts_of(self, identity: str) -> RecipeFacts | None:
        """`None` for a recipe that was unloaded before its first result was recorded."""
        if identity not in self._facts and self._recipes is not None:
            name, _, digest = identity.partition("@sha256:")
            try:
                package = self._recipes.find(name, digest).inspector.package
            except ProblemError:
                return None
            self._facts[identity] = RecipeFacts(*facts_of(package))
        return self._facts.get(identity)

    async def _prune(self) -> None:
        while True:
            try:
                pruned = await asyncio.to_thread(self.archive.prune)
                fields = {"files": pruned.files, "bytes": pruned.bytes, "spared": pruned.spared}
                if pruned.files:
                    logger.info("images pruned", extra={"fields": fields})
                if pruned.bytes_left > (self.archive.keep.gigabytes or math.inf) * 1e9:
                    left = {"bytes": pruned.bytes_left, "spared": pruned.spared}
                    logger.warning("images of reviewed parts are over the limit", extra={"fields": left})
            except (OSError, RecordError):  # the next turn is taken all the same
                logger.exception("fault", extra={"fields": {"doing": "pruning kept images"}})
            await asyncio.sleep(_PRUNE_S)

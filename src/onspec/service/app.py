"""The HTTP API as an ASGI application: every part of it, in the order in which a request meets them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from onspec import __version__
from onspec.runtime.inspector import Inspector
from onspec.service import admin, drift, events, inspecting, metrics, protocol_v2
from onspec.service.at_work import watch
from onspec.service.audit import AuditGate, AuditLog
from onspec.service.described import SecuredApi
from onspec.service.drift_window import DriftPolicy
from onspec.service.front import FrontDoor
from onspec.service.gate import TokenGate
from onspec.service.judging import Judging, Recorder
from onspec.service.limits import Buckets
from onspec.service.metrics import Metrics
from onspec.service.problems import Problem, add_handlers
from onspec.service.queue import BatchPolicy, JudgeQueue
from onspec.service.recipes import Opening, Recipes
from onspec.service.store import MemoryStore
from onspec.service.tls import Tls
from onspec.service.tokens import Tokens
from onspec.service.tracing import tracing_to
from onspec.service.versions import Check, check_golden
from onspec.service.watchdog import Watchdog
from onspec.service.workers import Link

logger = logging.getLogger("onspec.service")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an application is set to.

    Attributes:
        max_body_mb: largest request body, MB (1e6 bytes).
        max_recipe_mb: largest recipe file that may be sent, MB.
        golden_every_s: the golden samples of the active versions are judged anew so often; `None` only at the start.
        grpc: address for the gRPC form of the inference protocol, as HOST:PORT; `None` does without.
        max_megapixels: largest image, seen in its header before it is unpacked.
        max_rate: requests a second of a token, or without tokens of an address; `None` sets no limit.
        tls: certificate and key; the socket is the server's affair, gRPC's and the headers are set here.
        audit: file for who changed what; `None` only logs it.
        otlp: address of a collector of traces; `None` sends none.
        drift: how to watch for drift; `None` does not.
    """

    max_body_mb: float = 64
    max_recipe_mb: float = 512
    golden_every_s: float | None = None
    grpc: str | None = None
    max_megapixels: float = 128
    max_rate: float | None = None
    tls: Tls | None = None
    audit: Path | None = None
    otlp: str | None = None
    drift: DriftPolicy | None = DriftPolicy()  # noqa: RUF009 - frozen


def create_app(
    inspectors: Sequence[Inspector] = (),
    *,
    tokens: Tokens | None = None,
    settings: Settings | None = None,
    policy: BatchPolicy | None = None,
    check: Check = check_golden,
    store: MemoryStore | None = None,
    opening: Opening | None = None,
    recorder: Recorder | None = None,
    link: Link | None = None,
) -> FastAPI:
    """The application that judges with `inspectors` and with what `store` has, and closes them when it stops.

    It answers from the start, but judges with a recipe only after that recipe's golden samples passed here. With
    `tokens`, every path but `roles.OPEN_PATHS` asks for one.

    Args:
        check: what a recipe must pass before it judges.
        recorder: keeps every result before it is answered.
        link: to the other workers of this machine.

    Raises:
        UsageError: no recipe and no store, two of one name, or a queue that holds nothing.
        RecipeError: a recipe without known results, or a store that is damaged.
    """
    given = settings or Settings()
    max_bytes = int(given.max_body_mb * 1e6)
    recipes = Recipes(inspectors, check=check, store=store, opening=opening)
    queue = JudgeQueue(policy)
    stream = events.Events()
    counts = Metrics()
    tracing = None if given.otlp is None else tracing_to(given.otlp)
    judging = Judging(queue, stream, recorder, metrics=counts, tracing=tracing, most_pixels=given.max_megapixels * 1e6)
    drifting = _drifting(given.drift, recipes, judging, link)
    recipes.on_release = queue.forget
    recipes.halted = lambda: queue.at_work.fault
    recipes.on_change = lambda: counts.recipes(_active(recipes))
    recipes.on_change()
    buckets = None if given.max_rate is None else Buckets(given.max_rate)
    audit = None if given.audit is None else AuditLog(given.audit)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if link is not None:
                await stack.enter_async_context(link.connected(recipes, stream, lambda: queue.at_work.fault is None))
            if given.grpc is not None:
                from onspec.service.grpc_server import serving

                port = await stack.enter_async_context(
                    serving(given.grpc, recipes, judging, tokens, max_bytes, tls=given.tls, buckets=buckets)
                )
                app.state.grpc_port = port
            # With a supervisor it is what systemd watches, and it watches its workers.
            signing = [] if link is not None else [Watchdog().keep(lambda: queue.at_work.fault is None)]
            works = (_check(recipes, given.golden_every_s), watch(queue.at_work, counts), *signing)
            await stack.enter_async_context(_beside(*works))
            if drifting is not None:
                await stack.enter_async_context(drifting.running())
            yield
            stream.close()
        if await asyncio.to_thread(queue.close):  # an engine that does not answer cannot be closed either
            recipes.close()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)
        logger.info("stopped")

    app = (SecuredApi if tokens else FastAPI)(
        title="onspec",
        version=__version__,
        summary="Judges part images: OK, NG or REVIEW, with reasons.",
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from another server; a plant's network has none
        redoc_url=None,
        redirect_slashes=False,  # the address it would send clients to is made of a header that they chose
        responses=_TOKEN_ANSWERS if tokens else None,
    )
    add_handlers(app)
    inspect = inspecting.endpoint(recipes, judging, max_bytes)
    for routes in (
        inspecting.router(recipes, inspect),
        protocol_v2.router(recipes, judging, max_bytes),
        admin.router(recipes, int(given.max_recipe_mb * 1e6)),
        events.router(stream),
        metrics.router(counts),
        *([] if drifting is None else [drift.router(drifting)]),
    ):
        app.include_router(routes)
    app.add_middleware(AuditGate, audit=audit, active=lambda: recipes.identities)
    direct = {("POST", inspecting.PATH): inspect}
    gate = TokenGate(tokens, buckets)
    app.add_middleware(FrontDoor, metrics=counts, gate=gate, direct=direct, tls=given.tls is not None)
    app.state.recipes, app.state.events = recipes, stream
    app.state.grpc_port = None
    app.state.metrics = counts
    app.state.drift = drifting
    return app


_TOKEN_ANSWERS: dict[int | str, dict[str, object]] = {
    401: {"model": Problem, "description": "A token is needed."},
    403: {"model": Problem, "description": "The token's role may not do this."},
}


def _drifting(
    policy: DriftPolicy | None, recipes: Recipes, judging: Judging, link: Link | None
) -> drift.DriftWatch | None:
    """What watches all that is judged for drift, if anything does."""
    if policy is None:
        return None
    made = drift.DriftWatch(policy, recipes, judging.metrics, link)
    judging.on_judged = made.see
    return made


def _active(recipes: Recipes) -> list[tuple[str, str, str, bool]]:
    """The active versions, as `Metrics.recipes` takes them."""
    found = [version for name in recipes.names() if (version := recipes.active(name)) is not None]
    return [(v.name, v.digest, v.inspector.engine_name, v.deviations is not None and v.fault is None) for v in found]


@asynccontextmanager
async def _beside(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """What goes on while requests are answered."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def _check(recipes: Recipes, every_s: float | None) -> None:
    """Golden samples: now, and as often as is set."""
    await recipes.check_all()
    while every_s is not None:
        await asyncio.sleep(every_s)
        try:
            await recipes.golden_all()
        except Exception:  # the next check is made all the same
            logger.exception("fault", extra={"fields": {"doing": "golden samples on schedule"}})

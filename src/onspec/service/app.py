"""The HTTP API as an ASGI application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from onspec import __version__
from onspec.runtime.inspector import Inspector
from onspec.service import inspecting, protocol_v2
from onspec.service.problems import Problem, ProblemError, add_handlers
from onspec.service.queue import JudgeQueue
from onspec.service.recipes import Check, Recipes, check_golden
from onspec.service.tokens import Tokens

logger = logging.getLogger("onspec.service")

OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
"""Answered without a token: they tell nothing but whether the service works, and what asks them has no secrets."""


def create_app(
    inspectors: Sequence[Inspector],
    *,
    tokens: Tokens | None = None,
    max_body_mb: float = 64,
    max_queue: int = 32,
    check: Check = check_golden,
) -> FastAPI:
    """The application that judges with `inspectors` and closes them when it stops.

    It answers from the start, but judges with a recipe only after that recipe's golden samples passed here. With
    `tokens`, every path but `OPEN_PATHS` asks for one.

    Args:
        max_body_mb: largest request body, MB (1e6 bytes).
        max_queue: images waiting or in work; one more is refused with 503.
        check: what a recipe must pass before it judges.

    Raises:
        UsageError: no recipe, two of one name, or a queue that holds nothing.
    """
    recipes = Recipes(inspectors, check)
    queue = JudgeQueue(max_queue)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        checking = asyncio.create_task(_check_all(recipes, queue))
        yield
        checking.cancel()
        await asyncio.to_thread(queue.close)
        recipes.close()
        logger.info("stopped")

    app = FastAPI(
        title="onspec",
        version=__version__,
        summary="Judges part images: OK, NG or REVIEW, with reasons.",
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from another server; a plant's network has none
        redoc_url=None,
        responses={401: {"model": Problem, "description": "A token is needed."}} if tokens else None,
    )
    add_handlers(app)
    app.include_router(inspecting.router(recipes, queue, max_bytes=int(max_body_mb * 1e6)))
    app.include_router(protocol_v2.router(recipes))
    if tokens:
        app.add_middleware(TokenGate, tokens=tokens)
    return app


async def _check_all(recipes: Recipes, queue: JudgeQueue) -> None:
    """One recipe after the other, in the judging thread: what passes is what will judge."""
    for name in recipes.names():
        await queue.run(partial(recipes.check, name))


class TokenGate:
    """Turns away every request without a token, before anything of it is read or looked up."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._tokens.allow(_authorization(scope)):
            await self._app(scope, receive, send)
            return
        problem = ProblemError(
            401, "a token is needed: send the header 'Authorization: Bearer TOKEN'", {"WWW-Authenticate": "Bearer"}
        )
        await problem.response()(scope, receive, send)


def _authorization(scope: Scope) -> str | None:
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    return values[0].decode("latin-1") if len(values) == 1 else None

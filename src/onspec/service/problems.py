"""One JSON error body, `{"error": "..."}`, for whatever goes wrong at any endpoint."""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import compile_path

from onspec.domain import OnspecError

logger = logging.getLogger("onspec.service")


class Problem(BaseModel):
    """The body of every answer that is not a success."""

    error: str = Field(description="What is wrong, in one sentence.", examples=["no recipe 'tile'; loaded: casting"])
    record: str | None = Field(
        None, description="id of the record of an image that could not be judged, if one is kept"
    )


class ProblemError(Exception):
    """An answer other than success: its status, its sentence and the headers that go with it.

    `record` is the id of an ERROR that was recorded.
    """

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None, *, record: str | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})
        self.record = record

    def response(self) -> JSONResponse:
        """As it goes out."""
        body = {"error": self.sentence} if self.record is None else {"error": self.sentence, "record": self.record}
        return JSONResponse(body, self.status, self.headers)


def busy(sentence: str, retry_after_s: float = 1) -> ProblemError:
    """503: nothing was judged; the same request may succeed in `retry_after_s` seconds, rounded up."""
    return ProblemError(503, sentence, {"Retry-After": str(max(1, math.ceil(retry_after_s)))})


def add_handlers(app: FastAPI) -> None:
    """Make every error of `app` a `Problem`, those of the framework too."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_fault)


async def _on_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    return error.response()


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    """404 and 405 of the router, which know only their standard phrase."""
    assert isinstance(error, HTTPException)
    phrase = error.detail
    if phrase == HTTPStatus(error.status_code).phrase:
        phrase = f"{phrase}: {request.method} {request.url.path}; the API is described at /openapi.json"
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed(request) or headers.get("Allow", "")
    return ProblemError(error.status_code, phrase, headers).response()


def _allowed(request: Request) -> str:
    """The methods of a path, as described. The router names only those of the first endpoint that it found for it."""
    described: dict[str, dict[str, object]] = request.app.openapi()["paths"]
    found = [methods for path, methods in described.items() if compile_path(path)[0].match(request.url.path)]
    return ", ".join(sorted({method.upper() for methods in found for method in methods}))


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(str(step) for step in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return ProblemError(422, "; ".join(faults)).response()


async def _on_fault(request: Request, error: Exception) -> JSONResponse:
    return fault_response(request.url.path, error)


def fault_response(path: str, error: Exception) -> JSONResponse:
    """A fault of ours. The traceback goes to the log, and the client learns only that nothing was judged."""
    logger.error("fault", exc_info=error, extra={"fields": {"path": path}})
    sentence = (
        str(error) if isinstance(error, OnspecError) else "internal fault; nothing was judged; see the server's log"
    )
    return ProblemError(500, sentence).response()

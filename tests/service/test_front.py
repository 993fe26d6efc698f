"""The door to the API: the short way to an endpoint and the long one through the framework answer the same."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from onspec.runtime.inspector import Inspector
from onspec.service import asking
from onspec.service.app import create_app
from onspec.service.front import Direct, FrontDoor
from onspec.service.gate import TokenGate
from onspec.service.metrics import Metrics

Served = Callable[[FastAPI], AbstractContextManager[httpx.Client]]

FORM = {"files": [("image", ("a.png", b"no image"))]}
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/inspect?part_id=17", {}),
    ("POST", "/api/inspect?recipe=nowhere", {}),
    ("POST", "/api/inspect?deadline_ms=no", {}),
    ("POST", "/api/inspect", {"content": b""}),
    ("POST", "/api/inspect", {"content": b"no image"}),
    ("POST", "/api/inspect?batch=true", {}),
    ("POST", "/api/inspect", {"headers": {"Onspec-Deadline-Ms": "-1"}}),
    ("POST", "/api/inspect", {"headers": {"Host": "evil.example"}}),
    ("POST", "/api/inspect", {"headers": {"Origin": "http://evil.example"}}),
    ("POST", "/api/inspect", FORM),
    ("POST", "/api/inspect?batch=true", FORM),
    ("POST", "/api/inspect?overlay=png", {}),
    ("GET", "/api/inspect", {}),
    ("POST", "/api/inspect/", {}),
]


def told(answer: httpx.Response) -> tuple[object, ...]:
    """Of an answer, what does not change from one to the next."""
    body = answer.json()
    for part in body if isinstance(body, list) else [body]:
        part.pop("ms", None)
    names = sorted(name for name in answer.headers if name not in ("date", "x-request-id", "content-length"))
    return answer.status_code, [(name, answer.headers[name]) for name in names], body


def counted(text: str) -> list[str]:
    """The requests that were counted."""
    return sorted(
        line for line in text.splitlines() if line.startswith("onspec_requests_total") and "ready" not in line
    )


def test_both_ways_answer_and_count_the_same(
    served: Served, tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny, "close", lambda: None)  # both applications judge with it
    ways = []
    for short in (True, False):
        app = create_app([tiny])
        (door,) = (layer for layer in app.user_middleware if "direct" in layer.kwargs)
        assert list(cast("Direct", door.kwargs["direct"])) == [("POST", "/api/inspect")]
        if not short:
            door.kwargs["direct"] = None
        with served(app) as client:
            while "still being checked" in client.get("/v2/health/ready").text:
                pass
            answers = [
                client.request(method, path, **(how if how.keys() & {"content", "files"} else {"content": good, **how}))
                for method, path, how in REQUESTS
            ]
            ways.append(([told(answer) for answer in answers], counted(client.get("/metrics").text)))
    for request, short_way, long_way in zip(REQUESTS, ways[0][0], ways[1][0], strict=True):
        assert short_way == long_way, request
    assert {answer[0] for answer in ways[0][0]} >= {200, 400, 403, 404, 405, 421, 422}
    assert ways[0][1] == ways[1][1]


def test_no_change_goes_past_the_audit_log() -> None:
    async def endpoint(_: Request) -> Response:
        return Response()

    direct = {("POST", "/api/recipes"): endpoint}
    with pytest.raises(AssertionError, match="/api/recipes changes something"):
        FrontDoor(FastAPI(), Metrics(), TokenGate(None), direct)


def test_no_two_requests_have_one_id() -> None:
    # In a context of its own, as each request is, for the id stays in it.
    made = copy_context().run(lambda: [asking.identify(None, None) for _ in range(3000)])
    assert len(set(made)) == 3000
    assert {len(each) for each in made} == {16}

"""What the OpenAPI says is what is answered, where Schemathesis found that it was not (see docs/fuzzing.md)."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest

from onspec.runtime.inspector import Inspector
from onspec.service.roles import OPEN_PATHS
from onspec.service.tokens import Tokens

TOKEN = "a-token-of-32-characters-or-more!"
Running = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/recipes", "GET, POST"),
        ("PATCH", "/api/recipes/tiny", "DELETE, GET"),
        ("GET", "/api/inspect", "POST"),
        ("DELETE", "/v2/models/tiny", "GET"),
    ],
)
def test_a_wrong_method_is_told_all_that_there_are(
    running: Running, tiny: Inspector, method: str, path: str, allowed: str
) -> None:
    with running(tiny) as client:
        answer = client.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == allowed
        assert answer.json()["error"].startswith("Method Not Allowed")


@pytest.mark.parametrize(
    ("path", "body"), [("/api/recipes", b""), ("/api/recipes/tiny/golden/acknowledge", b"\xff\xfe{")]
)
def test_a_body_that_is_none_is_answered_as_described(
    running: Running, tiny: Inspector, path: str, body: bytes
) -> None:
    with running(tiny) as client:
        described = client.get("/openapi.json").json()["paths"][path.replace("tiny", "{name}")]["post"]["responses"]
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["error"]
        assert described["400"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")


def test_a_recipe_file_may_be_too_large_as_described(running: Running, tiny: Inspector) -> None:
    with running(tiny) as client:
        assert "413" in client.get("/openapi.json").json()["paths"]["/api/recipes"]["post"]["responses"]


def test_the_description_says_who_needs_a_token(running: Running, tiny: Inspector) -> None:
    with running(tiny) as client:
        assert "security" not in client.get("/openapi.json").json()
    with running(tiny, tokens=Tokens([f"ann:operator:{TOKEN}"])) as client:
        described = client.get("/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json()
        assert described["security"] == [{"token": []}]
        assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
        assert [
            path for path, methods in described["paths"].items() if methods.get("get", {}).get("security") == []
        ] == [*OPEN_PATHS]
        for path in ("/v2", "/api/recipes"):
            assert client.get(path).status_code == 401
        for path in OPEN_PATHS:
            assert client.get(path).status_code != 401

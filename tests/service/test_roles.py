"""Who may do what."""

import hashlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest

from onspec.domain import UsageError
from onspec.runtime.inspector import Inspector
from onspec.service.roles import LEAST_ROLE, OPEN_PATHS, Role, least_role
from onspec.service.tokens import Tokens

Running = Callable[..., AbstractContextManager[httpx.Client]]
SECRETS = {role: f"the-{role.name.lower()}s-own-token" for role in Role}


def stored(role: Role) -> str:
    """As a token file has it."""
    return f"{role.name.lower()}-1:{role.name.lower()}:sha256:{hashlib.sha256(SECRETS[role].encode()).hexdigest()}"


def test_each_role_may_what_those_before_it_may(running: Running, tiny: Inspector, good: bytes) -> None:
    needed = {
        ("POST", "/api/inspect"): Role.OPERATOR,
        ("GET", "/api/recipes"): Role.OPERATOR,
        ("POST", "/api/recipes/tiny/golden"): Role.OPERATOR,
        ("POST", "/api/recipes/tiny/rollback"): Role.ENGINEER,
        ("POST", "/api/recipes"): Role.ENGINEER,
        ("DELETE", "/api/recipes/absent"): Role.ENGINEER,
        ("POST", "/nowhere"): Role.ADMIN,
    }
    with running(tiny, tokens=Tokens(map(stored, Role))) as client:
        for (method, path), least in needed.items():
            for role in Role:
                header = {"Authorization": f"Bearer {SECRETS[role]}"}
                answer = client.request(method, path, content=good, headers=header)
                assert (answer.status_code == 403) == (role < least), (method, path, role, answer.text)
                if role < least:
                    assert f"needs the role {least.name.lower()}" in answer.json()["error"]


def test_every_route_has_its_line_in_the_table(running: Running, tiny: Inspector) -> None:
    with running(tiny) as client:
        paths = client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        real = re.sub(r"\{\w+\}", "x", path)
        for method in methods:
            lines = [line for line in LEAST_ROLE if line[0] == method.upper() and re.fullmatch(line[1], real)]
            assert lines or path in OPEN_PATHS, f"{method} {path} has no least role"


def test_what_is_not_in_the_table_is_an_admins() -> None:
    assert least_role("DELETE", "/api/inspect") is Role.ADMIN
    assert least_role("GET", "/api/recipes/a/b/c") is Role.ADMIN
    assert least_role("HEAD", "/api/recipes") is Role.OPERATOR


def test_a_token_without_a_role_is_an_operators() -> None:
    caller = Tokens([SECRETS[Role.ADMIN]]).caller(f"Bearer {SECRETS[Role.ADMIN]}")
    assert caller is not None
    assert (caller.name, caller.role) == ("token-1", Role.OPERATOR)


def test_a_role_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="choose operator, engineer, admin"):
        Tokens([f"anna:boss:{SECRETS[Role.ADMIN]}"])

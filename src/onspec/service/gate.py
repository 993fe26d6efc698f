"""Turns away every request without a token, or with one whose role may not do it, before anything of it is read."""

from starlette.types import ASGIApp, Receive, Scope, Send

from onspec.service.problems import ProblemError
from onspec.service.roles import OPEN_PATHS, least_role
from onspec.service.tokens import Tokens


class TokenGate:
    """The first that a request meets. Behind it, `scope["state"]["caller"]` says who asks."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401 or 403."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})["caller"] = self._tokens.require(
                authorization_of(scope), least_role(scope["method"], scope["path"])
            )
        except ProblemError as problem:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def authorization_of(scope: Scope) -> str | None:
    """The header, if there is exactly one."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    return values[0].decode("latin-1") if len(values) == 1 else None

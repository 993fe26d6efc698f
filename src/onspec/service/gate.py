"""Turns away every request without a token, or with one whose role may not do it, before anything of it is read."""

import ipaddress
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from onspec.service.limits import Buckets
from onspec.service.problems import ProblemError
from onspec.service.roles import OPEN_PATHS, least_role
from onspec.service.tokens import Tokens


class TokenGate:
    """The first that a request meets. Behind it, `scope["state"]["caller"]` says who asks, if there are tokens."""

    def __init__(self, app: ASGIApp, tokens: Tokens | None, buckets: Buckets | None = None) -> None:
        """`buckets` limit how often each token may ask, and each address without one."""
        self._app = app
        self._tokens = tokens or Tokens()
        self._buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401, 403, 421 or 429."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                self._admit(scope)
            except ProblemError as problem:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        if not self._tokens:
            require_own_page(scope)
            if self._buckets is not None:
                self._buckets.require(address_of(scope))
            return
        try:
            caller = self._tokens.require(authorization_of(scope), least_role(scope["method"], scope["path"]))
        except ProblemError:
            if self._buckets is not None:  # whoever guesses tokens is slowed down by his address
                self._buckets.require(address_of(scope))
            raise
        if self._buckets is not None:
            self._buckets.require(f"the token of {caller.name}")
        scope.setdefault("state", {})["caller"] = caller


def authorization_of(scope: Scope) -> str | None:
    """The header, if there is exactly one."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    return values[0].decode("latin-1") if len(values) == 1 else None


def address_of(scope: Scope) -> str:
    """Of the other end of the connection; what a header says of it can be made up."""
    client = scope.get("client")
    return client[0] if client else "a client without address"


def require_own_page(scope: Scope) -> None:
    """Without tokens, keep out the pages of other sites that a browser on this machine has open.

    A page may send requests to a loopback address, and reads the answers, too, once its own name leads there (DNS
    rebinding). So the host must be named by its address or as localhost, and a page must come from here.

    Raises:
        ProblemError: 421 for another host name, 403 for another origin.
    """
    host = origin = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
    if host is not None and not _is_plain(host):
        raise ProblemError(
            421, f"host {host[:100]!r}: without tokens the service is asked by its address or as localhost only"
        )
    if origin is not None and urlsplit(origin).netloc != host:
        raise ProblemError(403, f"origin {origin[:100]!r}: without tokens only pages of this service may ask")


def _is_plain(host: str) -> bool:
    """Whether it is `localhost` or an address, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False

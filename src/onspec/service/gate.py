"""Turns away every request without a token, or with one whose role may not do it, before anything of it is read."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope

from onspec.service.limits import Buckets
from onspec.service.problems import ProblemError
from onspec.service.roles import OPEN_PATHS, least_role
from onspec.service.tokens import Tokens

Head = Mapping[bytes, bytes]
"""Headers by their lower-case names, of those that came more than once the last; see `limits.require_single`."""

_LONGEST_ADDRESS = 300
"""Characters of a host header that may be an address; a longer one is none, and none is kept."""


class TokenGate:
    """The first that a request meets. Behind it, `scope["state"]["caller"]` says who asks, if there are tokens."""

    def __init__(self, tokens: Tokens | None, buckets: Buckets | None = None) -> None:
        """`buckets` limit how often each token may ask, and each address without one."""
        self._tokens = tokens or Tokens()
        self._buckets = buckets

    def admit(self, scope: Scope, head: Head) -> None:
        """Let a request pass; raises ProblemError 401, 403, 421 or 429."""
        if scope["path"] in OPEN_PATHS:
            return
        if not self._tokens:
            require_own_page(head)
            if self._buckets is not None:
                self._buckets.require(address_of(scope))
            return
        try:
            authorization = text_of(head, b"authorization")
            caller = self._tokens.require(authorization, least_role(scope["method"], scope["path"]))
        except ProblemError:
            if self._buckets is not None:  # whoever guesses tokens is slowed down by his address
                self._buckets.require(address_of(scope))
            raise
        if self._buckets is not None:
            self._buckets.require(f"the token of {caller.name}")
        scope.setdefault("state", {})["caller"] = caller


def text_of(head: Head, name: bytes) -> str | None:
    """A header as text."""
    value = head.get(name)
    return None if value is None else value.decode("latin-1")


def address_of(scope: Scope) -> str:
    """Of the other end of the connection; what a header says of it can be made up."""
    client = scope.get("client")
    return client[0] if client else "a client without address"


def require_own_page(head: Head) -> None:
    """Without tokens, keep out the pages of other sites that a browser on this machine has open.

    A page may send requests to a loopback address, and reads the answers, too, once its own name leads there (DNS
    rebinding). So the host must be named by its address or as localhost, and a page must come from here.

    Raises:
        ProblemError: 421 for another host name, 403 for another origin.
    """
    host, origin = text_of(head, b"host"), text_of(head, b"origin")
    if host is not None and (len(host) > _LONGEST_ADDRESS or not _is_plain(host)):
        raise ProblemError(
            421, f"host {host[:100]!r}: without tokens the service is asked by its address or as localhost only"
        )
    if origin is not None and _netloc(origin) != host:
        raise ProblemError(403, f"origin {origin[:100]!r}: without tokens only pages of this service may ask")


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


@lru_cache(64)
def _is_plain(host: str) -> bool:
    """Whether it is `localhost` or an address, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False

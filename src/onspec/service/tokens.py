"""Who may ask: bearer tokens, kept only as hashes and compared in constant time."""

import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from onspec.domain import UsageError

VARIABLE = "ONSPEC_TOKENS"
"""Environment variable with tokens, separated by spaces, commas or line ends."""

SHORTEST = 16
"""Characters. A token is a secret that machines keep, so there is no reason for one that can be guessed."""

_HASHED = re.compile(r"sha256:[0-9a-f]{64}")


class Tokens:
    """The tokens that open the API. None at all leaves it open, which only a loopback address may be."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Take tokens in the clear, or as `sha256:HEX` of one (`printf %s TOKEN | sha256sum`).

        Raises:
            UsageError: a token shorter than `SHORTEST` or not in ASCII, or a hash that is none.
        """
        self._digests = tuple(_digest(token) for token in tokens)

    @classmethod
    def read(cls, path: Path | None, environment: Mapping[str, str] = os.environ) -> Self:
        """The tokens of a file (one a line, `#` starts a comment), or without a file those of `ONSPEC_TOKENS`.

        Raises:
            UsageError: the file cannot be read or holds no token, or a token is not usable.
        """
        if path is None:
            return cls(token for token in re.split(r"[\s,]+", environment.get(VARIABLE, "")) if token)
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"--token-file {path}: cannot be read ({error}); give a text file, one token a line"
            ) from None
        found = [line.split("#", 1)[0].strip() for line in lines]
        tokens = cls(token for token in found if token)
        if not tokens:
            raise UsageError(f"--token-file {path}: holds no token; put one into it: openssl rand -hex 32 > {path}")
        return tokens

    def __bool__(self) -> bool:
        """Whether a token is asked for at all."""
        return bool(self._digests)

    def allow(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header opens the API. Every stored token is compared, each in constant time."""
        if not self._digests:
            return True
        scheme, _, token = (authorization or "").partition(" ")
        given = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return scheme.lower() == "bearer" and any(matches)


def require_tokens(host: str, tokens: Tokens) -> None:
    """Refuse to be open to a network: only a loopback address may go without tokens.

    Raises:
        UsageError: `host` is reachable from other machines and there is no token.
    """
    if tokens or _is_loopback(host):
        return
    raise UsageError(
        f"--host {host} can be reached from other machines, so tokens are needed: "
        f"openssl rand -hex 32 > tokens, then add --token-file tokens (or set {VARIABLE})"
    )


def _is_loopback(host: str) -> bool:
    """A name other than `localhost` may resolve to anything, so it does not count."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(token: str) -> bytes:
    if _HASHED.fullmatch(token):
        return bytes.fromhex(token.removeprefix("sha256:"))
    if token.startswith("sha256:"):
        raise UsageError(f"token hash {token[:15]}… must be sha256: and 64 digits 0-9a-f; make it with sha256sum")
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable():
        raise UsageError(
            f"a token of {len(token)} characters cannot be used; at least {SHORTEST} ASCII characters are needed; "
            "make one with: openssl rand -hex 32"
        )
    return hashlib.sha256(token.encode()).digest()

"""Who may ask for what: bearer tokens with roles, kept only as hashes and compared in constant time."""

import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from onspec.domain import UsageError
from onspec.service.problems import ProblemError
from onspec.service.roles import Role

VARIABLE = "ONSPEC_TOKENS"
"""Environment variable with tokens, separated by spaces, commas or line ends."""

SHORTEST = 16
"""Characters. A token is a secret that machines keep, so there is no reason for one that can be guessed."""

_HASHED = re.compile(r"sha256:[0-9a-f]{64}")
_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,99}):(?P<role>[A-Za-z]+):(?P<token>.+)")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who holds a token, and what he may do."""

    name: str
    role: Role
    digest: bytes = field(repr=False)


class Tokens:
    """The tokens that open the API. None at all leaves it open, which only a loopback address may be."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Take tokens in the clear, or as `sha256:HEX` of one (`printf %s TOKEN | sha256sum`).

        Before a token may stand `NAME:ROLE:`; one without is an operator's.

        Raises:
            UsageError: a token shorter than `SHORTEST` or not in ASCII, a hash that is none, an unknown role, or a
                token that is there twice.
        """
        self._callers = tuple(_caller(token, number) for number, token in enumerate(tokens, 1))
        by_digest: dict[bytes, Caller] = {}
        for caller in self._callers:
            if (other := by_digest.setdefault(caller.digest, caller)) is not caller:
                raise UsageError(
                    f"the tokens of {other.name} and {caller.name} are the same, so nobody could tell who asks; "
                    "make one for each: openssl rand -hex 32"
                )

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
        return bool(self._callers)

    def caller(self, authorization: str | None) -> Caller | None:
        """Who sends an `Authorization` header. Every stored token is compared, each in constant time."""
        scheme, _, token = (authorization or "").partition(" ")
        given = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        matches = [caller for caller in self._callers if hmac.compare_digest(given, caller.digest)]
        return matches[0] if scheme.lower() == "bearer" and matches else None

    def require(self, authorization: str | None, role: Role) -> Caller:
        """Who asks, if it may.

        Raises:
            ProblemError: 401 without a known token, 403 if its role is less than `role`.
        """
        caller = self.caller(authorization)
        if caller is None:
            sentence = "a token is needed: send the header 'Authorization: Bearer TOKEN'"
            raise ProblemError(401, sentence, {"WWW-Authenticate": "Bearer"})
        if caller.role < role:
            needed, has = role.name.lower(), caller.role.name.lower()
            raise ProblemError(403, f"this needs the role {needed}; the token of {caller.name} has the role {has}")
        return caller


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


def _caller(entry: str, number: int) -> Caller:
    match = None if _HASHED.fullmatch(entry) else _ENTRY.fullmatch(entry)
    if match is None:
        return Caller(f"token-{number}", Role.OPERATOR, _digest(entry))
    try:
        return Caller(match["name"], Role.named(match["role"]), _digest(match["token"]))
    except ValueError as error:
        raise UsageError(f"token of {match['name']}: {error}") from None


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

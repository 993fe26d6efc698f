"""Who may do what. One table: what is not in it, an admin may."""

import re
from enum import IntEnum


class Role(IntEnum):
    """Each may do what those before it may."""

    OPERATOR = 1
    ENGINEER = 2
    ADMIN = 3

    @classmethod
    def named(cls, name: str) -> "Role":
        """By its name in any case; raises ValueError with those allowed."""
        try:
            return cls[name.upper()]
        except KeyError:
            allowed = ", ".join(role.name.lower() for role in cls)
            raise ValueError(f"unknown role {name!r}; choose {allowed}") from None


OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
"""Answered without a token: they tell nothing but whether the service works, and what asks them has no secrets."""

LEAST_ROLE: tuple[tuple[str, str, Role], ...] = (
    # method, path (regular expression, whole), least role
    ("GET", r"/", Role.OPERATOR),
    ("GET", r"/openapi\.json", Role.OPERATOR),
    ("GET", r"/metrics", Role.OPERATOR),
    ("POST", r"/api/inspect", Role.OPERATOR),
    ("GET", r"/api/events", Role.OPERATOR),
    ("GET", r"/api/drift", Role.OPERATOR),
    ("GET", r"/api/recipes(/[^/]+)?", Role.OPERATOR),
    ("POST", r"/api/recipes/[^/]+/golden", Role.OPERATOR),
    ("POST", r"/api/recipes/[^/]+/golden/acknowledge", Role.ENGINEER),
    ("POST", r"/api/recipes", Role.ENGINEER),
    ("POST", r"/api/recipes/[^/]+/(activate|rollback)", Role.ENGINEER),
    ("DELETE", r"/api/recipes/[^/]+(/versions/[^/]+)?", Role.ENGINEER),
    ("GET", r"/api/records/export(\.csv)?", Role.ENGINEER),
    ("GET", r"/api/records.*", Role.OPERATOR),
    ("POST", r"/api/records/[^/]+/review", Role.OPERATOR),
    ("GET", r"/v2(/models/.*)?", Role.OPERATOR),
    ("POST", r"/v2/models/[^/]+(/versions/[^/]+)?/infer", Role.OPERATOR),
    ("POST", r"/v2/repository/index", Role.OPERATOR),
)

_TABLE = [(method, re.compile(path), role) for method, path, role in LEAST_ROLE]


def least_role(method: str, path: str) -> Role:
    """Of a request; HEAD is as GET."""
    method = "GET" if method == "HEAD" else method
    return next((role for known, pattern, role in _TABLE if known == method and pattern.fullmatch(path)), Role.ADMIN)

"""Where a version of a recipe comes from: its parent, and what was changed since the first version, by whom and why."""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

DIGEST = r"^sha256:[0-9a-f]{64}$"
"""How the digest of a content, or of a piece of evidence, is written."""

MOST_DIFFERENCES = 100
"""Sentences that a change keeps: a log is to be read."""


class Parent(BaseModel):
    """The version that another one was made from. Its content names it, since approvals do not change that."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int = Field(ge=1)
    content: str = Field(pattern=DIGEST)

    def __str__(self) -> str:
        """`tile version 2 (sha256:0123456789ab…)`."""
        return f"{self.name} version {self.version} ({short(self.content)})"


class Change(BaseModel):
    """One line of the log: what became different in `version`. The time is UTC in ISO 8601.

    Attributes:
        by, note: as they were told; empty where nobody told.
        differences: what onspec found different from the parent, as `onspec diff` says it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1)
    at: str
    by: str = ""
    note: str = ""
    differences: tuple[str, ...] = Field((), max_length=MOST_DIFFERENCES + 1)


def check_life(version: int, parent: Parent | None, changes: Sequence[Change]) -> None:
    """Versions count up by one from the parent's, and the log is in their order.

    Raises:
        ValueError: they do not.
    """
    before = 0 if parent is None else parent.version
    if version != before + 1:
        of = "without a parent" if parent is None else f"of the parent version {before}"
        raise ValueError(f"version {version} {of} cannot be; allowed: {before + 1}")
    told = [change.version for change in changes]
    if told != sorted(told) or any(number > version for number in told):
        raise ValueError(f"changes must be in the order of their versions, up to {version}; got {told}")


def short(digest: str) -> str:
    """The beginning of a digest, for people: `sha256:0123456789ab…`."""
    return re.sub(r"([0-9a-f]{12})[0-9a-f]+$", r"\1…", digest)

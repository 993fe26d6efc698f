"""One thing that is wrong with a data set, in words that lead to its repair."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["error", "warning"]


class Problem(BaseModel):
    """What is wrong, where, and what to do about it.

    An `error` makes figures wrong or training impossible; a `warning` is worth knowing before training. `file` is the
    first that is meant; `files` names all of them, where there are several.
    """

    model_config = ConfigDict(frozen=True)

    severity: Severity
    code: str
    file: str | None = None
    files: tuple[str, ...] = ()
    message: str
    suggestion: str


def new_problem(
    severity: Severity, code: str, where: str | Sequence[str] | None, message: str, suggestion: str
) -> Problem:
    """A problem of one file, of several, or of the set as a whole."""
    files = () if where is None else (where,) if isinstance(where, str) else tuple(where)
    return Problem(
        severity=severity, code=code, file=next(iter(files), None), files=files, message=message, suggestion=suggestion
    )


def named(files: Sequence[str], most: int = 3) -> str:
    """`a.png, b.png, c.png and 4 more`."""
    rest = len(files) - most
    return ", ".join(files[:most]) + (f" and {rest} more" if rest > 0 else "")

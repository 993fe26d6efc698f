"""One thing that is wrong with a data set, in words that lead to its repair."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["error", "warning"]


class Problem(BaseModel):
    """What is wrong, where, and what to do about it.

    An `error` makes figures wrong or training impossible; a `warning` is worth knowing before training.
    """

    model_config = ConfigDict(frozen=True)

    severity: Severity
    code: str
    file: str | None = None
    message: str
    suggestion: str

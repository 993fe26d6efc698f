"""What a recipe may be used for: draft → tested → released, who said so, and on what evidence.

The approval is a member of its own, `approval.json`, and names the content that it is about: the digest of everything
else in the file but the signature. So the state can change without changing what was tested, and an approval that was
copied into another recipe is refused. Who gave it is proved by the signature of the file alone, which covers it.
"""

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from onspec.domain import IntegrityError, RecipeError, UsageError
from onspec.recipe.life import DIGEST, short

ACCEPTED = "accepted"
"""The one result of an acceptance test that a recipe can be released on."""


class State(StrEnum):
    """How far a recipe has come."""

    DRAFT = "draft"
    TESTED = "tested"
    RELEASED = "released"


NEXT: dict[State, tuple[State, ...]] = {
    State.DRAFT: (State.TESTED,),
    State.TESTED: (State.TESTED, State.RELEASED),
    State.RELEASED: (),
}
"""State → those that may follow. From released there is no way: the next thing is another version."""


class Evidence(BaseModel):
    """The acceptance test that a step rests on: `digest` is of its acceptance.json, the rest is what that says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["acceptance"] = "acceptance"
    digest: str = Field(pattern=DIGEST)
    result: str
    at: str
    by: str
    engine: str = Field(description="that judged; on another one it is the golden samples that speak")
    summary: str


class Step(BaseModel):
    """Someone raised the recipe to a state. The time is UTC in ISO 8601."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: Literal[State.TESTED, State.RELEASED]
    by: str = Field(min_length=1)
    at: str
    comment: str = ""
    evidence: Evidence

    @model_validator(mode="after")
    def _has_grounds(self) -> Self:
        if self.to is State.RELEASED and self.evidence.result != ACCEPTED:
            raise ValueError(f"only an acceptance test with the result {ACCEPTED!r} allows to release a recipe; "
                             f"got {self.evidence.result!r}")  # fmt: skip
        return self


class Approval(BaseModel):
    """`approval.json`: the steps up to the present state, oldest first, all about the one `content`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: str = Field(pattern=DIGEST)
    steps: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        state = State.DRAFT
        for step in self.steps:
            if step.to not in NEXT[state]:
                raise ValueError(f"a step from {state} to {step.to} is not allowed")
            state = step.to
        return self

    @property
    def state(self) -> State:
        """Where the last step led; a draft without one."""
        return self.steps[-1].to if self.steps else State.DRAFT

    def raised(self, step: Step) -> "Approval":
        """With one more step.

        Raises:
            UsageError: the step does not follow from the present state.
        """
        if step.to not in NEXT[self.state]:
            raise UsageError(_no_way(self.state, step.to))
        return Approval(content=self.content, steps=(*self.steps, step))

    def to_json(self) -> str:
        """`approval.json`."""
        return self.model_dump_json(indent=1) + "\n"


def read_approval(data: bytes, content: str, name: str) -> Approval:
    """The approval in a recipe file whose content is `content`.

    Raises:
        RecipeError: no approval, or steps that cannot follow each other.
        IntegrityError: the approval of something else.
    """
    try:
        approval = Approval.model_validate_json(data)
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(str(key) for key in detail["loc"])
        raise RecipeError(f"{name}: approval.json does not hold an approval: {where}: {detail['msg']}") from error
    if approval.content != content:
        raise IntegrityError(
            f"{name}: the approval is about {short(approval.content)}, this recipe is {short(content)}; "
            "release this recipe itself with onspec release"
        )
    return approval


def _no_way(state: State, to: State) -> str:
    allowed = NEXT[state]
    if not allowed:
        return f"the recipe is {state}, and nothing follows on that; pack the next version with onspec pack --parent"
    hint = "; test it first: onspec release --to tested" if state is State.DRAFT else ""
    return f"the recipe is a {state}, which cannot become {to}; allowed: {', '.join(allowed)}{hint}"

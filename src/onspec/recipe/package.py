"""A recipe with its model and golden samples, as it is opened or packed."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from onspec.domain import Verdict
from onspec.domain.verdict import ClassScores
from onspec.recipe.approval import Approval, State
from onspec.recipe.schema import Recipe

TOLERANCE = 1e-3
"""What a golden sample's score may differ by between machines and engines, unless its record says otherwise."""


class Expected(BaseModel):
    """What a golden sample gave when the recipe was packed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    score: float = Field(ge=0, le=1)
    class_scores: ClassScores = Field(default_factory=dict, description="of a recipe with several classes")
    tolerance: float = Field(TOLERANCE, ge=0, le=1, description="allowed deviation of the scores")


@dataclass(frozen=True, slots=True)
class Golden:
    """A known image: the bytes of its file, and its known result (`None` in a draft)."""

    name: str
    data: bytes
    expected: Expected | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """The complete inspection program.

    Attributes:
        model: the network as ONNX; input `image` float32 (N, C, H, W), output `scores` float32 (N, P, H/c, W/c), see
            `imaging.preparation.Infer`.
        digest: sha256, in hex, of the whole recipe file (of the file it would be, for a draft).
        split_csv: which part was used for what, where it is known.
        taught: the image that the part is located against, PNG, pixels as they are after reading; see `recipe.taught`.
        content: `sha256:HEX` of what decides and was tested: of the whole but approval and signature.
        coarse: the network that says where `model` looks, as ONNX; input `image` float32 (N, C, H, W) of levels, output
            `scores` float32 (N, 1, H/b, W/b), both whole numbers 0…255; there exactly where the recipe is `hastened`.
        approval: of exactly this content; `None` for a draft.
        signed: whether the file carries a signature; it was checked only if a public key was given.
    """

    recipe: Recipe
    model: bytes
    golden: tuple[Golden, ...] = ()
    digest: str = ""
    split_csv: bytes | None = None
    taught: bytes | None = None
    coarse: bytes | None = None
    signed: bool = False
    content: str = ""
    approval: Approval | None = None

    @property
    def state(self) -> State:
        """How far it has come; a draft as long as nobody said more."""
        return State.DRAFT if self.approval is None else self.approval.state

    @property
    def identity(self) -> str:
        """`NAME@sha256:HEX`, as every verdict names the recipe that gave it."""
        return f"{self.recipe.name}@sha256:{self.digest}"

"""`acceptance.json`: the protocol of an acceptance test, with everything that it takes to repeat or to doubt it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from onspec.evaluation.acceptance import STANDARD, Agreement, Judgement
from onspec.evaluation.reference_part import Finding, ReferencePart


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Parties(_Values):
    """Who tested what for whom; empty where it is to be filled in by hand."""

    by: str = ""
    supplier: str = ""
    user: str = ""
    site: str = ""
    subject: str = Field("", description="the kind of part and the station")
    comment: str = ""


class DeliveredRecipe(_Values):
    """The recipe exactly as delivered."""

    name: str
    version: int
    identity: str = Field(description="NAME@sha256:HEX of the file")
    content: str = Field(description="sha256:HEX of all but approval and signature; what a release refers to")
    signature: str
    state: str
    task: str
    classes: tuple[str, ...]
    thresholds: str
    rules: tuple[str, ...]


class Conditions(_Values):
    """Under which the test ran. Times are UTC in ISO 8601."""

    started: str
    seconds: float
    engine: str
    machine: dict[str, str]
    versions: dict[str, str]
    onspec: str
    command: str
    orders: tuple[str, ...] = Field(description="in which order each repeat judged the images")


class ReferenceData(_Values):
    """The test parts as a set."""

    name: str
    layout: str
    fingerprint: str = Field(description="sha256 over names, contents, labels and split of the whole set")
    split: str
    split_from: str
    good: int
    defective: int
    borderline: int
    images: int


class Protocol(_Values):
    """`acceptance.json`."""

    kind: Literal["acceptance"] = "acceptance"
    standard: str = STANDARD
    parties: Parties
    recipe: DeliveredRecipe
    data: ReferenceData
    agreement: Agreement
    conditions: Conditions
    judgement: Judgement
    notes: tuple[str, ...] = ()
    parts: tuple[ReferencePart, ...]

    @property
    def misjudged(self) -> tuple[ReferencePart, ...]:
        """What a reader wants to see: wrong, doubtful and unstable parts, the worst first."""
        order = (Finding.ESCAPE, Finding.FALSE_REJECT, Finding.UNJUDGED, Finding.REVIEW)
        wrong = [part for part in self.parts if part.finding in order or not part.stable]
        return tuple(sorted(wrong, key=lambda p: order.index(p.finding) if p.finding in order else len(order)))

    @property
    def borderline(self) -> tuple[ReferencePart, ...]:
        """Parts of which nobody says what is right."""
        return tuple(part for part in self.parts if part.finding is Finding.BORDERLINE)

    def to_json(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=1) + "\n"

"""Test parts of an acceptance test: what each is by agreement, all that was said of it, and what that is worth."""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from onspec.domain import Verdict

VERDICTS: Final = (Verdict.OK, Verdict.NG, Verdict.REVIEW, Verdict.ERROR)
"""The columns of the misclassification matrix."""

_WORST_FIRST: Final = (Verdict.ERROR, Verdict.NG, Verdict.REVIEW, Verdict.OK)
"""That another image of the part is NG does not make up for one that was not judged."""


class Reference(StrEnum):
    """What a test part is, by agreement of the parties."""

    GOOD = "good"
    DEFECTIVE = "defective"
    BORDERLINE = "borderline"


class Finding(StrEnum):
    """What a part's verdicts are worth against its reference."""

    RIGHT = "right"
    ESCAPE = "escape"
    FALSE_REJECT = "false reject"
    REVIEW = "review"
    UNJUDGED = "not judged"
    BORDERLINE = "borderline"


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JudgedImage(_Values):
    """One image of a test part; verdicts and scores in the order of the repeats."""

    image: str
    sha256: str
    verdicts: tuple[Verdict, ...] = Field(min_length=1)
    scores: tuple[float | None, ...]
    told: str | None = Field(None, description="the class it was taken for, good included; null where not judged")
    reasons: tuple[str, ...] = ()
    error: str | None = None
    ms: tuple[float, ...] = Field((), description="wall time of reading, inference and decision")

    @property
    def same_verdicts(self) -> bool:
        """Whether every repeat gave the same verdict."""
        return len(set(self.verdicts)) == 1

    @property
    def spread(self) -> float:
        """Largest difference between the scores of two repeats; 0 without two."""
        known = [score for score in self.scores if score is not None]
        return max(known) - min(known) if known else 0.0


class ReferencePart(_Values):
    """A test part with its reference classification and all that was said of it."""

    part: str
    reference: Reference
    cls: str = Field(description="good, borderline, or the class of its defects")
    images: tuple[JudgedImage, ...] = Field(min_length=1)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One a repeat: that of its worst image, ERROR if one could not be judged."""
        repeats = zip(*(image.verdicts for image in self.images), strict=True)
        return tuple(min(repeat, key=_WORST_FIRST.index) for repeat in repeats)

    @property
    def counted(self) -> Verdict:
        """The verdict that counts: ERROR if there was one, else of all repeats the one that is most wrong."""
        said = set(self.verdicts)
        order = {
            Reference.GOOD: (Verdict.ERROR, Verdict.NG, Verdict.REVIEW, Verdict.OK),
            Reference.DEFECTIVE: (Verdict.ERROR, Verdict.OK, Verdict.REVIEW, Verdict.NG),
            Reference.BORDERLINE: (Verdict.ERROR, Verdict.REVIEW, Verdict.NG, Verdict.OK),
        }[self.reference]
        return next(verdict for verdict in order if verdict in said)

    @property
    def finding(self) -> Finding:
        """What that verdict is worth."""
        if self.counted is Verdict.ERROR:
            return Finding.UNJUDGED
        return _FINDINGS.get((self.reference, self.counted), Finding.RIGHT)

    @property
    def stable(self) -> bool:
        """Whether every image got the same verdict in every repeat."""
        return all(image.same_verdicts for image in self.images)


_FINDINGS: Final = {
    (Reference.GOOD, Verdict.NG): Finding.FALSE_REJECT,
    (Reference.GOOD, Verdict.REVIEW): Finding.REVIEW,
    (Reference.DEFECTIVE, Verdict.OK): Finding.ESCAPE,
    (Reference.DEFECTIVE, Verdict.REVIEW): Finding.REVIEW,
    **{(Reference.BORDERLINE, verdict): Finding.BORDERLINE for verdict in VERDICTS},
}
"""Reference and counted verdict → finding; anything else is right."""

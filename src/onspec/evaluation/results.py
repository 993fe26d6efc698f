"""What is kept of one evaluated image: counts, never maps."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onspec.domain import Verdict
from onspec.evaluation.boxes import Boxes
from onspec.evaluation.defects import Compared
from onspec.evaluation.reject_scores import RejectScores

_WORST_FIRST = (Verdict.NG, Verdict.ERROR, Verdict.REVIEW, Verdict.OK)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixels of one class at the pixel threshold: marked and defective, marked only, defective only."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def dice(self) -> float | None:
        """2·|A∩B| / (|A| + |B|); `None` where nothing is defective: an empty answer there is right, not perfect."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp + self.fn else None

    @property
    def iou(self) -> float | None:
        """|A∩B| / |A∪B|; `None` where nothing is defective."""
        return self.tp / (self.tp + self.fp + self.fn) if self.tp + self.fn else None


@dataclass(frozen=True, slots=True)
class Matches:
    """Defects of one class: how many there are, were found, were reported, and were reported rightly."""

    truth: int = 0
    found: int = 0
    predicted: int = 0
    right: int = 0

    def __add__(self, other: "Matches") -> "Matches":
        return Matches(
            self.truth + other.truth,
            self.found + other.found,
            self.predicted + other.predicted,
            self.right + other.right,
        )

    @property
    def precision(self) -> float | None:
        """The share of the reports that are right; `None` where nothing was reported."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The share of the defects that were found; `None` where there is none."""
        return self.found / self.truth if self.truth else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, not of counts: several reports may share one labelled defect."""
        if not (self.predicted or self.truth):
            return None
        precision, recall = self.precision or 0.0, self.recall or 0.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass(frozen=True, slots=True)
class ImageResult:
    """One image: its truth and what became of it.

    Attributes:
        verdict: at the thresholds and rules of the recipe; ERROR where the image could not be judged.
        score: the image's defect score; `None` on ERROR.
        cls, true_cls: what it was told to be and what it is: good, or a class; `None` where that is not known.
        class_scores: the image's score for each class.
        present: the classes that are labelled on it; `None` where nobody knows.
        located: it is known which pixels are defective (for a good image: none is).
        pixels: pixel counts of all classes together.
        overlap: pixel counts, one a class; empty where not located.
        boundary_f1: how well outlines agree, see `boundary`.
        matches: defect counts by the rule of the task, one a class; empty where not known.
        box_matches: counts of boxes that overlap one to one by half or more, one a class; empty where not known.
        boxes: the labelled and the found boxes, also those under the threshold; `None` where not known.
        compared: each labelled defect and what became of it; `None` where nobody knows what is on the image.
        rejects: up to which image thresholds the image is rejected; `None` on ERROR.
        defects, area_px: how many defects were reported, and their area.
        ms: wall time of reading, inference and decision.
        error: the sentence of an ERROR; with a score, why the label cannot say where defects are, and of what class.
        inspectable: it looks like the images of the training; one that does not is never OK.
    """

    name: str
    part: str
    defective: bool
    verdict: Verdict
    score: float | None
    cls: str | None = None
    true_cls: str | None = None
    class_scores: tuple[float, ...] = ()
    present: frozenset[str] | None = None
    located: bool = False
    pixels: Overlap = Overlap()
    overlap: tuple[Overlap, ...] = ()
    boundary_f1: float | None = None
    matches: tuple[Matches, ...] = ()
    box_matches: tuple[Matches, ...] = ()
    boxes: tuple[Boxes, Boxes] | None = None
    compared: Compared | None = None
    rejects: RejectScores | None = None
    defects: int = 0
    area_px: int = 0
    ms: float | None = None
    error: str | None = None
    inspectable: bool = True

    def __post_init__(self) -> None:
        """Refuse a verdict without a score, and an ERROR with one."""
        if (self.verdict is Verdict.ERROR) != (self.score is None):
            raise ValueError(f"{self.name}: verdict {self.verdict} with score {self.score}; only an ERROR has none")

    @property
    def dice(self) -> float | None:
        """Dice over all classes; `None` unless the image is defective and it is known where."""
        return self.pixels.dice

    @property
    def iou(self) -> float | None:
        """IoU over all classes; `None` as for `dice`."""
        return self.pixels.iou

    @property
    def box_f1(self) -> float | None:
        """F1 of the image's boxes over all classes; `None` where no box is known or there is none."""
        return sum(self.box_matches, Matches()).f1


@dataclass(frozen=True, slots=True)
class PartResult:
    """One part: defective if any of its images shows it, judged by the worst verdict, scored by the highest score."""

    part: str
    defective: bool
    verdict: Verdict
    score: float | None


def by_part(results: Iterable[ImageResult]) -> list[PartResult]:
    """The results of the parts, in the order in which they first appear.

    One rejected image rejects its part; an image that could not be judged keeps its part from being OK.
    """
    groups: defaultdict[str, list[ImageResult]] = defaultdict(list)
    for result in results:
        groups[result.part].append(result)
    return [_part(name, group) for name, group in groups.items()]


def _part(name: str, images: Sequence[ImageResult]) -> PartResult:
    verdict = min((image.verdict for image in images), key=_WORST_FIRST.index)
    scores = [image.score for image in images if image.score is not None]
    score = max(scores) if scores and verdict is not Verdict.ERROR else None
    return PartResult(name, any(image.defective for image in images), verdict, score)

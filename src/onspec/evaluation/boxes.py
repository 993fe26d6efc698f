"""Boxes of one image, labelled and found, and which of them belong together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onspec.domain import Defect, ScoredBox
from onspec.imaging.boxes import iou

LEAST_IOU = 0.5
"""How much a found box must overlap a labelled one to be right."""

Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]
"""float32 (n, 4) of x, y, width, height in px, and int64 (n,) class indices."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes of one image; labelled ones score 1.

    Attributes:
        xywh: float32 (n, 4): left, top, width and height in px.
        classes: int64 (n,): indices of their classes.
        scores: float32 (n,).
    """

    xywh: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse other shapes and types, and what is no box."""
        n = len(self.classes)
        fits = self.xywh.shape == (n, 4) and self.classes.shape == (n,) and self.scores.shape == (n,)
        typed = self.xywh.dtype == self.scores.dtype == np.float32 and self.classes.dtype == np.int64
        if not (fits and typed):
            raise ValueError(
                f"Boxes takes float32 (n, 4), int64 (n,) and float32 (n,); got {self.xywh.dtype} {self.xywh.shape}, "
                f"{self.classes.dtype} {self.classes.shape} and {self.scores.dtype} {self.scores.shape}"
            )
        if not (np.isfinite(self.xywh).all() and (self.xywh[:, 2:] > 0).all()):  # false for NaN, too
            raise ValueError(f"Boxes takes finite boxes with positive sides; got {self.xywh.tolist()}")

    def __len__(self) -> int:
        """How many boxes there are."""
        return len(self.classes)

    def kept(self, which: NDArray[np.bool_]) -> "Boxes":
        """Those of which `which`, bool (n,), is true."""
        return Boxes(self.xywh[which], self.classes[which], self.scores[which])


def labelled(given: Labelled) -> Boxes:
    """Boxes of a label."""
    xywh, classes = given
    return Boxes(xywh, classes, np.ones(len(classes), np.float32))


def found(boxes: Iterable[ScoredBox], classes: Sequence[str]) -> Boxes:
    """What a detector found, by falling score."""
    return _by_score([(b.cls, b.score, (b.x, b.y, b.width, b.height)) for b in boxes], classes)


def around(defects: Iterable[Defect], classes: Sequence[str]) -> Boxes:
    """The boxes around measured defects, by falling score."""
    return _by_score([(d.cls, d.score, d.bbox) for d in defects], classes)


def _by_score(rows: Iterable[tuple[str, float, Sequence[float]]], classes: Sequence[str]) -> Boxes:
    ordered = sorted(rows, key=lambda row: -row[1])
    return Boxes(
        np.array([xywh for *_, xywh in ordered], np.float32).reshape(-1, 4),
        np.array([classes.index(cls) for cls, *_ in ordered], np.int64),
        np.array([score for _, score, _ in ordered], np.float32),
    )


def right(found: Boxes, truth: Boxes, least_iou: float = LEAST_IOU) -> NDArray[np.bool_]:
    """Which of `found` are right: bool (n,); see `assigned`."""
    return np.asarray(assigned(found, truth, least_iou) >= 0)


def assigned(found: Boxes, truth: Boxes, least_iou: float = LEAST_IOU) -> NDArray[np.int64]:
    """The index of the labelled box that each of `found` takes, -1 for none: int64 (n,).

    One to one, by falling score: each takes the labelled box of its class that it overlaps most and that is still
    free. So whether a box is right depends on no box that scores less.
    """
    overlaps = np.array(iou(found.xywh, truth.xywh), np.float64)
    overlaps[found.classes[:, None] != truth.classes[None, :]] = 0.0
    answer = np.full(len(found), -1, np.int64)
    for index in np.argsort(-found.scores, kind="stable"):
        best = int(overlaps[index].argmax()) if len(truth) else 0
        if len(truth) and overlaps[index, best] >= least_iou:
            answer[index] = best
            overlaps[:, best] = 0.0
    return answer

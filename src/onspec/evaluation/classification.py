"""Which class an image is of, which it was told to be, and how often the two agree."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from onspec.domain.verdict import GOOD
from onspec.evaluation.boxes import Boxes
from onspec.evaluation.metrics import ClassificationFigures


def told(score: float, class_scores: Mapping[str, float], threshold: float) -> str:
    """What the scores call an image: good, or the class of the highest score, the first by name of equal ones."""
    return GOOD if score < threshold else min(class_scores, key=lambda cls: (-class_scores[cls], cls))


def true_label(
    defective: bool, cls: str | None, truth: NDArray[np.uint8] | None, boxes: Boxes | None, classes: Sequence[str]
) -> str | None:
    """The image's own class: good, that of its label, or the class with most labelled area, the earlier of equal ones.

    `None` where nobody knows of which of several classes its defects are. With one class, every defect is of it.

    Raises:
        ValueError: a class that is not among several.
    """
    if not defective:
        return GOOD
    if len(classes) == 1:
        return classes[0]
    if cls is not None:
        if cls not in classes:
            raise ValueError(f"label of unknown class {cls!r}; known: {', '.join(classes)}")
        return cls
    area = labelled_area(truth, boxes, len(classes))
    return classes[int(area.argmax())] if area.any() else None


def labelled_area(truth: NDArray[np.uint8] | None, boxes: Boxes | None, classes: int) -> NDArray[np.float64]:
    """Labelled px of each class, float64 (K,): those of the masks, else those of the boxes."""
    if truth is not None:
        return np.array([np.count_nonzero(plane) for plane in truth], np.float64)
    if boxes is None:
        return np.zeros(classes)
    area = boxes.xywh[:, 2:].prod(axis=1)
    return np.array([area[boxes.classes == k].sum() for k in range(classes)], np.float64)


def classification_figures(pairs: Sequence[tuple[str, str]], classes: Sequence[str]) -> ClassificationFigures:
    """Figures of (true, told) labels; all `None` without any."""
    if not pairs:
        return ClassificationFigures()
    labels = ([GOOD] if any(GOOD in pair for pair in pairs) else []) + list(classes)
    counts = Counter(pairs)
    confusion = np.array([[counts[row, column] for column in labels] for row in labels])
    return ClassificationFigures(
        accuracy=float(confusion.trace() / len(pairs)),
        f1_macro=f1_macro(confusion),
        confusion=confusion.tolist(),
        classes=labels,
    )


def f1_macro(confusion: NDArray[np.int64]) -> float | None:
    """Mean F1 of the labels that occur, in truth or in what was told; rows are the truth, columns what was told."""
    right, there = confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1)
    occurs = there > 0
    return float((2 * right[occurs] / there[occurs]).mean()) if occurs.any() else None

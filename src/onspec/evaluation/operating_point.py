"""The operating point at the end of a training: what is chosen on validation images, by which rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onspec.decision.tasks import Scores, image_scores
from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, Task
from onspec.evaluation.boxes import Labelled, found, labelled
from onspec.evaluation.class_finds import ClassFinds
from onspec.evaluation.classification import classification_figures, told, true_label
from onspec.evaluation.evidence import percent, worst_rate
from onspec.evaluation.gaps import Floats, bearable_threshold, logit, middle, sigmoid
from onspec.evaluation.labelled_regions import Truth
from onspec.evaluation.least_cost import ESCAPE_COST
from onspec.evaluation.observed import LEVELS, Outlines, Regions, allowed_pixel
from onspec.evaluation.ranking import average_precision
from onspec.evaluation.score_bins import EDGES

SHARPNESS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Among which a classifier's pooling is chosen, see `imaging.pooling`."""

ODD_SHARE = 0.02
"""Share of the good images that may score over a threshold that good images alone choose."""

_LEAST_MARGIN = 0.5
"""On the logit scale, over the highest score of good images where nothing else says how high a threshold has to be."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A value, and the rule that chose it as part of a sentence."""

    value: float
    rule: str


class Chooser:
    """Collects what the choice of thresholds needs from validation images, never their maps.

    Per image that is one score for each candidate, for a defective image its Dice at each threshold, and the scores of
    its boxes, or of its regions as long as no good image has come.

    Args:
        windows: candidates to segment with; one at least.
        sharpness: candidates to classify with, `SHARPNESS` if not given; to segment, candidates beside the windows.
    """

    def __init__(
        self, windows: Sequence[int], task: Task = Task.SEGMENT, sharpness: Sequence[float] | None = None
    ) -> None:
        self._task = task
        self._settings = _settings(task, windows, sharpness)
        self._scores: list[list[Scores]] = []
        self._defective: list[bool] = []
        self._labels: list[str | None] = []
        self._classes: tuple[str, ...] = ()
        self._outlines = Outlines()
        self._regions = Regions(self._settings[0].window)
        self._boxes = ClassFinds()

    def add(
        self,
        defective: bool,
        prediction: Prediction,
        truth: Truth | None,
        boxes: Labelled | None = None,
        cls: str | None = None,
    ) -> None:
        """Count one image.

        Args:
            truth: uint8 (K, H, W) of 0/1, `None` where nobody knows which pixels are defective.
            boxes: where its defects are, `None` where nobody knows.
            cls: the class of a label that is about the whole image.
        """
        known = truth if truth is not None and truth.any() else None
        label = None if boxes is None else labelled(boxes)
        self._classes = tuple(m.cls for m in prediction.maps)
        self._defective.append(defective)
        self._labels.append(true_label(defective, cls, known, label, self._classes))
        self._scores.append([image_scores(prediction, setting, self._task) for setting in self._settings])
        if label is not None and self._task == Task.DETECT:
            self._boxes.add(found(prediction.boxes, self._classes), label)
        if not defective:
            self._regions.forget()
        elif self._task != Task.DETECT:
            self._add_outline(prediction, known)

    def _add_outline(self, prediction: Prediction, truth: Truth | None) -> None:
        total = prediction.total()
        union = None if truth is None else np.logical_or.reduce(truth > 0, axis=0).astype(np.uint8)
        self._outlines.add(total, union)
        if union is not None and self._task == Task.SEGMENT:
            self._regions.add(total, union)

    def choose(self, escape_cost: float = ESCAPE_COST) -> Thresholds:
        """The thresholds, with the rule and the figure behind each in their `basis`.

        The image threshold is that of least cost, an escape being `escape_cost` times as dear as a false reject, or as
        much less dear as lets half of the good images pass: a line cannot use a recipe that rejects most of its parts.
        Where every image is defective, cost would let it sink to nothing: then it is that of the best F1 of single
        defects. Where none is, see `choose_from_good`. What the images leave open is decided for the widest gap between
        scores, and the threshold is put in the middle of its gap on the logit scale, where it is least likely to be
        crossed.

        Raises:
            ValueError: no image was added.
        """
        if not self._defective:
            raise ValueError("Chooser needs at least one image; add validation images first")
        if not any(self._defective):
            return self.choose_from_good()
        index, setting = self._setting(escape_cost)
        score, defective = self._column(index), np.array(self._defective)
        place, pixel = self._pixel()
        image = self._by_f1(place) if defective.all() else None
        if image is None:
            image = self._by_cost(score, escape_cost)
        rejected = score >= image.value
        outcome = f"escapes: {(defective & ~rejected).sum()}, false rejects: {(~defective & rejected).sum()}"
        basis = f"{self._images()}: image {image.rule} ({outcome}){setting}{pixel.rule}"
        return self._thresholds(index, image.value, pixel.value, basis)

    def logit_adjustments(self) -> dict[str, float]:
        """Class → what to add to a detector's logits of it before thresholds are chosen; see `ClassFinds`."""
        return {self._classes[cls]: by for cls, by in self._boxes.adjustments().items()}

    def scores(self, chosen: Thresholds) -> list[Scores]:
        """What the images score as `chosen` reads them, in the order in which they were added.

        Raises:
            ValueError: thresholds of no candidate.
        """
        for index, setting in enumerate(self._settings):
            if (setting.weighing, setting.pooling) == (chosen.weighing, chosen.pooling):
                return [scores[index] for scores in self._scores]
        raise ValueError(f"{chosen.pooling} with {chosen.weighing} was not among the candidates")

    def doubt(self, chosen: Thresholds) -> str | None:
        """Why `choose` weighed an escape less than `ESCAPE_COST`; `None` where it did not.

        Raises:
            ValueError: as `scores`.
        """
        defective, score = np.array(self._defective), np.array([s.image for s in self.scores(chosen)])
        if not defective.any() or bearable_threshold(defective, score, ESCAPE_COST)[1] == ESCAPE_COST:
            return None
        good, bad = score[~defective], score[defective]
        return (
            f"an escape {ESCAPE_COST:g} times as dear as a false reject would have most good images rejected, so it "
            f"weighs less: {np.count_nonzero(bad < chosen.image)} of {len(bad)} defective validation images escape, "
            f"and {np.count_nonzero(good >= chosen.image)} of {len(good)} good ones are rejected. The network does not "
            "tell them apart surely enough: train longer (--budget), label more parts, or say what may escape "
            "(onspec threshold --max-escape-rate)"
        )

    def choose_from_good(self, confidence: float = 0.95) -> Thresholds:
        """Thresholds where no defective image is known: over all but a few of the scores that good parts were seen to
        have, since a single odd part must not decide what else escapes.

        As many good images as `ODD_SHARE` allows may score higher; the image threshold lies in the middle of the gap
        over the others. Where none may, it lies over the highest score by a margin on the logit scale: the standard
        deviation of the scores there, but at least 0.5. Of what it rejects falsely the good images bound a share (an
        exact, one-sided bound, as that of Clopper and Pearson; it holds although they chose the threshold, as for
        `evidence`); what escapes nobody knows. The `basis` says both.

        Raises:
            ValueError: there are defective images, or none at all.
        """
        if any(self._defective) or not self._defective:
            raise ValueError(f"takes good images alone; got {sum(self._defective)} defective of {len(self._defective)}")
        index = self._without_ranking()
        image = _over_most(self._column(index))
        n, odd = len(self._defective), int((self._column(index) >= image.value).sum())
        basis = (
            f"{self._images()}: no defective part was there to choose on, so nothing is known about escapes; image "
            f"{image.rule}, so that with {percent(confidence)} confidence at most "
            f"{100 * worst_rate(odd, n, confidence):.2g} % of good images are rejected falsely"
        )
        if (
            self._task == Task.SEGMENT and self._settings[index].pooling == "peak"
        ):  # the image's score is that of pixels
            return self._thresholds(index, image.value, allowed_pixel(image.value), f"{basis}; pixel as image")
        return self._thresholds(index, image.value, 0.5, basis)

    def _without_ranking(self) -> int:
        """The setting where no figure speaks for one: pooled odds, which suit small and large defects, if on offer."""
        return next((i for i, setting in enumerate(self._settings) if setting.pooling == "odds"), 0)

    def _thresholds(self, index: int, image: float, pixel: float, basis: str) -> Thresholds:
        chosen = self._settings[index].model_dump() | {"image": image, "pixel": pixel, "basis": basis}
        return Thresholds.model_validate(chosen)

    def _images(self) -> str:
        bad = sum(self._defective)
        return f"on {len(self._defective) - bad} good and {bad} defective validation images"

    def _column(self, index: int) -> Floats:
        return np.array([scores[index].image for scores in self._scores], np.float64)

    def _by_cost(self, score: Floats, escape_cost: float) -> _Chosen:
        value, weighed = bearable_threshold(np.array(self._defective), score, escape_cost)
        less = "" if weighed == escape_cost else f", as {escape_cost:g} times would reject most good ones"
        return _Chosen(value, f"by least cost, an escape {weighed:g} times as dear as a false reject{less}")

    def _by_f1(self, place: int | None) -> _Chosen | None:
        """`None` where single defects say nothing about it."""
        if self._task == Task.DETECT:
            best, what = self._boxes.best(), "boxes that overlap a label by half"
        else:
            best = None if place is None or self._task == Task.CLASSIFY else self._regions.best(place)
            what = "marked regions"
        if best is None:
            return None
        return _Chosen(best[0], f"by best F1 of {what} ({best[1]:.3f}), as no good part could be rejected falsely")

    def _pixel(self) -> tuple[int | None, _Chosen]:
        """The pixel threshold, and its place in EDGES where it was chosen there."""
        if self._task == Task.DETECT:
            return None, _Chosen(0.5, "")
        best = self._outlines.best(LEVELS) if self._task == Task.SEGMENT and all(self._defective) else None
        best = best or self._outlines.best()
        if best is not None:
            return best[0], _Chosen(float(EDGES[best[0]]), f"; pixel by best mean Dice ({best[1]:.3f})")
        if self._task == Task.SEGMENT:
            return None, _Chosen(0.5, "; pixel by best mean Dice (not defined)")
        half = self._outlines.half_of_the_peaks()
        return None, _Chosen(half, "; pixel at half of the median peak of defective images, as no label says where")

    def _setting(self, escape_cost: float) -> tuple[int, str]:
        """Place of the window or sharpness, and the rule; equal ones differ by the gap between good and defective."""
        merits = [self._merit(index, escape_cost) for index in range(len(self._settings))]
        index = max(range(len(merits)), key=lambda i: (*merits[i], -i))
        if self._task == Task.DETECT:
            return index, ""
        if self._several():
            f1 = self._f1_macro(index, escape_cost)
            return index, f"; sharpness by best macro F1 ({_shown(f1, 3)})"
        name = "sharpness" if self._settings[index].pooling == "odds" else "window"
        ap = average_precision(np.array(self._defective), self._column(index))
        return index, f"; {name} by best average precision ({_shown(ap, 4)})"

    def _several(self) -> bool:
        """Whether a classifier is to tell apart more than good and defective."""
        return self._task == Task.CLASSIFY and len(self._classes) > 1

    def _merit(self, index: int, escape_cost: float) -> tuple[float, float, float]:
        defective, column = np.array(self._defective), self._column(index)
        f1 = (self._f1_macro(index, escape_cost) or 0.0) if self._several() else 0.0
        if defective.all():
            return round(f1, 6), 0.0, 0.0
        ap = average_precision(defective, column) or 0.0
        gap = logit(float(column[defective].min())) - logit(float(column[~defective].max()))
        return round(f1, 6), round(ap, 6), round(gap, 6)

    def _f1_macro(self, index: int, escape_cost: float) -> float | None:
        column = self._column(index)
        threshold, _ = bearable_threshold(np.array(self._defective), column, escape_cost)
        pairs = [
            (label, told(scores[index].image, scores[index].classes, threshold))
            for label, scores in zip(self._labels, self._scores, strict=True)
            if label is not None
        ]
        return classification_figures(pairs, self._classes).f1_macro


def _settings(task: Task, windows: Sequence[int], sharpness: Sequence[float] | None) -> tuple[Thresholds, ...]:
    """What an image's score depends on beside the maps: one entry a candidate."""
    if task == Task.DETECT:
        return (Thresholds(),)
    default, peaks = (SHARPNESS, ()) if task == Task.CLASSIFY else ((), windows)
    odds = default if sharpness is None else sharpness
    return (
        *(Thresholds(window=window) for window in peaks),
        *(Thresholds(pooling="odds", sharpness=value) for value in odds),
    )


def _over_most(score: Floats) -> _Chosen:
    """A threshold over the scores (n,) of all good images but `ODD_SHARE` of them, rounded down."""
    allowed = int(ODD_SHARE * len(score))
    low = float(np.sort(score)[-1 - allowed])
    higher = score[score > low]
    if higher.size:
        rule = f"over all but the {higher.size} highest of {len(score)} scores of good images"
        return _Chosen(middle(low, float(higher.min())), rule)
    margin = max(_LEAST_MARGIN, float(np.std([logit(s) for s in score])))
    rule = f"by the highest score of a good image ({low:.4g}) and a margin of {margin:.2g} on the logit scale"
    return _Chosen(_over(low, margin), rule)


def _over(score: float, margin: float) -> float:
    """A threshold over `score` by a margin on the logit scale; where there is no room, between it and 1."""
    exact = sigmoid(logit(score) + margin)
    rounded = float(f"{exact:.3g}")
    if score < rounded <= 1 and score < exact:
        return rounded
    return middle(score, 1.0) if score < 1 else 1.0


def _shown(figure: float | None, decimals: int) -> str:
    return "not defined" if figure is None else f"{figure:.{decimals}f}"

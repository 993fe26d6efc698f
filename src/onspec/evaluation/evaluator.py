"""Judged images, one at a time → counts → metrics."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from onspec.decision.inspectability import NAME as NOT_INSPECTABLE
from onspec.decision.judge import judge
from onspec.decision.rules import RuleSet
from onspec.decision.tasks import image_scores
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Prediction, Task, Verdict
from onspec.domain.pixel_size import PixelSize
from onspec.domain.placement import Placement
from onspec.evaluation.box_ranking import BoxPrecision, box_precision
from onspec.evaluation.boxes import Boxes, Labelled, labelled
from onspec.evaluation.calibration import calibration
from onspec.evaluation.classification import classification_figures, labelled_area, told, true_label
from onspec.evaluation.cost_figures import DEFAULT, cost_figures
from onspec.evaluation.defects import Seen, compare
from onspec.evaluation.detection import COUNTS
from onspec.evaluation.figures import detection_figures, image_figures, part_figures, rate
from onspec.evaluation.kinds import kinds
from onspec.evaluation.labelled_regions import Located, Truth, regions_of
from onspec.evaluation.least_cost import Costs
from onspec.evaluation.metrics import ClassFigures, ClassificationFigures, Images, Metrics
from onspec.evaluation.pixels import Outlined, PixelComparison
from onspec.evaluation.pod_figures import detectability
from onspec.evaluation.ranking import average_precision
from onspec.evaluation.reject_scores import RejectScores, reject_scores
from onspec.evaluation.results import ImageResult, by_part
from onspec.evaluation.what_if import what_if
from onspec.evaluation.zone_figures import zone_figures
from onspec.imaging.instances import Labels
from onspec.imaging.reading import Image


class Evaluator:
    """Takes judged images in any order and keeps counts, histograms and boxes of them, never the maps.

    `results` has one entry an image, in the order in which they came. The plant's rules say where zones are, and what
    another threshold would have decided; `pixel_size_mm` wins over that of the rules. As an attribute it is the side of
    a square pixel of the same area.
    """

    def __init__(
        self,
        classes: Sequence[str],
        thresholds: Thresholds,
        task: Task = Task.SEGMENT,
        rules: RuleSet = RuleSet(),  # noqa: B008 (frozen)
        pixel_size_mm: float | PixelSize | None = None,
    ) -> None:
        self.classes = tuple(classes)
        self.thresholds = thresholds
        self.task = task
        self.rules = rules
        size = rules.pixel_size_mm if pixel_size_mm is None else pixel_size_mm
        self._pixel = None if size is None else PixelSize.of(size)
        self.pixel_size_mm = None if self._pixel is None else self._pixel.mean
        self.results: list[ImageResult] = []
        self._pixels = PixelComparison(len(self.classes), thresholds.pixel)
        self._one_to_one = task is Task.DETECT

    def add(  # noqa: PLR0913 (each is something that may be known of an image)
        self,
        name: str,
        part: str,
        defective: bool,
        prediction: Prediction,
        truth: Truth | None,
        *,
        decision: Decision | None = None,
        ms: float | None = None,
        cls: str | None = None,
        boxes: Labelled | None = None,
        objects: Labels | None = None,
        image: Image | None = None,
        placement: Placement | None = None,
        label_fault: str | None = None,
    ) -> None:
        """Count one image.

        Args:
            truth: `None` where it is only known whether the part is defective. A mask without a defective pixel on a
                defective image says nothing about where the defect is, and is taken as `None`.
            decision: what the recipe said; without one, thresholds and rules are asked here.
            ms: wall time that the inspection took.
            cls: the class of a label that is about the whole image.
            boxes: where its defects are; `None`, or none on a defective image, where nobody knows.
            objects: int32 (H, W) of 0 and a number for each of its defects, touching ones too; `None` where the recipe
                does not tell those apart. Single defects are then counted one to one.
            image, placement: what rules on contrast and zones on the part need, see `judge`.
            label_fault: why nobody knows where defects are, or of what class.

        Raises:
            ValueError: maps or labels that do not fit the classes or each other, or a good image with a defect.
        """
        known = self._checked(name, defective, prediction, truth)
        label = self._checked_boxes(name, defective, boxes)
        labelled = None if known is None else regions_of(known, objects)
        self._one_to_one |= objects is not None
        asked = partial(
            judge, prediction, rules=self.rules, pixel_size_mm=self._pixel, task=self.task, image=image,
            placement=placement,
        )  # fmt: skip
        decision = decision or asked(thresholds=self.thresholds)
        inspectable = all(fired.rule != NOT_INSPECTABLE for fired in decision.fired)
        scores = decision.class_scores or image_scores(prediction, self.thresholds, self.task).classes
        seen = self._outlined(defective, prediction, known)
        counted = COUNTS[self.task](prediction, labelled, label, self.thresholds, self.classes)
        named, is_told = (
            true_label(defective, cls, known, label, self.classes),
            told(decision.score, scores, self.thresholds.image),
        )
        self.results.append(
            ImageResult(
                name=name,
                part=part,
                defective=defective,
                verdict=decision.verdict,
                score=decision.score,
                cls=is_told,
                true_cls=named,
                class_scores=tuple(scores[cls] for cls in self.classes),
                present=self._present(defective, cls, known, label),
                located=seen.located,
                pixels=seen.pixels,
                overlap=seen.overlap,
                boundary_f1=seen.boundary_f1,
                matches=counted.matches,
                box_matches=counted.box_matches,
                boxes=counted.boxes,
                compared=compare(self._seen(prediction, labelled, label, named, is_told, placement)),
                rejects=self._rejects(asked, decision.score, inspectable),
                defects=len(decision.defects),
                area_px=sum(defect.area_px for defect in decision.defects),
                ms=ms,
                error=label_fault,
                inspectable=inspectable,
            )
        )

    def add_error(self, name: str, part: str, defective: bool, error: str, *, ms: float | None = None) -> None:
        """Count an image that could not be judged. It is never OK."""
        self.results.append(ImageResult(name, part, defective, Verdict.ERROR, None, ms=ms, error=error))

    def metrics(self, split: str = "test", confidence: float = 0.95, costs: Costs = DEFAULT) -> Metrics:
        """The figures over everything added so far; `confidence` is that of the intervals, `costs` what errors cost."""
        judged = [result for result in self.results if result.score is not None]
        defective = sum(result.defective for result in judged)
        together, apart = box_precision([r.boxes for r in judged if r.boxes is not None], len(self.classes))
        return Metrics(
            task=self.task,
            split=split,
            images=Images(good=len(judged) - defective, defective=defective),
            errors=len(self.results) - len(judged),
            not_inspectable=_unlike(judged),
            threshold=self.thresholds.image,
            thresholds=self.thresholds,
            image=image_figures(judged, confidence),
            parts=part_figures(by_part(self.results), confidence),
            pixel=self._pixels.figures([r for r in judged if r.located]),
            detection=detection_figures(
                [m for r in judged for m in r.matches],
                [m for r in judged for m in r.box_matches],
                together,
                one_to_one=self._one_to_one,
            ),
            classification=self._classification(judged),
            per_class={cls: self._class_figures(k, judged, apart[k], confidence) for k, cls in enumerate(self.classes)},
            kinds=kinds(judged, self.pixel_size_mm),
            zones=zone_figures(judged, {name: zone.use for name, zone in self.rules.zones.items()}, confidence),
            detectability=detectability(judged, self.pixel_size_mm),
            calibration=calibration(judged, confidence),
            costs=cost_figures(what_if(self.results, self.thresholds), costs),
        )

    def _rejects(self, judged: Callable[..., Decision], score: float, inspectable: bool) -> RejectScores:
        """Up to which thresholds the image is rejected. Without rules the score says it: any defect is NG.

        An image that is not inspectable is OK at none.
        """
        if not inspectable:
            return replace(self._rejects(judged, score, True), not_ok=1.0)
        if not self.rules.rules and self.rules.default in (None, "NG"):
            return RejectScores(score, score)

        def ask(threshold: float) -> Verdict:
            other = self.thresholds.model_copy(update={"image": threshold, "review": None})
            return judged(thresholds=other).verdict

        return reject_scores(ask, score, self.thresholds.image, self.thresholds.review)

    def _seen(
        self, prediction: Prediction, labelled: Located | None, label: Boxes | None,
        named: str | None, is_told: str, placement: Placement | None,
    ) -> Seen:  # fmt: skip
        masks = {name: zone.mask(prediction.size, self._pixel, placement) for name, zone in self.rules.zones.items()}
        ignored = self.rules.zones_of("ignore")
        return Seen(
            prediction, self.thresholds, self.task, self.classes, labelled, label, named, is_told,
            zones={name: mask for name, mask in masks.items() if name not in ignored},
            ignored={name: mask for name, mask in masks.items() if name in ignored},
        )  # fmt: skip

    def _outlined(self, defective: bool, prediction: Prediction, truth: Truth | None) -> Outlined:
        """Nothing for a detector, whose maps only show where it looked."""
        if self.task == Task.DETECT:
            return Outlined()
        if not defective:
            self._pixels.add_good(prediction)
        return Outlined() if truth is None else self._pixels.add(prediction, truth)

    def _classification(self, judged: Sequence[ImageResult]) -> ClassificationFigures:
        if self.task != Task.CLASSIFY and len(self.classes) == 1:
            return ClassificationFigures()
        pairs = [(r.true_cls, r.cls) for r in judged if r.true_cls is not None and r.cls is not None]
        return classification_figures(pairs, self.classes)

    def _class_figures(
        self, index: int, judged: Sequence[ImageResult], boxes: BoxPrecision, confidence: float
    ) -> ClassFigures:
        cls = self.classes[index]
        versus = [r for r in judged if not r.defective or (r.present is not None and cls in r.present)]
        images = sum(r.defective for r in versus)
        escapes = sum(r.defective and r.verdict is Verdict.OK for r in versus)
        return ClassFigures(
            images=images,
            escapes=escapes,
            escape_rate=rate(escapes, images, confidence),
            false_rejects=sum(not r.defective and r.verdict is Verdict.NG and r.cls == cls for r in versus),
            average_precision=average_precision(
                np.array([r.defective for r in versus], bool),
                np.array([r.class_scores[index] for r in versus], np.float64),
            ),
            pixel=self._pixels.class_figures(index, [r for r in judged if r.located]),
            detection=detection_figures(
                [r.matches[index] for r in judged if r.matches],
                [r.box_matches[index] for r in judged if r.box_matches],
                boxes,
                one_to_one=self._one_to_one,
            ),
        )

    def _present(
        self, defective: bool, cls: str | None, truth: Truth | None, label: Boxes | None
    ) -> frozenset[str] | None:
        if not defective:
            return frozenset()
        if len(self.classes) == 1:
            return frozenset(self.classes)
        area = labelled_area(truth, label, len(self.classes))
        return frozenset(c for c, px in zip(self.classes, area, strict=True) if px or c == cls) or None

    def _checked(self, name: str, defective: bool, prediction: Prediction, truth: Truth | None) -> Truth | None:
        """The truth as planes, `None` where nobody knows which pixels are defective."""
        maps = prediction.maps
        if tuple(m.cls for m in maps) != self.classes:
            raise ValueError(f"{name}: maps of {[m.cls for m in maps]}; this evaluation is about {list(self.classes)}")
        shape = (len(maps), *maps[0].values.shape)
        if truth is None:
            return None if defective else np.zeros(shape, np.uint8)
        if truth.shape != shape or truth.dtype != np.uint8:
            raise ValueError(f"{name}: truth must be uint8 {shape} as the maps are; got {truth.dtype} {truth.shape}")
        if truth.any() and not defective:
            raise ValueError(f"{name}: is labelled good and its mask marks {int(truth.sum())} px as defective")
        return truth if truth.any() or not defective else None

    def _checked_boxes(self, name: str, defective: bool, boxes: Labelled | None) -> Boxes | None:
        """The labelled boxes, `None` where nobody knows of them."""
        if boxes is None:
            return None if defective else labelled((np.zeros((0, 4), np.float32), np.zeros(0, np.int64)))
        label = labelled(boxes)
        if len(label) and not defective:
            raise ValueError(f"{name}: is labelled good and has {len(label)} boxes around defects")
        if len(label) and not (label.classes.min() >= 0 and label.classes.max() < len(self.classes)):
            raise ValueError(f"{name}: boxes of classes {sorted(set(label.classes.tolist()))} of {len(self.classes)}")
        return label if len(label) or not defective else None


def _unlike(judged: Sequence[ImageResult]) -> Images:
    """Those that do not look like the images of the training."""
    defective = sum(r.defective for r in judged if not r.inspectable)
    return Images(good=sum(not r.inspectable for r in judged) - defective, defective=defective)

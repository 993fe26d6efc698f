"""Which diagrams a report has, each with its heading and the sentence that says how to read it."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onspec.evaluation import defect_plots, plots, risk_plots
from onspec.evaluation.detectability import Fit, fit
from onspec.evaluation.drawing import OverScores
from onspec.evaluation.least_cost import Costs
from onspec.evaluation.metrics import DetectabilityFigures, Metrics
from onspec.evaluation.pod_figures import hits
from onspec.evaluation.results import ImageResult
from onspec.evaluation.what_if import WhatIf, expected_costs
from onspec.evaluation.wording import number


@dataclass(frozen=True, slots=True)
class Diagram:
    """SVGs as data addresses, with a heading, a sentence and what it says to who cannot see it.

    Attributes:
        line: the name by which a script finds it, where another threshold can be marked on it.
        places: where each threshold of the table lies on it, as a share of its width.
    """

    title: str
    sentence: str
    sources: tuple[str, ...]
    wide: bool = False
    narrow: bool = False
    line: str = ""
    places: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """What diagrams are drawn of; `curves` are the lines of a run's curves.jsonl."""

    results: Sequence[ImageResult]
    metrics: Metrics
    table: WhatIf | None
    costs: Costs
    curves: Sequence[Mapping[str, Any]] = ()
    pixel_size_mm: float | None = None
    judged: list[ImageResult] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Keep the judged images apart."""
        self.judged.extend(r for r in self.results if r.score is not None)


def diagrams(drawn: Drawn) -> dict[str, Diagram]:
    """Name → diagram, of those that the data allow."""
    kinds = (_scores, _costs, _precision, _reliability, _kinds, _detectability, _curves)
    return {name: diagram for kind in kinds for name, diagram in kind(drawn)}


def address(data: bytes, kind: str) -> str:
    """The data as an address that a page can show."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _svg(data: bytes) -> tuple[str, ...]:
    return (address(data, "svg+xml"),)


def _over(name: str, title: str, sentence: str, drawing: OverScores, table: WhatIf | None) -> Diagram:
    places = () if table is None else tuple(drawing.at(threshold) for threshold in table.thresholds)
    return Diagram(title, sentence, _svg(drawing.svg), wide=True, line=name, places=places)


def _scores(drawn: Drawn) -> Iterator[tuple[str, Diagram]]:
    if not drawn.judged:
        return
    score, defective = _arrays(drawn)
    sentence = (
        "Each image's defect score. By score alone, good images right of the threshold are false rejects and "
        "defective images left of it escapes. The farther both groups keep from it, the more light, material or "
        "camera may change before either happens."
    )
    drawing = plots.score_histogram(score[~defective], score[defective], drawn.metrics.thresholds.image)
    yield "scores", _over("scores", "Scores", sentence, drawing, drawn.table)


def _arrays(drawn: Drawn) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.bool_]]]:
    scores = np.array([r.score for r in drawn.judged], np.float64)
    return scores, np.array([r.defective for r in drawn.judged], bool)


def _costs(drawn: Drawn) -> Iterator[tuple[str, Diagram]]:
    figures, table = drawn.metrics.costs, drawn.table
    reckoned = None if table is None else expected_costs(table.counted, drawn.costs)
    if figures is None or table is None or reckoned is None or figures.least_threshold is None:
        return
    of_escapes, of_rejects, share = reckoned
    given = "" if figures.share_given else " (as in these data; in production it is mostly far less)"
    cheapest = (
        "no other threshold would have cost less"
        if figures.at_threshold == figures.least
        else f"least would have been {figures.least:.3g}, at {figures.least_threshold:.4g}"
    )
    sentence = (
        f"With an escape costing {figures.escape_cost:g}, a false reject {figures.false_reject_cost:g} and "
        f"{100 * share:.3g} % of the parts defective{given}, a part costs {figures.at_threshold:.3g} on average at "
        f"the recipe's threshold; {cheapest}. If every part passed it would be {figures.all_ok:.3g}, "
        f"and {figures.all_ng:.3g} if every part were rejected. A review costs nothing here."
    )
    borders = np.array(table.borders, np.float64)
    drawing = risk_plots.cost_over_threshold(borders, of_escapes, of_rejects, drawn.metrics.thresholds.image, figures)
    yield "costs", _over("costs", "What errors cost", sentence, drawing, table)
    sentence = (
        "The cost curve of Drummond and Holte: how good this threshold and the best one are, whatever an escape costs "
        "(E), a false reject costs (F) and how many parts are defective (p). Where the lines part, another threshold "
        "would serve better."
    )
    curve = risk_plots.normalised_cost(table.counted, table.image, table.review, figures)
    yield "weights", Diagram("If costs were others", sentence, _svg(curve))


def _precision(drawn: Drawn) -> Iterator[tuple[str, Diagram]]:
    if not drawn.judged:
        return
    score, defective = _arrays(drawn)
    curve = plots.precision_recall_curve(defective, score, drawn.metrics.thresholds.image)
    if curve is not None:
        sentence = "What other thresholds would have given on these images; the area under the steps is the image AP."
        yield "precision", Diagram("Precision and recall", sentence, _svg(curve))


def _reliability(drawn: Drawn) -> Iterator[tuple[str, Diagram]]:
    figures = drawn.metrics.calibration
    if figures is None:
        return
    sentence = (
        "How many images of about a score are defective, with exact intervals. On the dashed line a score would be the "
        "probability of being defective, where as many parts are defective as here. The mean distance from it "
        f"(expected calibration error) is {number(figures.expected_calibration_error)}. Verdicts do not depend on it."
    )
    yield "reliability", Diagram("Are scores probabilities?", sentence, _svg(risk_plots.reliability(figures)))


def _kinds(drawn: Drawn) -> Iterator[tuple[str, Diagram]]:
    kinds = drawn.metrics.kinds
    if kinds:
        said = "; ".join(f"{k.kind}: {k.defects}, {k.found} found" for k in kinds[:12])
        yield (
            "kinds",
            Diagram(
                "Kinds of defects",
                f"{said}.",
                _svg(defect_plots.pareto(kinds)),
                wide=len(kinds) > 4,
                narrow=len(kinds) < 5,
            ),
        )


def _detectability(drawn: Drawn) -> Iterator[tuple[str, Diagram]]:
    figures = drawn.metrics.detectability
    sizes, found = hits(drawn.judged, drawn.pixel_size_mm)
    if figures is None or not sizes:
        return
    curve = fit(sizes, found)
    plot = defect_plots.detection_over_size(sizes, found, figures, curve if isinstance(curve, Fit) else None)
    title = "From which size on are defects found?"
    yield "detectability", Diagram(title, detectability_sentence(figures), _svg(plot), wide=True)


def detectability_sentence(figures: DetectabilityFigures) -> str:
    """What the curve says, or why there is none."""
    counted = (
        f"{figures.found} of {figures.defects} labelled defects were reported, of whatever class; size is the square "
        "root of the labelled area."
    )
    if figures.a90 is None or figures.a50 is None:
        return f"{counted} No curve: {figures.reason}."
    beyond = ""
    if figures.largest is not None and figures.a90 > figures.largest:
        beyond = f" No defect here is larger than {figures.largest:.3g} {figures.unit}, so that is extrapolated."
    bound = (
        f"{figures.reason}."
        if figures.a90_95 is None
        else f"with 95 % confidence 90 % are found from {figures.a90_95:.3g} {figures.unit} on (a90/95)."
    )
    return (
        f"{counted} Half are found at {figures.a50:.3g} {figures.unit} (a50) and 90 % at {figures.a90:.3g} "
        f"{figures.unit} (a90); {bound}{beyond} Probability of detection as in MIL-HDBK-1823A: hit/miss, logit "
        "over the logarithm of size, bound by the penalised likelihood ratio."
    )


def _curves(drawn: Drawn) -> Iterator[tuple[str, Diagram]]:
    if not drawn.curves:
        return
    sentence = (
        "How the loss fell and the figures rose while the network was trained. Validation images were not trained "
        "on; a gap that opens between training and validation means too few or too uniform training images."
    )
    sources = tuple(address(svg, "svg+xml") for svg in plots.learning_curves(drawn.curves))
    yield "curves", Diagram("Learning curves", sentence, sources)

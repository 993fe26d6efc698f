"""Golden samples: known images that must give their known results on this machine and engine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onspec.domain import Inspection, RecipeError, Verdict
from onspec.recipe.package import Expected, Golden
from onspec.runtime.inspector import Inspector


@dataclass(frozen=True, slots=True)
class GoldenOutcome:
    """What a golden sample gave now. `deviation` says what differs from its record; `None` when nothing does."""

    name: str
    expected: Expected | None
    inspection: Inspection
    deviation: str | None

    @property
    def ok(self) -> bool:
        """Whether the sample gave its known result."""
        return self.deviation is None


def run_golden(inspector: Inspector, golden: Sequence[Golden]) -> list[GoldenOutcome]:
    """Judge every golden sample and compare it with its record."""
    outcomes = []
    for sample in golden:
        inspection = inspector.inspect_bytes(sample.data, sample.name).inspection
        outcomes.append(
            GoldenOutcome(sample.name, sample.expected, inspection, _deviation(sample.expected, inspection))
        )
    return outcomes


def record_golden(inspector: Inspector, golden: Sequence[Golden]) -> tuple[Golden, ...]:
    """The golden samples with what they give now as their known results.

    One that is known and comes again within its tolerance keeps its record, so that packing a recipe anew, to sign it
    or on another machine, makes no other recipe of it.

    Raises:
        RecipeError: one of them cannot be judged.
    """
    recorded = []
    for sample, outcome in zip(golden, run_golden(inspector, golden), strict=True):
        got = outcome.inspection
        if got.verdict is Verdict.ERROR or got.score is None:
            raise RecipeError(f"golden sample {sample.name} cannot be judged: {got.error}")
        if sample.expected is not None and outcome.ok:
            recorded.append(sample)
            continue
        of_several = got.class_scores if len(got.class_scores) > 1 else {}  # of one class it is the score
        expected = Expected(verdict=got.verdict, score=got.score, class_scores=of_several)
        recorded.append(replace(sample, expected=expected))
    return tuple(recorded)


def _deviation(expected: Expected | None, got: Inspection) -> str | None:
    if got.verdict is Verdict.ERROR or got.score is None:
        return f"not judged: {got.error}"
    if expected is None:
        return None
    if got.verdict is not expected.verdict:
        return f"verdict {got.verdict}, expected {expected.verdict} (score {got.score:.4f}, was {expected.score:.4f})"
    if abs(got.score - expected.score) > expected.tolerance:
        return f"score {got.score:.6f}, expected {expected.score:.6f} ± {expected.tolerance:g}"
    for cls, known in expected.class_scores.items():
        now = got.class_scores.get(cls)
        if now is None or abs(now - known) > expected.tolerance:
            shown = "none" if now is None else f"{now:.6f}"
            return f"score {shown} for class {cls}, expected {known:.6f} ± {expected.tolerance:g}"
    return None

"""What happened where: counts for each zone that the rules name."""

from collections.abc import Mapping, Sequence

from onspec.domain import Verdict
from onspec.evaluation.defects import FalseReport, LabelledDefect, Outcome
from onspec.evaluation.figures import rate
from onspec.evaluation.metrics import ZoneFigures
from onspec.evaluation.results import ImageResult

ELSEWHERE = "elsewhere"
"""What touches no zone."""


def zone_figures(
    results: Sequence[ImageResult], uses: Mapping[str, str | None], confidence: float
) -> dict[str, ZoneFigures] | None:
    """Counts at the operating point of each zone and of what touches none; `None` without zones.

    A defect that touches two zones counts in both. Images of which it is not known where their defects are count
    nowhere here.

    Args:
        uses: zone → what it is for: ignore, forbid or nothing.
    """
    if not uses:
        return None
    known = [r for r in results if r.compared is not None and r.score is not None]
    figures = {name: _zone(name, use, known, confidence) for name, use in uses.items()}
    other = ELSEWHERE if ELSEWHERE not in figures else f"{ELSEWHERE} (no zone)"
    return figures | {other: _zone(None, None, known, confidence)}


def _zone(name: str | None, use: str | None, known: Sequence[ImageResult], confidence: float) -> ZoneFigures:
    def there(what: LabelledDefect | FalseReport) -> bool:
        return name in what.zones if name is not None else not what.zones

    defects = [(r, d) for r in known if r.compared for d in r.compared.defects if there(d)]
    images = {r.name: r for r, _ in defects}
    if use == "ignore":
        return ZoneFigures(
            use=use, defects=len(defects), defective=len(images), found=None, missed=None, escapes=None,
            escape_rate=None, false_reports=None, false_rejects=None,
        )  # fmt: skip
    reports = [(r, f) for r in known if r.compared for f in r.compared.false_reports if there(f)]
    escapes = sum(r.verdict is Verdict.OK for r in images.values())
    lost = (Outcome.MISSED, Outcome.OTHER_CLASS)
    return ZoneFigures(
        use=use,
        defects=len(defects),
        defective=len(images),
        found=sum(d.outcome is Outcome.FOUND for _, d in defects),
        missed=sum(d.outcome in lost for _, d in defects),
        escapes=escapes,
        escape_rate=rate(escapes, len(images), confidence),
        false_reports=len(reports),
        false_rejects=len({r.name for r, _ in reports if not r.defective and r.verdict is Verdict.NG}),
    )

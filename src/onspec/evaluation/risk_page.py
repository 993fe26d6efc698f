"""How a report words escapes, false rejects and their cost, at the recipe's threshold and at every other one."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onspec.evaluation.figures import rate
from onspec.evaluation.least_cost import Costs
from onspec.evaluation.metrics import ImageFigures, Metrics, Rate
from onspec.evaluation.results import ImageResult
from onspec.evaluation.what_if import Tally, WhatIf, expected_costs, least
from onspec.evaluation.wording import percent, ppm

RateTexts = tuple[str, str, str, str]
"""Share in % and its interval, share in ppm and its interval."""


@dataclass(frozen=True, slots=True)
class RateRow:
    """One line of the table of rates; `key` names what a script may put in its place."""

    key: str
    name: str
    count: int
    of: int
    texts: RateTexts


def rate_rows(metrics: Metrics) -> list[RateRow]:
    """Escapes and false rejects by image, and by part where parts have several images."""
    images, parts = metrics.images, metrics.parts
    rows = _rows("images", "", metrics.image, images.defective, images.good)
    if parts.good + parts.defective != images.good + images.defective:
        rows = _rows("images", ", images", metrics.image, images.defective, images.good)
        rows += _rows("parts", ", parts", parts, parts.defective, parts.good)
    return rows


def _rows(key: str, what: str, figures: ImageFigures, defective: int, good: int) -> list[RateRow]:
    return [
        RateRow(f"{key}-escapes", f"Escapes{what}", figures.escapes, defective, rate_texts(figures.escape_rate)),
        RateRow(
            f"{key}-rejects", f"False rejects{what}", figures.false_rejects, good, rate_texts(figures.false_reject_rate)
        ),
    ]


def rate_texts(share: Rate) -> RateTexts:
    """In words; `n/a` where there was nothing to count."""
    if share.value is None or share.low is None or share.high is None:
        return "n/a", "n/a", "n/a", "n/a"
    return (
        percent(share.value),
        f"{percent(share.low)} to {percent(share.high)}",
        ppm(share.value),
        f"{ppm(share.low)} to {ppm(share.high)}",
    )


@dataclass(frozen=True, slots=True)
class OtherThreshold:
    """A threshold worth knowing, and what it would have given."""

    name: str
    threshold: str
    escapes: str
    false_rejects: str
    cost: str


def other_thresholds(table: WhatIf, costs: Costs) -> list[OtherThreshold]:
    """The recipe's own, that of least cost, the highest without an escape, the lowest without a false reject."""
    counted, reckoned = table.counted, expected_costs(table.counted, costs)
    rows = []
    for name, step in _notable(table, counted, None if reckoned is None else reckoned[0] + reckoned[1]):
        review = table.review if step == table.image else step
        cost = "n/a" if reckoned is None else f"{reckoned[0][review] + reckoned[1][step]:.3g}"
        rows.append(
            OtherThreshold(
                name, threshold_text(table.thresholds[step]),
                _of(int(counted.escapes[review]), counted.defective),
                _of(int(counted.false_rejects[step]), counted.good), cost,
            )
        )  # fmt: skip
    return rows


def _notable(table: WhatIf, counted: Tally, total: np.ndarray | None) -> Iterable[tuple[str, int]]:
    yield "this recipe", table.image
    if total is not None:
        yield "least cost", least(total, table.image)
    if counted.defective and counted.escapes[0] == 0:
        yield "no escape", int(np.flatnonzero(counted.escapes == 0)[-1])
    if counted.good and counted.false_rejects[-1] == 0:
        yield "no false reject", int(np.flatnonzero(counted.false_rejects == 0)[0])


def _of(count: int, of: int) -> str:
    return f"{count} of {of} ({percent(count / of)})" if of else "n/a"


def threshold_text(threshold: float) -> str:
    """Four digits; what is not 1 never reads as 1."""
    digits = next((d for d in range(4, 17) if float(f"{threshold:.{d}g}") < 1), 17)
    return f"{threshold:.{digits}g}" if threshold < 1 else f"{threshold:g}"


def slider_data(
    table: WhatIf,
    results: Sequence[ImageResult],
    costs: Costs,
    confidence: float,
    places: Mapping[str, Sequence[float]],
) -> str:
    """What the page's script looks up, as JSON that is safe within a script element.

    Args:
        places: diagram → where each threshold lies on it, as a share of its width.
    """
    reckoned = expected_costs(table.counted, costs)
    tallies = {"images": table.images} | ({} if table.parts is None else {"parts": table.parts})
    return _safe(
        {
            "thresholds": [threshold_text(t) for t in table.thresholds],
            "image": table.image,
            "review": table.review,
            "counts": {name: _tally(counts, confidence) for name, counts in tallies.items()},
            "costs": None if reckoned is None else [[float(f"{c:.6g}") for c in kind] for kind in reckoned[:2]],
            "places": {name: [round(100 * share, 2) for share in shares] for name, shares in places.items()},
            "names": [[r.name, int(r.defective), *sides(r, table)] for r in results if r.rejects is not None],
        }
    )


def sides(result: ImageResult, table: WhatIf) -> tuple[int, int]:
    """The last step at which the image is NG, and the last at which it is not OK; -1 for none."""
    if result.rejects is None:
        return -1, -1
    ng, not_ok = (np.searchsorted(table.thresholds, s, "right") for s in (result.rejects.ng, result.rejects.not_ok))
    return int(ng) - 1, int(not_ok) - 1


def _tally(counts: Tally, confidence: float) -> dict[str, object]:
    return {
        "good": counts.good,
        "defective": counts.defective,
        "escapes": counts.escapes.tolist(),
        "passed": counts.passed.tolist(),
        "caught": counts.caught.tolist(),
        "rejects": counts.false_rejects.tolist(),
        "escapeRates": _texts(counts.escapes.tolist(), counts.defective, confidence),
        "rejectRates": _texts(counts.false_rejects.tolist(), counts.good, confidence),
    }


def _texts(counts: Iterable[int], of: int, confidence: float) -> dict[int, RateTexts]:
    return {count: rate_texts(rate(count, of, confidence)) for count in sorted(set(counts))}


def _safe(value: object) -> str:
    """No character that could end the script element or begin another."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")

"""What a check counted, in rows of words, for the table and for the page."""

from onspec.datasets.checking import CheckReport, ClassReport
from onspec.domain import DEFECT


def rows(report: CheckReport) -> list[tuple[str, str]]:
    """Name and value; a row without a name goes on with the one before."""
    labels = report.labels
    kinds = [f"{n} × {name}" for name, n in labels.encodings.items()]
    counted = {"ellipses": labels.ellipses, "boxes": labels.boxes, "polygons": labels.polygons}
    kinds += [f"{n} {name}" for name, n in {**counted, "masks as run lengths": labels.runs}.items() if n]
    kinds += ["inverted: 0 is the defect"] if labels.inverted else []
    kinds += [f"{labels.unlocated} defective images without a location"] if labels.unlocated else []
    found = [
        ("layout", report.layout),
        ("images", f"{report.images['good']} good, {report.images['defective']} defective"),
        ("parts", f"{report.parts['all']}, {report.parts['defective']} of them defective; {report.parts_rule}"),
    ]
    found += [(split, f"{n['good']} good, {n['defective']} defective") for split, n in report.splits.items()]
    found += [
        ("sizes", _sizes(report.sizes)),
        ("pixels", f"{_several(report.channels)}; {_several(report.dtypes)}"),
        ("labels", ", ".join(kinds) or "none"),
    ]
    if labels.share_median is not None and labels.share_min is not None and labels.share_max is not None:
        low, high, middle = (
            f"{100 * share:.2g}" for share in (labels.share_min, labels.share_max, labels.share_median)
        )
        spread = f"{low} … {high} % of the image, median {middle} %"
        found.append(("defects", f"{labels.defects}; marked area {spread}"))
    if report.classes.keys() - {DEFECT}:
        found += [("classes" if n == 0 else "", _class(*item)) for n, item in enumerate(report.classes.items())]
    if report.escapes.best is not None:
        found.append(("escapes", escapes(report)))
    return found


def escapes(report: CheckReport) -> str:
    """What the parts held out can show at best."""
    test, known = report.escapes, report.escapes.best
    if known is None:
        return "nothing can be said: no defective part is held out"
    return (
        f"a rate under {100 * known:.{1 if known < 0.1 else 0}f} % is the best that a test of "
        f"{number(test.held_out, 'defective part')} can show ({test.confidence * 100:g} % confidence)"
    )


def number(count: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _class(name: str, found: ClassReport) -> str:
    marked = f"{number(found.defects, 'defect')} in " if found.defects else ""
    return f"{name}: {marked}{number(found.images, 'image')}"


def _sizes(counts: dict[str, int]) -> str:
    if len(counts) <= 4:
        return _several(counts)
    sides = [[int(side) for side in size.split("×")] for size in counts]
    (w_min, h_min), (w_max, h_max) = map(min, zip(*sides, strict=True)), map(max, zip(*sides, strict=True))
    return f"{len(counts)} different: {w_min} … {w_max} px wide, {h_min} … {h_max} px high"


def _several(counts: dict[str, int]) -> str:
    shown = [f"{n} × {name}" for name, n in list(counts.items())[:4]]
    return ", ".join(shown) + (f" and {len(counts) - 4} more" if len(counts) > 4 else "")

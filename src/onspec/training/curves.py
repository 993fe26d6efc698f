"""Learning curves: one JSON line a measurement while a run goes on, and a picture of them."""

import json
from pathlib import Path
from typing import Any

from onspec.domain import MissingExtraError

FILE = "curves.jsonl"
PICTURES = ("curves.png", "curves.svg")

_LABELS = {
    "dice_train": "training Dice",
    "recall_train": "training recall",
    "accuracy_train": "training accuracy",
    "val_dice": "validation Dice",
    "val_ap": "validation AP",
    "val_map_50": "validation AP50",
    "val_map_50_95": "validation AP50:95",
    "val_accuracy": "validation accuracy",
}
"""Figure in the rows → its name in the picture."""


def append(run: Path, row: dict[str, Any]) -> None:
    """Add one line; whoever watches the file sees whole lines only."""
    with (run / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read(run: Path) -> list[dict[str, Any]]:
    """All rows so far; a last line that a kill cut off is left out."""
    path = run / FILE
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text("utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def rewind(run: Path, step: int) -> None:
    """Drop what was written after `step`: a resumed run measures it again."""
    kept = [row for row in read(run) if row["step"] <= step]
    aside = run / f".{FILE}.part"
    aside.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
    aside.replace(run / FILE)


def draw(run: Path) -> None:
    """Loss and figures over the steps as PNG and SVG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("Drawing learning curves", "train") from None
    rows = read(run)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, names in (
        (left, {"loss": "training loss"}),
        (right, _LABELS),
    ):
        for name, label in names.items():
            points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
            if points:
                marker = "o" if name.startswith("val") else None
                axes.plot(*zip(*points, strict=True), label=label, marker=marker, markersize=3, linewidth=1.4)
        axes.set_xlabel("step")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False)
    right.set_ylim(0, 1.02)
    left.set_ylim(bottom=0)
    for name in PICTURES:
        aside = run / f".part.{name}"
        figure.savefig(aside, dpi=130, metadata={"Date": None} if name.endswith("svg") else None)
        aside.replace(run / name)

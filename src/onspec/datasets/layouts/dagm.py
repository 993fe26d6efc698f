"""DAGM 2007, as it is officially distributed and in its older form.

Official: `ClassN/{Train,Test}/NNNN.PNG`, `Label/NNNN_label.PNG` for defective images only, and `Label/Labels.txt`
(first line `1`; then tab separated number, defective 0/1, image, 0, label file). Older: `ClassN/` good images,
`ClassN_def/` defective ones with `labels.txt`: tab separated number, semi-major axis, semi-minor axis, rotation
(radians, from x towards the downward y), centre x, centre y. The root may be one class or hold several.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from onspec.datasets.folder_names import SPLIT_FOLDERS
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.problem import Problem
from onspec.datasets.tree import Tree
from onspec.domain import Ellipse, LabelError, MaskFile, Sample


def score(tree: Tree) -> float:
    """Certain where Labels.txt or labels.txt stands where DAGM has it; probable where only label images do."""
    if any(_is_official_list(p) or _is_ellipse_list(p, tree.root) for p in tree.others):
        return 1.0
    return 0.8 if any(_is_official_label(p) for p in tree.images) else 0.0


def read(tree: Tree) -> Reading:
    """Both forms, also side by side.

    Raises:
        LabelError: a label list that cannot be parsed, with file and line.
    """
    samples: dict[str, Sample] = {}
    problems: list[Problem] = []
    for folder in _official_folders(tree):
        _read_official(tree, folder, samples, problems)
    for folder in sorted({p.parent for p in tree.others if _is_ellipse_list(p, tree.root)}):
        _read_older(tree, folder, samples, problems)
    return Reading(tuple(samples.values()), tuple(problems))


DAGM = Layout(
    "dagm", "ClassN/{Train,Test}/NNNN.PNG with Label/, or ClassN/ and ClassN_def/ with labels.txt", score, read
)


def _is_official_list(path: PurePosixPath) -> bool:
    folders = path.parts[:-1]
    return path.name.lower() == "labels.txt" and len(folders) >= 2 and _is_label_folder(folders)


def _is_official_label(path: PurePosixPath) -> bool:
    return path.stem.lower().endswith("_label") and _is_label_folder(path.parts[:-1])


def _is_label_folder(folders: tuple[str, ...]) -> bool:
    return len(folders) >= 2 and folders[-1].lower() == "label" and folders[-2].lower() in SPLIT_FOLDERS


def _is_ellipse_list(path: PurePosixPath, root: Path) -> bool:
    folder = path.parent.name or root.resolve().name
    return path.name.lower() == "labels.txt" and folder.lower().endswith("_def")


def _official_folders(tree: Tree) -> list[PurePosixPath]:
    """Folders ClassN/Train, ClassN/Test, with or without a label (a split may hold good parts only)."""
    labelled = {p.parent.parent for p in (*tree.images, *tree.others) if _is_label_folder(p.parts[:-1])}
    classes = {folder.parent for folder in labelled}
    beside = {p.parent for p in tree.images if p.parent.name.lower() in SPLIT_FOLDERS and p.parent.parent in classes}
    return sorted(labelled | beside)


def _read_official(tree: Tree, folder: PurePosixPath, samples: dict[str, Sample], problems: list[Problem]) -> None:
    images = {p.name.lower(): p for p in tree.images if p.parent == folder}
    labels = {p.name.lower(): p for p in tree.images if p.parent.parent == folder and p.parent.name.lower() == "label"}
    lists = [p for p in tree.others if _is_official_list(p) and p.parent.parent == folder]
    rows = list(_official_rows(tree.path(lists[0]))) if lists else []
    listed = {name.lower(): (name, label) for name, label in rows}
    by_stem = {p.stem.lower(): p for p in labels.values()}
    split = SPLIT_FOLDERS[folder.name.lower()]
    for key in sorted(images.keys() | listed.keys()):
        image = images[key] if key in images else folder / listed[key][0]
        row = listed[key][1] if key in listed else None
        found = by_stem.get(f"{image.stem.lower()}_label")
        label = labels.get(row.lower(), folder / "Label" / row) if row else found
        if lists and (row is None or (not row and label is not None)):
            problems.append(_contradiction(image, lists[0], listed=row is not None))
        samples[str(image)] = Sample(
            name=str(image),
            image=tree.path(image),
            part=str(image),
            defective=label is not None,
            annotations=(MaskFile(tree.path(label)),) if label is not None else (),
            split=split,
        )


def _official_rows(path: Path) -> Iterator[tuple[str, str]]:
    """(image file, label file or "") for every row after the first."""
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        fields = [field.strip() for field in line.split("\t")]
        if number == 1 or not line.strip():
            continue
        if len(fields) < 3 or fields[1] not in ("0", "1") or not fields[2]:
            raise LabelError(
                f"{path}, line {number}: got {line!r}; expected tab separated number, 0 or 1, image, 0, label file"
            )
        named = fields[4] if len(fields) > 4 else ""
        label = named if named not in ("", "0") else f"{Path(fields[2]).stem}_label{Path(fields[2]).suffix}"
        yield fields[2], label if fields[1] == "1" else ""


def _contradiction(image: PurePosixPath, list_file: PurePosixPath, *, listed: bool) -> Problem:
    what = "is listed as free of defects and has a label image" if listed else "is not listed"
    return Problem(
        severity="error" if listed else "warning",
        code="label-list",
        file=str(image),
        message=f"{image} {what} in {list_file}; its truth is taken from the label image",
        suggestion=f"correct {list_file}, or remove the label image",
    )


def _read_older(tree: Tree, folder: PurePosixPath, samples: dict[str, Sample], problems: list[Problem]) -> None:
    """ClassN_def with its ellipses, and the good images of ClassN beside it."""
    list_file = next(p for p in tree.others if p.parent == folder and p.name.lower() == "labels.txt")
    ellipses: defaultdict[int, list[Ellipse]] = defaultdict(list)
    for number, ellipse in _ellipse_rows(tree.path(list_file)):
        ellipses[number].append(ellipse)
    images = {int(p.stem): p for p in tree.images if p.parent == folder and p.stem.isdigit()}
    suffix = next(iter(images.values())).suffix if images else ".png"
    for number in sorted(images.keys() | ellipses.keys()):
        image = images.get(number, folder / f"{number}{suffix}")
        if number not in ellipses:
            problems.append(_without_ellipse(image, list_file))
        samples[str(image)] = Sample(
            str(image), tree.path(image), str(image), defective=True, annotations=tuple(ellipses.get(number, ()))
        )
    good = folder.with_name(folder.name[: -len("_def")]) if folder.name else None
    for image in (p for p in tree.images if p.parent == good):
        samples[str(image)] = Sample(str(image), tree.path(image), str(image), defective=False)


def _ellipse_rows(path: Path) -> Iterator[tuple[int, Ellipse]]:
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            index, (a, b, angle, x, y) = int(fields[0]), (float(f) for f in fields[1:6])
            yield index, Ellipse(x, y, a, b, math.degrees(angle))
        except ValueError as error:
            raise LabelError(
                f"{path}, line {number}: got {line!r}; expected number, semi-major and semi-minor axis (px, over 0), "
                "rotation (radians), centre x, centre y"
            ) from error


def _without_ellipse(image: PurePosixPath, list_file: PurePosixPath) -> Problem:
    return Problem(
        severity="warning",
        code="unlocated",
        file=str(image),
        message=f"{image} is defective, but {list_file} has no ellipse for it",
        suggestion="add its ellipse; until then it only teaches that something is there, and its verdict alone counts",
    )

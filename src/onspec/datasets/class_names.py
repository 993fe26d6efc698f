"""The names of classes that labels give by number, from a file beside the data."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from onspec.datasets.folder_names import folder_truth
from onspec.datasets.tree import Tree
from onspec.domain import LabelError
from onspec.imaging.reading import is_image

FILES = ("classes.txt", "labels.txt", "class_names.txt", "classes.json")
"""Files that name classes, in any case and folder; the one nearest to the set's folder is read."""

BACKGROUND = {"background", "_background_", "bg", "ground", "none"}
"""Names, lower case, for no defect at all; so are the names of good parts (`good`, `ok` …)."""

_IGNORED = "__ignore__"
"""What labelme calls its class -1."""

_NUMBERED = re.compile(r"(\d+)\s*[:;,=\s]\s*(\S.*)")


def name_classes(tree: Tree, codes: Iterable[int]) -> dict[int, str]:
    """A name for every code: from the set's file, else `class1`, `class2` …

    Raises:
        LabelError: a file that cannot be read, or names some of the codes only.
    """
    file = names_file(tree)
    if file is None:
        return {code: f"class{code}" for code in codes}
    named = read_names(tree.path(file))
    missing = sorted(set(codes) - named.keys())
    if missing:
        known = ", ".join(f"{code} {name}" for code, name in sorted(named.items()))
        raise LabelError(
            f"{tree.path(file)}: no name for class {missing[0]}, which labels hold; it names {known}; add a line for it"
        )
    return {code: named[code] for code in codes}


def names_file(tree: Tree) -> PurePosixPath | None:
    """The file that names the set's classes; a list of images under such a name is none."""
    found = [p for p in tree.others if p.name.lower() in FILES and not _lists_images(tree.path(p))]
    return min(found, key=lambda p: (len(p.parts), FILES.index(p.name.lower()), p), default=None)


def read_names(path: Path) -> dict[int, str]:
    """Code → name, background left out.

    `classes.txt` and the like: a name a line, or a code and a name a line. A first line that names the background is
    code 0; without one the first line is code 1. `classes.json`: a list as such lines, code → name, or name → code.

    Raises:
        LabelError: it cannot be read as such a file, or names nothing.
    """
    text = _text(path)
    if path.suffix.lower() == ".json":
        named = _from_json(path, text)
    else:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        numbered = [_NUMBERED.fullmatch(line) for line in lines]
        named = {int(m[1]): m[2] for m in numbered if m} if all(numbered) else _in_order(lines)
    named = {code: name for code, name in named.items() if not _is_background(name)}
    if not named:
        raise LabelError(f"{path}: names no class; expected a name a line, the first one for code 1 or the background")
    return named


def _in_order(names: Sequence[str]) -> dict[int, str]:
    names = [name for name in names if name != _IGNORED]
    first = 0 if names and _is_background(names[0]) else 1
    return dict(enumerate(names, first))


def _from_json(path: Path, text: str) -> dict[int, str]:
    try:
        found = json.loads(text)
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            return _in_order(found)
        if all(isinstance(name, str) for name in found.values()):
            return {int(code): name for code, name in found.items()}
        return {int(code): name for name, code in found.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise LabelError(
            f'{path}: no class names ({error}); expected ["crack", "dent"], {{"1": "crack"}} or {{"crack": 1}}'
        ) from error


def _is_background(name: str) -> bool:
    return name.lower() in BACKGROUND or folder_truth(name) is False


def _lists_images(path: Path) -> bool:
    return any(is_image(Path(word)) for word in _text(path).split())


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"{path}: class names cannot be read ({error}); save them as UTF-8 text") from error

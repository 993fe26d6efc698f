"""What stands beside YOLO's labels: the names of classes, and which images belong to which split."""

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from onspec.datasets.draft import Draft, Drafts
from onspec.datasets.folder_names import SPLIT_FOLDERS, split_of
from onspec.datasets.image_index import ImageIndex, tidy
from onspec.datasets.problem import Problem
from onspec.datasets.text_file import lines_of, read_text
from onspec.datasets.tree import Tree
from onspec.domain import LabelError, Sample, Split

_NAMES = ("classes.txt", "obj.names", "classes.names", "predefined_classes.txt")
"""Files of a name a line, the first for class 0, in any case and folder."""

_SPLITS = ("train", "val", "test")
"""Fields of data.yaml that name images."""


@dataclass(frozen=True)
class YoloConfig:
    """Names and splits as files beside the labels tell them.

    Attributes:
        names: class → name; empty where no file names them.
        file: the file that names them.
        folders: folder of images → the split that data.yaml calls it.
        lists: list of images → the split that data.yaml calls it.
    """

    names: dict[int, str]
    file: PurePosixPath | None = None
    folders: dict[PurePosixPath, Split] = field(default_factory=dict)
    lists: dict[PurePosixPath, Split] = field(default_factory=dict)

    def name(self, code: float, where: str) -> str:
        """The name of a class.

        Raises:
            LabelError: no whole number from 0, or a class without a name.
        """
        if code < 0 or code % 1:
            raise LabelError(f"{where}: class is {code:g}; it must be a whole number from 0")
        if not self.names:
            return f"class{code:.0f}"
        if int(code) not in self.names:
            known = ", ".join(f"{number} {name}" for number, name in sorted(self.names.items())[:20])
            raise LabelError(f"{where}: class {code:.0f} has no name in {self.file}; it names {known}")
        return self.names[int(code)]

    def sample(self, tree: Tree, image: PurePosixPath, draft: Draft) -> Sample:
        """The sample, its split by its folders' names, else by what data.yaml calls its folder."""
        told = next((self.folders[folder] for folder in image.parents if folder in self.folders), None)
        return draft.sample(tree, image, split_of(image.parts[:-1]) or told)


def is_names(file: PurePosixPath) -> bool:
    """Whether a text file names classes, so that it is no image's label."""
    return file.name.lower() in _NAMES


def read_config(tree: Tree) -> YoloConfig:
    """Names from the YAML file nearest to the set's folder, else from a list of names.

    Raises:
        LabelError: a file that cannot be read, lists of names that differ, or labels of key points.
    """
    for file in sorted((f for f in tree.others if f.suffix.lower() in (".yaml", ".yml")), key=_depth):
        content = _read_yaml(tree, file)
        if content is not None:
            places = _places(content, file)
            lists = {p: split for p, split in places.items() if p.suffix.lower() == ".txt"}
            return YoloConfig(_names_in(content["names"], tree, file), file, places, lists)
    files = sorted((f for f in tree.others if f.name.lower() in _NAMES), key=_depth)
    named = [dict(enumerate(line for _, line in lines_of(tree.path(file)))) for file in files]
    for file, names in zip(files, named, strict=True):
        if names != named[0]:
            raise LabelError(f"{tree.path(file)}: names other classes than {files[0]}; keep one list for the whole set")
    return YoloConfig(named[0], files[0]) if files else YoloConfig({})


def read_lists(tree: Tree, config: YoloConfig, index: ImageIndex, drafts: Drafts) -> list[Problem]:
    """Put images in the splits of `train.txt`, `val.txt`, `test.txt` and of the lists that data.yaml names; a listed
    image that is absent is a problem.

    Raises:
        SplitError: an image on the lists of two splits.
    """
    problems = []
    beside = {(image.parent, image.stem) for image in tree.images}
    for file in tree.others:
        split = config.lists.get(file) or (None if (file.parent, file.stem) in beside else _split_of(file))
        for number, line in lines_of(tree.path(file)) if split is not None else ():
            image = index.find(line, file)
            if image is None:
                problems.append(_absent(file, number, line))
            else:
                drafts[image].put_in(split, file, image)
    return problems


def _split_of(file: PurePosixPath) -> Split | None:
    """By the list's own name; lists stand above the labels, not among them."""
    among = any(folder.lower() in ("labels", "label") for folder in file.parts[:-1])
    return None if among or file.suffix.lower() != ".txt" else SPLIT_FOLDERS.get(file.stem.lower())


def _depth(file: PurePosixPath) -> tuple[int, bool, PurePosixPath]:
    return len(file.parts), file.stem.lower() not in ("data", "dataset"), file


def _read_yaml(tree: Tree, file: PurePosixPath) -> dict[str, Any] | None:
    """A YAML file with `names`; `None` for any other."""
    text = read_text(tree.path(file))
    if not re.search(r"^\s*['\"]?names['\"]?\s*:", text, re.MULTILINE):
        return None
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        why = getattr(error, "problem", None) or "it cannot be parsed"
        raise LabelError(f"{tree.path(file)}{line}: not valid YAML ({why}); correct it") from error
    if not isinstance(content, dict) or "names" not in content:
        return None
    if "kpt_shape" in content:
        raise LabelError(f"{tree.path(file)}: labels are key points, which enclose no defect; export boxes or polygons")
    return content


def _names_in(names: object, tree: Tree, file: PurePosixPath) -> dict[int, str]:
    pairs = (
        list(enumerate(names)) if isinstance(names, list) else list(names.items()) if isinstance(names, dict) else []
    )
    try:
        found = {int(code): str(name).strip() for code, name in pairs if name is not None}
    except (TypeError, ValueError):
        found = {}
    if not found or not all(found.values()):
        raise LabelError(f"{tree.path(file)}: names must be a list, or class number: name; got {str(names)[:60]!r}")
    return found


def _places(content: dict[str, Any], file: PurePosixPath) -> dict[PurePosixPath, Split]:
    """What `train`, `val` and `test` name, if that differs. `train` alone, or the same as `val`, says nothing."""
    base = content.get("path")
    roots = {file.parent, file.parent / tidy(base)} if isinstance(base, str) else {file.parent}
    found: dict[PurePosixPath, Split] = {}
    for key in _SPLITS:
        values = content.get(key) if isinstance(content.get(key), list) else [content.get(key)]
        for place in (root / tidy(v) for v in values or () if isinstance(v, str) for root in roots):
            if found.setdefault(place, SPLIT_FOLDERS[key]) is not SPLIT_FOLDERS[key]:
                return {}
    return found if len(set(found.values())) > 1 else {}


def _absent(file: PurePosixPath, number: int, line: str) -> Problem:
    return Problem(
        severity="error",
        code="missing",
        file=str(file),
        message=f"{file}, line {number}: {line!r} is listed, but there is no such image",
        suggestion="restore the file, or its line in the list",
    )

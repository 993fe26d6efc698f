"""All label images of a set: what is decided over the set, not for each file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onspec.datasets.class_names import name_classes
from onspec.datasets.mask_facts import MaskFacts, are_inverted, class_codes, survey_masks
from onspec.datasets.numbered import numbers_objects
from onspec.datasets.problem import Problem
from onspec.datasets.tree import Tree
from onspec.domain import DEFECT, LabelError, MaskFile


@dataclass(frozen=True)
class MaskSet:
    """Label images that were read once.

    Attributes:
        facts: per file; a sentence for one that cannot be read.
        inverted: the set draws its background bright; `numbered`: each value but 0 is the number of an object.
        names: class names by code, where the masks hold several classes; else empty.
        problems: what the set's encoding says against it.
    """

    facts: Mapping[Path, MaskFacts | str]
    inverted: bool
    names: Mapping[int, str]
    problems: tuple[Problem, ...] = ()
    numbered: bool = False

    def marks(self, path: Path) -> bool:
        """Whether a mask marks anything. One that cannot be read counts: its error must surface, not pass for good."""
        facts = self.facts[path]
        if isinstance(facts, str):
            return True
        if self.numbered:
            return bool(facts.highest)
        return facts.share < 1.0 if self.inverted else facts.share > 0.0

    def labels(self, path: Path, cls: str) -> tuple[MaskFile, ...]:
        """The label image as annotations: one of class `cls`, or one for each class that its codes name."""
        if not self.names:
            return (MaskFile(path, cls, self.inverted, numbered=self.numbered),)
        facts = self.facts[path]
        held = facts.codes if isinstance(facts, MaskFacts) else tuple(self.names)[:1]
        return tuple(MaskFile(path, self.names[code], code=code) for code in held or ())

    def unlocated(self, cls: str) -> str:
        """The class of a defective image without a mark in it: `cls` if the set knows it."""
        return cls if not self.names or cls in self.names.values() else DEFECT


def survey(tree: Tree, paths: Sequence[Path]) -> MaskSet:
    """Read every mask; over all of them tell whether they are inverted, number objects, or hold codes of classes.

    Raises:
        LabelError: several classes, and a file that does not name all of them.
    """
    facts = survey_masks(paths)
    read_well = {path: f for path, f in facts.items() if isinstance(f, MaskFacts)}
    if _numbered(tree, read_well):
        return MaskSet(facts, inverted=False, names={}, numbered=True)
    codes = class_codes(list(read_well.values()))
    if codes:
        return MaskSet(facts, inverted=False, names=name_classes(tree, codes))
    problems = (*_merged(tree, read_well), *_cut_off(tree, read_well))
    dark = are_inverted(list(read_well.values())) if tree.marked in (None, "codes") else tree.marked == "dark"
    return MaskSet(facts, dark, {}, problems)


def _numbered(tree: Tree, facts: Mapping[Path, MaskFacts]) -> bool:
    """As the user said; without a word, by the look of all masks.

    Raises:
        LabelError: it was said of a mask whose values are no numbers.
    """
    if tree.marked is None:
        return numbers_objects([(f.objects, f.highest) for f in facts.values() if f.share or f.highest])
    if tree.marked != "numbers":
        return False
    picture = next((path for path, f in facts.items() if f.highest is None), None)
    if picture is not None:
        raise LabelError(
            f"{picture.relative_to(tree.root)} cannot number objects: it is a JPEG, has soft edges or a "
            "transparent ground; export it as PNG or TIFF of gray values 0, 1, 2 …, or of a colour an object on black, "
            "or leave --marked numbers out, from training on"
        )
    return True


def _merged(tree: Tree, facts: Mapping[Path, MaskFacts]) -> list[Problem]:
    """Say it where several classes seem to be drawn, but are read as one."""
    colours = {colour for f in facts.values() for colour in f.colours}
    codes = {code for f in facts.values() for code in f.codes or ()}
    other = next((path for path, f in facts.items() if f.codes is None), None)
    if len(colours) > 1:
        what = f"masks draw {len(colours)} colours"
    elif len(codes) > 1 and other is not None:
        what = f"masks hold class codes {_listed(codes)}, but {other.relative_to(tree.root)} holds other values"
    else:
        return []
    return [
        Problem(
            severity="warning",
            code="classes-merged",
            message=f"{what}; all of them are read as one defect class",
            suggestion="export every mask as PNG of gray values 0, 1, 2 …, one a class, to tell classes apart; say "
            "--marked numbers if each region of a colour is an object",
        )
    ]


def _cut_off(tree: Tree, facts: Mapping[Path, MaskFacts]) -> list[Problem]:
    """Say it where class codes are lost, since a mask holds 255, too (for a border, or for what nobody labelled)."""
    mixed = [path for path, f in facts.items() if f.mixed]
    if not mixed:
        return []
    first, values = mixed[0].relative_to(tree.root), _listed(set(facts[mixed[0]].mixed))
    return [
        Problem(
            severity="warning",
            code="mask-values",
            file=str(first),
            message=f"{len(mixed)} masks hold class codes beside 255, and only 255 is read as a defect; "
            f"the first is {first} with {values}",
            suggestion="export the masks with class codes alone, 0 for what is no defect",
        )
    ]


def _listed(codes: set[int]) -> str:
    return ", ".join(map(str, sorted(codes)))

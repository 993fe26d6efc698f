"""Images with label images: `images/` + `masks/`, both in one folder, or good and defect folders as MVTec AD has.

What a part is:
- in a folder whose name says good (`good`, `ok`, `MT_Free` …) it is good, whatever its mask holds;
- in a set with such a folder, or with `ground_truth/`, every other folder holds defective parts, located where the
  mask marks something;
- in a set without, a mask that marks something makes the part defective; none, or an empty one, makes it good.

Masks of codes 0, 1, 2 … tell the classes of defects, else the folders do.
"""

from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath

from onspec.datasets.folder_names import folder_truth
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.mask_set import MaskSet, survey
from onspec.datasets.pairing import Located, Pairs, pair
from onspec.datasets.problem import Problem
from onspec.datasets.tree import Tree
from onspec.domain import DEFECT, LayoutError, Sample


def score(tree: Tree) -> float:
    """By the share of label images that have an image; certain never, since any set with labels looks like this."""
    pairs = pair(tree.images)
    labels = sum(len(masks) for masks in pairs.masks.values())
    return 0.5 * labels / (labels + len(pairs.orphans)) if labels else 0.0


def read(tree: Tree) -> Reading:
    """Pair, read every mask, decide over the whole set how masks are meant, and tell good from defective.

    Raises:
        LayoutError: no label image belongs to any image.
        LabelError: a file of class names that does not fit the masks.
    """
    pairs = pair(tree.images)
    if not pairs.masks:
        raise LayoutError(f"{tree.root}: no mask belongs to any image; expected {MASKS.shape}")
    masks = survey(tree, [tree.path(mask) for found in pairs.masks.values() for mask in found])
    judge = _Judge(tree, pairs, masks, _names_truth(pairs))
    problems: list[Problem] = [*masks.problems, *_pairing_problems(pairs)]
    samples = [judge.sample(image, problems) for image in pairs.images]
    return Reading(tuple(samples), tuple(problems), masks.inverted)


MASKS = Layout(
    "masks",
    "images/ with masks/, image and mask of one stem in one folder, or good/ and defect folders with ground_truth/",
    score,
    read,
)


def _names_truth(pairs: Pairs) -> bool:
    """Whether the set's folders say what is good, so that its other folders are defective."""
    in_truth_folder = any("truth" in part.lower() for m in pairs.masks.values() for p in m for part in p.parts[:-1])
    named = [image.kinds[-1] for image in pairs.images if image.kinds]
    return (in_truth_folder and bool(named)) or any(folder_truth(kind) is False for kind in named)


@dataclass(frozen=True)
class _Judge:
    tree: Tree
    pairs: Pairs
    masks: MaskSet
    names_truth: bool

    def sample(self, image: Located, problems: list[Problem]) -> Sample:
        masks = self.pairs.masks.get(image.path, [])
        marking = [path for path in map(self.tree.path, masks) if self.masks.marks(path)]
        named = self._named(image)
        defective = bool(marking) if named is None else named
        kind = image.kinds[-1] if named and folder_truth(image.kinds[-1]) is None else DEFECT
        if named is False and marking:
            problems.append(_marked_good(image.path, marking[0].relative_to(self.tree.root)))
        if named and not marking:
            problems.append(_unlocated(image.path, masks))
        return Sample(
            name=str(image.path),
            image=self.tree.path(image.path),
            part=str(image.path),
            defective=defective,
            annotations=tuple(label for path in marking if defective for label in self.masks.labels(path, kind)),
            split=image.split,
            cls=self.masks.unlocated(kind) if defective and not marking else None,
        )

    def _named(self, image: Located) -> bool | None:
        """What the folder says: `None` where it says nothing."""
        if not image.kinds:
            return None
        truth = folder_truth(image.kinds[-1])
        return True if truth is None and self.names_truth else truth


def _pairing_problems(pairs: Pairs) -> list[Problem]:
    orphans = [
        Problem(
            severity="warning",
            code="label-without-image",
            file=str(path),
            message=f"{path} is a label without an image",
            suggestion="add the image, or remove the label; it is not used",
        )
        for path in pairs.orphans
    ]
    return orphans + [
        Problem(
            severity="error",
            code="label-ambiguous",
            file=str(path),
            message=f"{path} could belong to several images of one name",
            suggestion="put the label beside its image, in the same split folder",
        )
        for path in pairs.ambiguous
    ]


def _marked_good(image: PurePosixPath, mask: PurePath) -> Problem:
    return Problem(
        severity="error",
        code="good-with-label",
        file=str(image),
        message=f"{image} stands in a folder of good parts, but {mask} marks a defect; it is taken as good",
        suggestion="move the image to a defect folder, or empty the mask",
    )


def _unlocated(image: PurePosixPath, masks: list[PurePosixPath]) -> Problem:
    what = f"its mask {masks[0]} is empty" if masks else "it has no mask"
    return Problem(
        severity="warning",
        code="unlocated",
        file=str(image),
        message=f"{image} stands in a folder of defective parts, but {what}",
        suggestion="label it; until then it only teaches that something is there, and its verdict alone counts",
    )

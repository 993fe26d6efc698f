"""One image while the label files of a set are read, until it is a `Sample`."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from onspec.datasets.problem import Problem
from onspec.datasets.tree import Tree
from onspec.domain import Annotation, Sample, Split, SplitError
from onspec.imaging.header import sizes_of


@dataclass(slots=True)
class Draft:
    """What label files say of one image.

    Attributes:
        annotations: where defects are.
        unlocated: the class of each defect that is known to be there, but not where.
        split: the split that a label file assigns; `from_file` is that file.
        size: width and height in px that a label file was made for; `sized_by` is that file.
    """

    annotations: list[Annotation] = field(default_factory=list)
    unlocated: list[str] = field(default_factory=list)
    split: Split | None = None
    from_file: PurePosixPath | None = None
    size: tuple[int, int] | None = None
    sized_by: PurePosixPath | None = None

    def put_in(self, split: Split | None, file: PurePosixPath, image: PurePosixPath) -> None:
        """Assign a split.

        Raises:
            SplitError: another file assigns another one.
        """
        if split is None:
            return
        if self.split not in (None, split):
            raise SplitError(
                f"{image} stands in {self.split} by {self.from_file} and in {split} by {file}; keep it in one of them"
            )
        self.split, self.from_file = split, file

    def sample(self, tree: Tree, image: PurePosixPath, split: Split | None) -> Sample:
        """The sample: defective if a label says that anything is there. `split` is taken where no file assigns one."""
        annotations = tuple(dict.fromkeys(self.annotations))  # two files may hold the same label
        return Sample(
            name=str(image),
            image=tree.path(image),
            part=str(image),
            defective=bool(annotations or self.unlocated),
            annotations=annotations,
            split=self.split or split,
            cls=min(self.unlocated) if self.unlocated and not annotations else None,
        )


Drafts = defaultdict[PurePosixPath, Draft]
"""By image, as the tree names it."""


def new_drafts() -> Drafts:
    """No image yet."""
    return defaultdict(Draft)


def size_problems(tree: Tree, drafts: Mapping[PurePosixPath, Draft]) -> list[Problem]:
    """Images that have another size than the one that their labels were made for: resized, or turned."""
    told = [(image, draft) for image, draft in sorted(drafts.items()) if draft.size is not None]
    found = sizes_of([tree.path(image) for image, _ in told])
    return [
        Problem(
            severity="error",
            code="label-size",
            file=str(image),
            message=f"{image} is {size[0]}×{size[1]} px, but {draft.sized_by} was made for "
            f"{draft.size[0]}×{draft.size[1]} px",
            suggestion="use the images that were labelled, or export the labels again",
        )
        for (image, draft), size in zip(told, found, strict=True)
        if size is not None and draft.size is not None and size != draft.size
    ]


def no_area(image: PurePosixPath, where: str, what: str) -> Problem:
    """A label that says that a defect is there, but encloses nothing."""
    return Problem(
        severity="error",
        code="label-no-area",
        file=str(image),
        message=f"{where}: {what}; the image counts as defective, but not this place in it",
        suggestion="draw the label again, as a box, polygon or mask",
    )


def not_listed(images: list[PurePosixPath], lists: str) -> list[Problem]:
    """Images that no list names, as one problem: nobody said whether they are good."""
    if not images:
        return []
    return [
        Problem(
            severity="warning",
            code="unlisted",
            file=str(images[0]),
            message=f"{len(images)} images are not in {lists} and are not used; the first is {images[0]}",
            suggestion="export the labels with all images, those without a defect, too",
        )
    ]


def without_image(label: PurePosixPath) -> Problem:
    """A label file whose image is not there."""
    return Problem(
        severity="warning",
        code="label-without-image",
        file=str(label),
        message=f"{label} is a label without an image",
        suggestion="add the image, or remove the label; it is not used",
    )

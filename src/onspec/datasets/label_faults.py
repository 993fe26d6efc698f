"""What is wrong with labels that can be read: masks that are not as the others, and images that have none."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from onspec.datasets.dataset import Dataset
from onspec.datasets.folder_names import folder_truth, meaningful
from onspec.datasets.mask_facts import MaskFacts, looks_inverted
from onspec.datasets.pairing import pair
from onspec.datasets.problem import Problem, named, new_problem
from onspec.datasets.tree import Tree, list_tree
from onspec.domain import MaskFile
from onspec.imaging.masks import HIGHEST_CODE

_LABEL_FILES = {"yolo": ".txt", "voc": ".xml", "labelme": ".json"}
"""Layouts where an image without a label file is good, and what such files end in."""

_MINORITY = 0.25
"""Below this share, images without a label are taken for forgotten; above, for the set's way to say good."""


def mask_problems(dataset: Dataset, facts: Mapping[Path, MaskFacts]) -> Iterator[Problem]:
    """Masks of another polarity or encoding than most of the set's; numbers of objects have neither."""
    if dataset.numbered:
        return
    owners = {a.path: s.name for s in dataset.samples for a in s.annotations if isinstance(a, MaskFile)}
    yield from _turned(dataset, facts, owners)
    yield from _otherwise_encoded(dataset, facts, owners)


def _turned(dataset: Dataset, facts: Mapping[Path, MaskFacts], owners: Mapping[Path, str]) -> Iterator[Problem]:
    background = "bright" if dataset.inverted else "dark"
    for path, mask in facts.items():
        if not (_looks_upright(mask) if dataset.inverted else looks_inverted(mask)):
            continue
        text = (
            f"{_short(path, dataset)} marks {_marked(mask, dataset):.0%} of {owners[path]} and most of its border, "
            f"as if it were drawn the other way round: this set draws the background {background}"
        )
        advice = "turn black and white of this mask around, unless the defect is as large"
        yield new_problem("warning", "mask-polarity", owners[path], text, advice)


def _otherwise_encoded(
    dataset: Dataset, facts: Mapping[Path, MaskFacts], owners: Mapping[Path, str]
) -> Iterator[Problem]:
    families: defaultdict[str, list[Path]] = defaultdict(list)
    for path, mask in facts.items():
        if mask.encoding != "one value":
            families[_family(mask.encoding)].append(path)
    most = max(families, key=lambda family: len(families[family]), default="")
    for family, paths in families.items():
        if family != most:
            text = (
                f"{len(paths)} of {len(facts)} masks hold {_encodings(facts, paths)}, the others "
                f"{_encodings(facts, families[most])}: {named([_short(path, dataset) for path in paths])}"
            )
            advice = "see on the page (--out) whether they mark what they should, and export all masks in one way"
            yield new_problem("warning", "mask-encoding", [owners[path] for path in paths], text, advice)


def unlabelled_problems(dataset: Dataset) -> Iterator[Problem]:
    """Images that count as good for want of a label, where the set has another way to say good or they are few."""
    if dataset.layout not in {"masks", *_LABEL_FILES}:
        return
    labelled = _labelled(list_tree(dataset.root), dataset.layout)
    silent = [s.name for s in dataset.samples if not s.defective and not _said_good(s.name)]
    without = [name for name in silent if name not in labelled]
    emptied = len(silent) - len(without)
    if not without or len(without) >= max(emptied, _MINORITY * len(dataset.samples)):
        return
    others = f"while {emptied} others have an empty one" if emptied else "nearly all others have one"
    verb = "image has" if len(without) == 1 else "images have"
    text = f"{len(without)} {verb} no label, {others}; taken for good: {named(without)}"
    advice = "label them, or, if they are good, say so: an empty label, or a folder good/"
    yield new_problem("warning", "image-without-label", without, text, advice)


def _looks_upright(mask: MaskFacts) -> bool:
    """A dark background; a large defect alone turns nothing around."""
    return mask.share < 0.5 and mask.border < 0.5


def _labelled(tree: Tree, layout: str) -> set[str]:
    """Names of the images that have a label file, an empty one included."""
    if layout == "masks":
        return {str(path) for path in pair(tree.images).masks}
    stems = {path.stem.lower() for path in tree.others if path.suffix.lower() == _LABEL_FILES[layout]}
    return {str(path) for path in tree.images if path.stem.lower() in stems}


def _said_good(name: str) -> bool:
    return any(folder_truth(folder) is False for folder in meaningful(PurePosixPath(name).parts[:-1]))


def _family(encoding: str) -> str:
    """Encodings that one tool writes: a mask of gray edges may happen to have none."""
    if encoding.startswith("palette") or encoding in ("colour", "RGBA"):
        return encoding.split(maxsplit=1)[0]
    code = encoding.startswith("codes") or (encoding.startswith("0/") and int(encoding[2:]) <= HIGHEST_CODE)
    return "codes" if code else "gray"


def _encodings(facts: Mapping[Path, MaskFacts], paths: list[Path]) -> str:
    return " or ".join(name for name, _ in Counter(facts[path].encoding for path in paths).most_common(2))


def _marked(mask: MaskFacts, dataset: Dataset) -> float:
    return 1 - mask.share if dataset.inverted else mask.share


def _short(path: Path, dataset: Dataset) -> str:
    return path.relative_to(dataset.root).as_posix() if path.is_relative_to(dataset.root) else str(path)

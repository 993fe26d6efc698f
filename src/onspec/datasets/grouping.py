"""What must stay in one split: the images of a part, and where lots are known, whole lots with all their parts."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from onspec.datasets.belonging import Belonging
from onspec.datasets.folder_names import meaningful
from onspec.domain import DEFECT, Sample


@dataclass(frozen=True, slots=True)
class Part:
    """One part: whether it is defective, and what kind of part or defect its images show."""

    name: str
    defective: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Group:
    """Parts that stay together, and their images' names."""

    name: str
    parts: tuple[Part, ...]
    images: tuple[str, ...]

    @property
    def defective(self) -> int:
        """How many of the parts are defective."""
        return sum(part.defective for part in self.parts)

    @property
    def kinds(self) -> Counter[tuple[bool, str]]:
        """How many parts of each truth and kind."""
        return Counter((part.defective, part.kind) for part in self.parts)


def groups_of(samples: Sequence[Sample]) -> list[Group]:
    """The groups of these samples, sorted by name.

    A group is a part, or a lot with its parts; a part whose images lie in several lots joins these. What is no matter
    is the order of samples.
    """
    owner = _joined(samples)
    members: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda s: s.name):
        members[owner[sample.name]].append(sample)
    return [Group(name, _parts(found), tuple(s.name for s in found)) for name, found in sorted(members.items())]


def has_lots(samples: Sequence[Sample]) -> bool:
    """Whether it is known of any image which lot it is of."""
    return any(sample.lot is not None for sample in samples)


def kind_of(sample: Sample) -> str:
    """What kind of part or defect a sample shows, as its labels or else its folders say."""
    named = sorted({a.cls for a in sample.annotations} - {DEFECT})
    return sample.cls or "+".join(named) or "/".join(meaningful(tuple(sample.name.split("/")[:-1])))


def _joined(samples: Sequence[Sample]) -> dict[str, str]:
    """Sample name → name of its group: that of its part, or `lot:` and the first of its lots."""
    joined = Belonging[str]()
    for sample in samples:
        if sample.lot is not None:
            joined.join([f"part:{sample.part}", f"lot:{sample.lot}"])  # lots come before parts
    return {s.name: joined.first(f"part:{s.part}").removeprefix("part:") for s in samples}


def _parts(samples: Sequence[Sample]) -> tuple[Part, ...]:
    by_part: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_part[sample.part].append(sample)
    return tuple(_part(name, found) for name, found in sorted(by_part.items()))


def _part(name: str, images: Sequence[Sample]) -> Part:
    defective = [sample for sample in images if sample.defective]
    kind = min((kind_of(sample) for sample in defective or images), default="")
    return Part(name, bool(defective), kind)

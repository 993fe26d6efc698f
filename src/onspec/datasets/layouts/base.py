"""What a layout is: how to know it, and how to read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from onspec.datasets.problem import Problem
from onspec.datasets.tree import Tree
from onspec.domain import Sample


@dataclass(frozen=True)
class Reading:
    """What a layout read. Each sample's `part` is still its own name; `datasets.parts` tells parts apart.

    Attributes:
        samples: every labelled image, in any order.
        problems: what is wrong with the set.
        inverted: the set's masks draw the background bright.
        parts: sample name → part, for a layout that says which part an image shows; empty for one that does not.
    """

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    inverted: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """One way to lay out a data set in folders.

    Attributes:
        name: what `--layout` takes.
        shape: the folders in a few words, for messages.
        score: how sure it is that the tree has this layout, 0 (it has not) … 1.
        read: the tree's samples; raises LayoutError, LabelError.
    """

    name: str
    shape: str
    score: Callable[[Tree], float]
    read: Callable[[Tree], Reading]

"""From what answer of a coarse network on the fine one looks: chosen on images whose blocks that matter are known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from onspec.imaging.preparation import InputSpec
from onspec.runtime.coarse import Answers, Blocks, around
from onspec.runtime.hastened import work_left

MARGIN = 16
"""How far the limit stays at least under what every block that matters is answered: a logit of 1, odds of 1 : 2.7."""

SPENT = 0.05
"""Share of the fine network's work on images without a block that matters that is spent on a still lower limit."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a coarse network answers to an image, and the blocks of it that matter.

    Attributes:
        size: (height, width) of the fine network's input.
    """

    answers: Answers
    matter: Blocks
    size: tuple[int, int]


def choose_limit(images: Sequence[Answered], block: int, spec: InputSpec) -> int:
    """As low as a twentieth of the work on good images buys, and at least by a margin under what is needed.

    An image that nobody has seen yet may hold a fainter defect than all that are known. So the limit lies near what
    good surface is answered, not near what defects are.

    Raises:
        ValueError: no block of any image matters.
    """
    needed = min(int(of_neighbours(image.answers)[image.matter].min()) for image in images if image.matter.any())
    good = [image for image in images if not image.matter.any()]

    def affordable(limit: int) -> bool:
        work = [work_left(around(image.answers >= limit), image.size, block, spec) for image in good]
        return sum(work) <= SPENT * len(work)

    return max(1, min(needed - MARGIN, _lowest(affordable, 1, 255)))


def of_neighbours(answers: Answers) -> Answers:
    """The highest answer of each block and its eight neighbours: at a limit up to that, the block is looked at."""
    return np.asarray(cv2.dilate(answers, np.ones((3, 3), np.uint8)), np.uint8)


def _lowest(holds: Callable[[int], bool], first: int, last: int) -> int:
    """The lowest number from which on it holds, by halving; `last` where it holds for none."""
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if holds(middle) else (middle + 1, last)
    return first

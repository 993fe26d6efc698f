"""Label images that number the objects in them, as cells and nuclei are exchanged: 0 for the ground, a value an object.

Read as class codes they would name a class for every object, and read as a picture of a mask only the objects in the
upper half of the numbers would be marked. Nothing in such a file says what it is, so it is told by its look.
"""

from collections.abc import Sequence
from statistics import median

import cv2
import numpy as np

from onspec.imaging.masks import HIGHEST_CODE
from onspec.imaging.reading import Image

_LEAST_PX = 9
"""The median object is at least so large; the gray levels of a drawn edge have a few pixels each."""

_TRIED = 40
"""So many values of a file are looked at."""

_COMPACT = 0.7
"""An object fills its outline by this share; a level of a soft edge is a ring."""

_SURE = 0.9
"""Share of the values of a file, and of the files of a set, that must look like it."""


def objects_in(codes: Image) -> int | None:
    """How many objects a label image numbers, from its values (H, W); `None` where its values are no such numbers.

    A number stands for one connected region (8-neighbourhood) without large holes. A single value may mean anything,
    and counts as one object.
    """
    highest = codes.max(initial=0)
    if not highest or np.count_nonzero(codes) == np.count_nonzero(codes == highest):  # quickly seen, and most files
        return int(highest > 0)
    areas = np.bincount(codes.ravel())
    numbers = np.flatnonzero(areas[1:]) + 1
    if float(np.median(areas[numbers])) < _LEAST_PX:
        return None
    tried = numbers[np.linspace(0, len(numbers) - 1, min(_TRIED, len(numbers))).round().astype(int)]
    allowed = int((1 - _SURE) * len(tried))
    for number in tried.tolist():
        allowed -= not _is_object(codes, number, int(areas[number]))
        if allowed < 0:
            return None
    return len(numbers)


def numbers_objects(files: Sequence[tuple[int | None, int | None]]) -> bool:
    """Whether a set numbers its objects, from `objects_in` and the highest value of each file that marks anything.

    Either a file has more numbers than a set has classes, or numbers run from 1 without gaps in nearly every file, up
    to another one each time: class codes leave out the classes that an image does not show.
    """
    counts = [objects for objects, _ in files if objects is not None]
    if not counts or len(counts) < _SURE * len(files):
        return False
    if max(counts) > HIGHEST_CODE:
        return True
    without_gaps = sum(objects == highest for objects, highest in files)
    return without_gaps >= _SURE * len(files) and len(set(counts)) >= 3 and median(counts) >= 3


def _is_object(codes: Image, number: int, area: int) -> bool:
    mask = (codes == number).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if len(outlines) != 1:
        return False
    cv2.drawContours(mask, outlines, 0, 1, cv2.FILLED)
    return area >= _COMPACT * cv2.countNonZero(mask)

"""The three ways to inspect."""

from enum import StrEnum


class Task(StrEnum):
    """What a network says of an image.

    `segment`: which pixels are defective. `detect`: boxes around defects. `classify`: which class the whole image is
    of, with a map that shows where.
    """

    SEGMENT = "segment"
    DETECT = "detect"
    CLASSIFY = "classify"

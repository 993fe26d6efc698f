"""Text in pictures."""

import unicodedata
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.overlays import Colour

Picture = NDArray[np.uint8]
"""RGB, uint8 (H, W, 3)."""

_PLAIN = str.maketrans({"…": "..", "×": "x", "–": "-", "°": "deg", "²": "2", "≥": ">=", "≤": "<=", "·": "-"})
_HERSHEY_PX = 21.0
"""Height of a capital of OpenCV's stroke font at scale 1, px."""


def write(picture: Picture, text: str, at: tuple[int, int], height: int, colour: Colour, *, bold: bool = False) -> None:
    """Write a line with its base line at (x, y) into a picture, in place; `height` of its letters in px.

    With an OpenCV before 5 only ASCII is drawn, letters without their accents.
    """
    face = _face()
    if face is not None:
        cv2.putText(picture, text, at, colour, face, height, 700 if bold else 400)  # type: ignore[call-overload]
    else:
        scale = 0.7 * height / _HERSHEY_PX
        cv2.putText(picture, _ascii(text), at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 2 if bold else 1, cv2.LINE_AA)


def width_of(text: str, height: int, *, bold: bool = False) -> int:
    """How many px a line takes."""
    face = _face()
    if face is None:
        scale = 0.7 * height / _HERSHEY_PX
        return int(cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, scale, 2 if bold else 1)[0][0])
    box = cv2.getTextSize((1, 1), text, (0, 0), face, height, 700 if bold else 400)  # type: ignore[call-overload]
    return int(box[0] + box[2])


def wrapped(text: str, width: int, height: int) -> list[str]:
    """A text in lines of at most so many px, broken between words; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, height) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def label(picture: Picture, text: str, at: tuple[int, int], height: int, ink: Colour, paper: Colour) -> None:
    """Write a word on a ground of its own, its top left at (x, y) or as near as the picture allows, in place."""
    pad = max(2, height // 4)
    wide, high = width_of(text, height, bold=True) + 2 * pad, height + 2 * pad
    x = min(max(at[0], 0), max(0, picture.shape[1] - wide))
    y = min(max(at[1], 0), max(0, picture.shape[0] - high))
    cv2.rectangle(picture, (x, y), (x + wide - 1, y + high - 1), paper, -1)
    write(picture, text, (x + pad, y + pad + round(0.85 * height)), height, ink, bold=True)


def _ascii(text: str) -> str:
    """The text as far as a stroke font has letters for it."""
    bare = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    kept = (letter for letter in bare if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() else "?" for letter in kept)


@lru_cache(maxsize=1)
def _face() -> object | None:
    """OpenCV's own font, where it has one."""
    return cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None

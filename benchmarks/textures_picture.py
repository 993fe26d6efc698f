"""Make the picture of docs/synth.md: a row a texture, two columns of rows: good, then a defect at falling contrast.

python benchmarks/textures_picture.py docs/images/textures.png
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.datasets.synth import label_mask, paint
from onspec.datasets.textures import SIZE, TEXTURES
from onspec.domain import Ellipse
from onspec.imaging.overlays import TRUTH, outline_mask, to_display
from onspec.imaging.writing import write_bytes

SIDE = 128
"""px of the piece that is cut out of an image."""

CONTRASTS = (1.0, 0.5, 0.25)

LEVELS = 24
"""Of gray in the picture: noise in all of them would make a large file, and nobody sees the difference."""


def coarse(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB in few levels."""
    step = 256 / LEVELS
    return to_display(((image // step + 0.5) * step).astype(np.uint8))


def cut(picture: NDArray[np.uint8], label: Ellipse) -> NDArray[np.uint8]:
    """The piece around a defect."""
    left, top = (int(np.clip(at - SIDE / 2, 0, SIZE - SIDE)) for at in (label.x, label.y))
    return picture[top : top + SIDE, left : left + SIDE]


def strip(texture: int, index: int, gap: int) -> NDArray[np.uint8]:
    """Good; the defect outlined and plain at full contrast; fainter."""
    made = [paint(texture, index, defective=True, contrast=contrast) for contrast in CONTRASTS]
    label = made[0].labels[0]
    if not isinstance(label, Ellipse):
        raise TypeError(f"a texture's own defect is an ellipse; got {label}")
    outlined = coarse(made[0].image)
    outline_mask(outlined, label_mask(label), TRUTH)
    pieces = [coarse(paint(texture, index, defective=False).image), outlined, *(coarse(m.image) for m in made)]
    space = np.full((SIDE, gap, 3), 255, np.uint8)
    return np.concatenate([part for piece in pieces for part in (cut(piece, label), space)][:-1], axis=1)


def main(index: int = 2, gap: int = 4) -> None:
    """Parse, paint, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    strips = [strip(texture, index, gap) for texture in range(len(TEXTURES))]
    half, width = (len(strips) + 1) // 2, strips[0].shape[1]
    space = np.full((gap, width, 3), 255, np.uint8)
    columns = [
        np.concatenate([part for one in of_column for part in (one, space)][:-1])
        for of_column in (strips[:half], strips[half:])
    ]
    between = np.full((columns[0].shape[0], 4 * gap, 3), 255, np.uint8)
    picture = np.concatenate([columns[0], between, columns[1]], axis=1)
    small = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    write_bytes(arguments.out, small.tobytes())


if __name__ == "__main__":
    main()

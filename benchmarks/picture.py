"""Make the picture of the README: held-out parts of a demo with truth and marks outlined, side by side.

onspec demo --out demo/ && python benchmarks/picture.py demo/ docs/images/result.png
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.imaging.overlays import PREDICTION, TRUTH, outline_mask, outline_polygons, to_display
from onspec.imaging.reading import read_image
from onspec.imaging.writing import write_image
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector

SIDE = 360
"""Of one part in the picture, px; it is drawn at four times that, so that outlines stay visible and smooth."""


def main(count: int = 3, gap: int = 8) -> None:
    """Parse, judge, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    tested = [s for s in load(arguments.demo / "parts").samples if "/Test/" in f"/{s.name}" and s.defective]
    inspector = Inspector(open_package(arguments.demo / "part.onspec"))
    tiles = []
    for sample in tested[:: max(1, len(tested) // count)][:count]:
        image = read_image(sample.image)
        factor = 4 * SIDE / image.shape[1]
        picture = np.asarray(cv2.resize(to_display(image), None, fx=factor, fy=factor), np.uint8)
        truth = load_mask(sample, (image.shape[1], image.shape[0]))[0]
        outline_mask(picture, cv2.resize(truth, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST), TRUTH)
        defects = inspector.inspect_file(sample.image).inspection.defects
        outlines = [[(round(x * factor), round(y * factor)) for x, y in d.polygon] for d in defects]
        outline_polygons(picture, outlines, PREDICTION)
        tile = np.asarray(cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.uint8)
        tiles += [tile, np.full((tile.shape[0], gap, 3), 255, np.uint8)]
    inspector.close()
    write_image(arguments.out, np.concatenate(tiles[:-1], axis=1))


if __name__ == "__main__":
    main()

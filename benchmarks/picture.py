"""Make the picture of the README: held-out parts of a demo with truth and marks outlined, side by side.

onspec demo --out demo/ && python benchmarks/picture.py demo/ docs/images/result.png
"""

import argparse
from pathlib import Path

import numpy as np

from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.imaging.overlays import PREDICTION, TRUTH, outline_mask, outline_polygons, to_display
from onspec.imaging.reading import read_image
from onspec.imaging.writing import write_image
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector


def main(count: int = 4, gap: int = 8) -> None:
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
        picture = to_display(image)
        outline_mask(picture, load_mask(sample, (image.shape[1], image.shape[0]))[0], TRUTH)
        defects = inspector.inspect_file(sample.image).inspection.defects
        outline_polygons(picture, [d.polygon for d in defects], PREDICTION)
        tiles += [picture, np.full((picture.shape[0], gap, 3), 255, np.uint8)]
    inspector.close()
    write_image(arguments.out, np.concatenate(tiles[:-1], axis=1))


if __name__ == "__main__":
    main()

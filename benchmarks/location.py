"""How exactly and fast parts are located and patterns calibrated; with --pictures, the pictures of docs/location.md.

python benchmarks/location.py DATA [--pictures docs/images]

DATA holds folders of real images. Each is taught by the rectangle in its middle, then shifted, turned, made darker or
brighter and noisy; what the rules would refuse to be taught is counted apart. Patterns are drawn with a known scale.
"""

import argparse
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import PartNotFoundError, RulesError
from onspec.domain.placement import Placement
from onspec.imaging.calibrating import calibrate
from onspec.imaging.calibration_picture import calibration_picture
from onspec.imaging.grids import find_grid
from onspec.imaging.locating import Locator
from onspec.imaging.overlays import PREDICTION, TRUTH, outline_polygons, to_display
from onspec.imaging.part_spec import PartSpec
from onspec.imaging.reading import Image, is_image, read_image
from onspec.imaging.rehearsing import moved
from onspec.imaging.writing import write_image

Gray = NDArray[np.uint8]
KINDS = {
    "boards": ("deeppcb/**/*_temp.jpg", 24),
    "welds": ("weld/images/*.jpg", 24),
    "tiles": ("magnetic_tile/MT_Free/Imgs/*.jpg", 24),
    "textures": ("dagm2007/Class1/Train/*.PNG", 24),
    "membranes": ("membrane/train/image/*.png", 24),
}
"""Name → which images of DATA, and how many of them."""


@dataclass
class Tally:
    """What came of one kind of image."""

    taught: int = 0
    refused: int = 0
    lost: int = 0
    px: list[float] = field(default_factory=list)
    degrees: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)


def main() -> None:
    """Parse, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    print("| images | taught | refused | located | not found | px off, worst | ° off, worst | ms, median |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, (pattern, count) in KINDS.items():
        paths = sorted(path for path in arguments.data.glob(pattern) if is_image(path))
        tally = measured(paths[:: max(1, len(paths) // count)][:count])
        if tally.px:
            worst = f"{max(tally.px):.2f} | {max(tally.degrees):.2f} | {np.median(tally.ms):.0f}"
            print(f"| {kind} | {tally.taught} | {tally.refused} | {len(tally.px)} | {tally.lost} | {worst} |")
    scales()
    if arguments.pictures is not None:
        write_image(arguments.pictures / "location.png", located_picture())
        write_image(arguments.pictures / "calibration.png", calibrated_picture())


def measured(paths: list[Path], moves: int = 4) -> Tally:
    """Teach each image and find it again, moved."""
    tally, rng = Tally(), np.random.default_rng(0)
    for path in paths:
        taught = read_image(path)
        height, width = taught.shape[:2]
        rectangle = (round(width * 0.3), round(height * 0.3), round(width * 0.4), round(height * 0.4))
        reach = min(width, height)
        try:
            locator = Locator(taught, PartSpec(find="template", rectangle=rectangle, max_shift_px=0.2 * reach))
            centre = locator.check(taught).placement.taught
        except RulesError:
            tally.refused += 1
            continue
        tally.taught += 1
        for _ in range(moves):
            angle, shift = float(rng.uniform(-9, 9)), rng.uniform(-0.1, 0.1, 2) * reach
            there = (centre[0] + float(shift[0]), centre[1] + float(shift[1]))
            image = in_other_light(moved(taught, Placement(centre, there, angle, 1.0)), rng)
            start = time.perf_counter()
            try:
                found = locator.find(image, path.name).placement
            except PartNotFoundError:
                tally.lost += 1
                continue
            tally.ms.append((time.perf_counter() - start) * 1e3)
            tally.px.append(math.dist(found.found, there))
            tally.degrees.append(abs(found.angle_deg - angle))
    return tally


def in_other_light(image: Image, rng: np.random.Generator) -> Image:
    """Another gain and offset, a slope of light, and noise of 5 gray values."""
    slope = np.linspace(-15, 15, image.shape[1]).reshape(1, -1, *([1] if image.ndim == 3 else []))
    values = image * rng.uniform(0.6, 1.2) + rng.uniform(-10, 20) + slope + rng.normal(0, 5, image.shape)
    return np.asarray(np.clip(np.round(values), 0, 255), np.uint8)


def board(step: float, angle: float, slant: float = 0.0, seed: int = 0) -> Gray:
    """A checkerboard of 11 × 8 inner corners on 800 × 600 px, `step` px apart, with blur and noise."""
    squares = (np.indices((9, 12)).sum(axis=0) % 2).repeat(80, axis=0).repeat(80, axis=1)
    flat = np.pad(squares * 180.0 + 35, 80, constant_values=215.0).astype(np.float32)
    a, s = math.radians(angle), step / 80
    turn = np.array([[s * math.cos(a), s * math.sin(a), 400], [-s * math.sin(a), s * math.cos(a), 300], [0, 0, 1]])
    middle = np.array([[1, 0, -flat.shape[1] / 2], [0, 1, -flat.shape[0] / 2], [0, 0, 1]])
    depth = np.array([[1, 0, 0], [0, 1, 0], [slant / 960, 0, 1]])
    seen = cv2.warpPerspective(flat, turn @ depth @ middle, (800, 600), flags=cv2.INTER_AREA, borderValue=215.0)
    seen = cv2.GaussianBlur(seen, (0, 0), 1.0) + np.random.default_rng(seed).normal(0, 4, (600, 800))
    return np.asarray(np.clip(np.round(seen), 0, 255), np.uint8)


def scales(count: int = 40) -> None:
    """Print how far the scale of boards is off whose scale is known."""
    rng, off = np.random.default_rng(1), []
    for seed in range(count):
        step, angle = float(rng.uniform(28, 45)), float(rng.uniform(-20, 20))
        scale = calibrate(find_grid(board(step, angle, seed=seed), "checkerboard"), 2.0).scale
        off += [abs(scale.x * step / 2 - 1), abs(scale.y * step / 2 - 1)]
    print(f"\n{count} checkerboards: the scale is off by {np.mean(off):.4%} on average, {max(off):.4%} at most")


def bracket() -> Gray:
    """A drawn part: a plate with a slot, two holes and a label, on a belt."""
    image = np.full((480, 560), 60, np.uint8)
    plate = np.array([[120, 110], [430, 110], [430, 240], [300, 240], [300, 370], [120, 370]])
    cv2.fillPoly(image, [plate], 170.0, cv2.LINE_AA)
    for centre in ((170, 320), (385, 155)):
        cv2.circle(image, centre, 22, 60.0, -1, cv2.LINE_AA)
    cv2.rectangle(image, (150, 140), (250, 165), 75.0, -1)
    cv2.putText(image, "A 17", (175, 250), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 105.0, 4, cv2.LINE_AA)
    rough = cv2.GaussianBlur(np.random.default_rng(2).normal(0, 14, image.shape), (0, 0), 2)
    return np.asarray(np.clip(cv2.GaussianBlur(image, (0, 0), 1.0) + rough, 0, 255), np.uint8)


def located_picture() -> Gray:
    """A zone drawn on the taught image, and where it lies on a moved one: with the part, and with the image."""
    taught = bracket()
    locator = Locator(taught, PartSpec(find="contour", max_angle_deg=30))
    centre = locator.check(taught).placement.taught
    away = Placement(centre, (centre[0] + 46, centre[1] - 18), 17.0, 1.0)
    image = in_other_light(moved(taught, away), np.random.default_rng(3))
    found = locator.find(image, "image").placement
    zone = np.array([[165.0, 208.0], [280.0, 208.0], [280.0, 262.0], [165.0, 262.0]])
    left, right = to_display(taught), to_display(image)
    _outline(left, zone, TRUTH)
    _outline(right, zone, PREDICTION)
    _outline(right, found.to_image(zone), TRUTH)
    return np.asarray(np.concatenate([left, np.full((len(left), 12, 3), 255, np.uint8), right], axis=1), np.uint8)


def _outline(picture: Gray, corners: NDArray[np.float64], colour: tuple[int, int, int]) -> None:
    for grown in (0.0, 1.5, 3.0):
        middle = corners.mean(axis=0)
        wider = corners + np.sign(corners - middle) * grown
        outline_polygons(picture, [[(round(float(x)), round(float(y))) for x, y in wider]], colour)


def calibrated_picture() -> Gray:
    """What onspec calibrate --out shows of a camera that looks at a slant."""
    image = board(44.0, 4.0, slant=0.08)
    return calibration_picture(image, calibrate(find_grid(image, "checkerboard"), 2.0))


if __name__ == "__main__":
    main()

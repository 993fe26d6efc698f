"""A calibration to look at: the points that were found, and by how much each lies off."""

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.calibrating import Calibration
from onspec.imaging.overlays import to_display
from onspec.imaging.reading import Image

_POINT = (40, 200, 120)
_ARROW = (255, 70, 40)
_TEXT = (30, 30, 30)


def calibration_picture(image: Image, calibration: Calibration) -> NDArray[np.uint8]:
    """The image with every point circled, an arrow from where the model has it, and a line that says what is seen.

    Arrows are drawn so many times longer that the longest is half a step of the pattern; the line says how many.
    """
    picture = to_display(image)
    grid = calibration.grid
    step = float(np.sqrt(_area_of_a_step(calibration)))
    longer = _round_down(step / 2 / max(calibration.max_px, 1e-3))
    width = max(1, round(max(picture.shape[:2]) / 500))
    for point, expected in zip(grid.points, calibration.expected, strict=True):
        tip = expected + (point - expected) * longer
        cv2.circle(picture, _pixel(point), max(2, round(step / 8)), _POINT, width, cv2.LINE_AA)
        cv2.arrowedLine(picture, _pixel(expected), _pixel(tip), _ARROW, width, cv2.LINE_AA, tipLength=0.25)
    return _with_line(picture, f"{len(grid.points)} points; arrows {longer:g} x the distance from the even grid")


def _area_of_a_step(calibration: Calibration) -> float:
    grid = calibration.grid
    hull = float(cv2.contourArea(cv2.convexHull(grid.points.astype(np.float32))))
    return max(hull / max((grid.columns - 1) * (grid.rows - 1), 1), 16.0)


def _round_down(value: float) -> float:
    """To one digit and zeros: a number that a person can divide by."""
    power = 10.0 ** np.floor(np.log10(max(value, 1.0)))
    return float(power * max(digit for digit in range(1, 10) if digit * power <= max(value, 1.0)))


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0]) - 0.5), round(float(point[1]) - 0.5)


def _with_line(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A white strip with a sentence below the picture, as large as fits its width."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    scale = min(picture.shape[1] * 0.9 / width, picture.shape[1] / 1000, 3.0)
    height = max(16, round(50 * scale))
    strip = np.full((height, picture.shape[1], 3), 255, np.uint8)
    at = (round(picture.shape[1] * 0.02), round(height * 0.68))
    cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, _TEXT, max(1, round(scale * 2)), cv2.LINE_AA)
    return np.vstack([picture, strip])

"""What a report's pictures show for each task."""

from typing import TypeVar

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoredBox, ScoreMap, Task
from onspec.evaluation.pictures import Shown, draw
from onspec.imaging.overlays import PREDICTION, TRUTH

THRESHOLDS = Thresholds(image=0.5, pixel=0.4)
GRAY = np.full((640, 640), 90, np.uint8)
Pixels = NDArray[np.int16]
Rect = tuple[float, float, float, float]
Number = TypeVar("Number", np.float32, np.int32, np.uint8)


def decoded(jpeg: bytes) -> Pixels:
    """RGB (H, W, 3)."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.int16)


def near(picture: Pixels, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture - np.array(colour)).max(axis=2) < 60)


def extent(flags: NDArray[np.bool_]) -> list[int]:
    """Left, top, right and bottom of what is set."""
    rows, columns = np.nonzero(flags)
    return [int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())]


def maps(*values: NDArray[np.float32]) -> tuple[ScoreMap, ...]:
    return tuple(ScoreMap(v, f"class {i}") for i, v in enumerate(values))


def boxes(*rects: Rect, cls: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    return np.array(rects, np.float32).reshape(-1, 4), np.full(len(rects), cls)


def detected(*told: tuple[str, float, Rect], classes: int = 1) -> Prediction:
    blank = np.zeros(GRAY.shape, np.float32)
    return Prediction(maps(*[blank] * classes), tuple(ScoredBox(c, s, *rect) for c, s, rect in told))


def test_boxes_of_label_and_recipe() -> None:
    """The box under the threshold is not drawn: it rejects nothing."""
    told = detected(("class 0", 0.9, (100, 200, 50, 40)), ("class 0", 0.4, (500, 500, 50, 50)))
    drawn = decoded(draw(Shown(GRAY, told, THRESHOLDS, Task.DETECT, boxes=boxes((300, 400, 80, 60)))))
    np.testing.assert_allclose(extent(near(drawn, PREDICTION)), [100, 200, 150, 240], atol=2)
    np.testing.assert_allclose(extent(near(drawn, TRUTH)), [300, 400, 380, 460], atol=2)


def test_names_stand_on_boxes_and_on_what_was_missed() -> None:
    """Of two labels one was found: its name is on the found box, only the other one has a name of its own."""
    told = detected(("class 1", 0.9, (100, 200, 60, 40)), classes=2)
    label = (np.array([[100, 200, 60, 40], [300, 400, 60, 40]], np.float32), np.array([1, 1]))
    drawn = decoded(draw(Shown(GRAY, told, THRESHOLDS, Task.DETECT, boxes=label)))
    assert near(drawn, PREDICTION)[180:198, 102:150].mean() > 0.5  # a plate over the found box
    assert near(drawn, TRUTH)[443:458, 302:350].mean() > 0.5  # and under the missed one
    assert near(drawn, TRUTH)[243:258, 102:150].mean() < 0.1


def test_one_class_needs_no_names() -> None:
    told = detected(("class 0", 0.9, (100, 200, 60, 40)))
    drawn = decoded(draw(Shown(GRAY, told, THRESHOLDS, Task.DETECT)))
    assert not near(drawn, PREDICTION)[170:196].any()


def test_names_at_the_edge_stay_in_the_picture() -> None:
    told = detected(*[("class 1", 0.9, (float(x), float(y), 30, 20)) for x in (0, 610) for y in (0, 620)], classes=2)
    assert decoded(draw(Shown(GRAY, told, THRESHOLDS, Task.DETECT, boxes=boxes((0, 620, 9, 9))))).shape == (640, 640, 3)


def test_a_large_image_is_cut_to_its_boxes() -> None:
    image = np.full((3000, 4000), 90, np.uint8)
    blank = np.zeros(image.shape, np.float32)
    told = Prediction(maps(blank), (ScoredBox("class 0", 0.9, 3900, 2900, 20, 20),))
    drawn = decoded(draw(Shown(image, told, THRESHOLDS, Task.DETECT)))
    assert drawn.shape == (640, 640, 3)
    np.testing.assert_allclose(extent(near(drawn, PREDICTION)), [540, 540, 560, 560], atol=2)


def heated(level: float) -> Prediction:
    values = np.zeros(GRAY.shape, np.float32)
    values[200:300, 200:300] = level
    return Prediction(maps(values))


def test_heat_is_red_and_outlined_where_it_rejects() -> None:
    drawn = decoded(draw(Shown(GRAY, heated(0.9), THRESHOLDS, Task.CLASSIFY)))
    assert drawn[250, 250, 0] > drawn[250, 250, 1] + 80
    assert abs(drawn[50, 50] - 90).max() < 6
    np.testing.assert_allclose(extent(near(drawn, PREDICTION)), [200, 200, 300, 300], atol=3)


def test_heat_of_an_image_that_passes_has_no_outline() -> None:
    drawn = decoded(draw(Shown(GRAY, heated(0.42), THRESHOLDS, Task.CLASSIFY)))
    assert drawn[250, 250, 0] > drawn[250, 250, 1] + 30
    assert not near(drawn, PREDICTION).any()


def test_heat_with_a_label() -> None:
    truth = np.zeros((1, 640, 640), np.uint8)
    truth[0, 400:450, 400:450] = 1
    drawn = decoded(draw(Shown(GRAY, heated(0.9), THRESHOLDS, Task.CLASSIFY, truth)))
    np.testing.assert_allclose(extent(near(drawn, TRUTH)), [400, 400, 450, 450], atol=3)


@pytest.mark.parametrize("times", [1, 2])
def test_touching_objects_are_outlined_one_by_one(times: int) -> None:
    """Above, two labelled halves, below two reported ones; the line between them is drawn only where they are two."""

    def large(values: NDArray[Number]) -> NDArray[Number]:
        return values.repeat(times, axis=0).repeat(times, axis=1)

    scores, inside = np.zeros(GRAY.shape, np.float32), np.zeros(GRAY.shape, np.float32)
    objects = np.zeros(GRAY.shape, np.int32)
    objects[20:300, 20:320], objects[20:300, 320:620] = 1, 2
    scores[340:620, 20:620] = 0.9
    inside[400:560, 100:250] = inside[400:560, 400:550] = 0.9
    merged = Prediction(maps(large(scores)))
    apart = Prediction(merged.maps, cores=ScoreMap(large(inside), "cores"))
    truth = (large(objects) > 0).astype(np.uint8)[None]

    def lines(shown: Shown) -> tuple[bool, bool]:
        """Whether the middle of the labelled and of the reported area is drawn over from end to end."""
        drawn = decoded(draw(shown))[:, 314:326]
        above, below = near(drawn, TRUTH)[40:280], near(drawn, PREDICTION)[360:600]
        return bool(above.any(axis=1).all()), bool(below.any(axis=1).all())

    assert lines(Shown(large(GRAY), apart, THRESHOLDS, truth=truth, objects=large(objects))) == (True, True)
    assert lines(Shown(large(GRAY), merged, THRESHOLDS, truth=truth)) == (False, False)

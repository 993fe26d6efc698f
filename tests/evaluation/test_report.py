"""The report: what it says, what it shows, and that it is one file that loads nothing and runs its own script alone."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import MissingExtraError, Prediction, ScoredBox, ScoreMap, Task, UsageError
from onspec.evaluation import gallery, pictures, plots
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.report import ReportInput, render, write_report
from onspec.evaluation.results import ImageResult
from onspec.evaluation.tiles import tiles
from onspec.evaluation.wording import number, percent, score_text
from onspec.imaging.overlays import PREDICTION, TRUTH

THRESHOLDS = Thresholds(image=0.5, pixel=0.5, window=1, basis="least cost on 5 % of <b>parts</b>")
MISSED, REJECTED = "bad/<script>alert(1)</script>.png", "good/over.png"


def score_map(peak: float, side: int = 40) -> ScoreMap:
    """0.01 everywhere but for a square of 10 px."""
    values = np.full((side, side), 0.01, np.float32)
    values[5:15, 5:15] = peak
    return ScoreMap(values)


def seen(*maps: ScoreMap) -> Prediction:
    """A prediction of these maps."""
    return Prediction(maps)


def drawing(
    image: NDArray[np.uint8], prediction: Prediction, truth: NDArray[np.uint8] | None, thresholds: Thresholds
) -> bytes:
    return pictures.draw(pictures.Shown(image, prediction, thresholds, truth=truth))


def label(x: int, side: int = 40) -> NDArray[np.uint8]:
    """A square of 10 px at x, in the rows of the map's."""
    truth = np.zeros((1, side, side), np.uint8)
    truth[0, 5:15, x : x + 10] = 1
    return truth


@pytest.fixture
def evaluator() -> Evaluator:
    """An escape, a false reject, a rough find, exact finds, good images and one that cannot be read."""
    found = Evaluator(("defect",), THRESHOLDS)
    found.add(MISSED, "p0", True, seen(score_map(0.2)), label(5))
    found.add("bad/rough.png", "p1", True, seen(score_map(0.9)), label(10))
    for i in range(3):
        found.add(f"bad/{i}.png", f"b{i}", True, seen(score_map(0.99)), label(5))
    found.add(REJECTED, "p2", False, seen(score_map(0.7)), None)
    for i in range(4):
        found.add(f"good/{i}.png", f"g{i}", False, seen(score_map(0.02 + i / 100)), None)
    found.add_error("good/broken.png", "p3", False, "good/broken.png: truncated & unreadable")
    return found


def picture(_: ImageResult) -> bytes:
    return drawing(np.full((40, 40), 90, np.uint8), seen(score_map(0.9)), label(10), THRESHOLDS)


@pytest.fixture
def given(evaluator: Evaluator) -> ReportInput:
    rows: list[dict[str, float | None]] = [
        {"step": 1, "loss": 1.0},
        {"step": 2, "loss": 0.5, "dice_train": 0.5, "val_dice": 0.4, "val_ap": None},
    ]
    return ReportInput("tile", evaluator.results, evaluator.metrics(), picture, rows)


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of style and scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._style = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._style = self._style and tag not in ("style", "script")

    def handle_data(self, data: str) -> None:
        self.text += "" if self._style else f" {data.strip()}" if data.strip() else ""


def scripts(html: str) -> list[str]:
    return re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)


@pytest.mark.slow
def test_it_is_one_file_that_loads_nothing(given: ReportInput) -> None:
    page = Page(render(given))
    names = {tag for tag, _ in page.tags}
    assert names.isdisjoint({"link", "iframe", "object", "form", "a"})
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert tag != "script" or "src" not in attributes
        if tag == "img":
            assert re.match(r"data:image/(svg\+xml|jpeg);base64,", attributes["src"] or "")
            assert attributes["alt"]
    assert "://" not in re.sub(r"base64,[\w+/=]+", "", render(given))


def test_its_policy_lets_its_own_script_run_and_nothing_else(given: ReportInput) -> None:
    html = render(given)
    data, script = scripts(html)
    policy = next(a["content"] or "" for tag, a in Page(html).tags if a.get("http-equiv") == "Content-Security-Policy")
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{hashed}'" in policy
    assert policy.startswith("default-src 'none'")
    assert json.loads(data)["counts"]["images"]["defective"] == 5


@pytest.mark.slow
def test_a_file_name_is_text_and_nothing_else(given: ReportInput) -> None:
    html = render(given)
    assert html.count("<script") == 2
    assert MISSED in [name for name, *_ in json.loads(scripts(html)[0])["names"]]
    assert MISSED in Page(html).text
    assert "<b>parts</b>" not in html
    assert "truncated & unreadable" in Page(html).text


def test_the_figures_come_first(given: ReportInput) -> None:
    text = Page(render(given)).text
    places = [text.index(word) for word in ("Escapes 1 of 5", "Verdicts", "Scores", "Escapes: 1", "Learning curves")]
    assert places == sorted(places)
    assert "False rejects 1 of 5 20.0\xa0%; with 95\xa0% confidence the true rate lies between 0.5\xa0%" in text
    assert "5 good and 5 defective judged; 1 could not be judged" in text
    assert "least cost on 5\xa0% of" in text


@pytest.mark.slow
def test_the_table_of_verdicts(given: ReportInput) -> None:
    text = Page(render(given)).text
    assert "truth OK REVIEW NG good 4 0 1 false rejects defective 1 escapes 0 4" in text
    reviews = [a for tag, a in Page(render(given)).tags if tag in ("td", "th") and a.get("class") == "to-review"]
    assert len(reviews) == 3
    assert all("hidden" in attributes for attributes in reviews)


@pytest.mark.slow
def test_a_table_with_a_review_column() -> None:
    band = Evaluator(("defect",), THRESHOLDS.model_copy(update={"review": 0.1}))
    band.add("a.png", "a", True, seen(score_map(0.2)), label(5))
    band.add("b.png", "b", False, seen(score_map(0.02)), None)
    html = render(ReportInput("tile", band.results, band.metrics(), picture))
    assert "truth OK REVIEW NG good 1 0 0 false rejects defective 0 escapes 1 0" in Page(html).text
    assert not [a for _, a in Page(html).tags if a.get("class") == "to-review" and "hidden" in a]
    assert "; 1 more to review" in tiles(band.metrics())[0].note
    assert "Learning curves" not in html


def test_notes_and_provenance(given: ReportInput) -> None:
    metrics = given.metrics.model_copy(update={"notes": ("Judge it by the <test> images.",)})
    text = Page(render(replace(given, metrics=metrics))).text
    assert "Judge it by the <test> images." in text
    assert "Where this comes from" not in text


def test_a_picture_that_cannot_be_made_is_said(given: ReportInput) -> None:
    text = Page(render(replace(given, picture=lambda _: None))).text
    assert "could not be read again" in text


@pytest.mark.parametrize("kept", ["good", "bad", "none"])
def test_what_is_not_defined_is_not_shown_as_perfect(kept: str) -> None:
    some = Evaluator(("defect",), THRESHOLDS)
    if kept == "good":
        some.add("g.png", "g", False, seen(score_map(0.02)), None)
    elif kept == "bad":
        some.add("b.png", "b", True, seen(score_map(0.9)), None)
    else:
        some.add_error("e.png", "e", True, "e.png: broken")
    page = Page(render(ReportInput("tile", some.results, some.metrics(), picture)))
    by_name = {tile.name: tile for tile in tiles(some.metrics())}
    assert by_name["Image AP"].figure == "n/a"
    assert by_name["Dice"].figure == "n/a"
    assert ("not defined" in by_name["Escapes"].note) == (kept != "bad")
    assert "Precision and recall" not in page.text


@pytest.mark.slow
def test_the_file_is_written_whatever_a_name_holds(given: ReportInput, tmp_path: Path) -> None:
    odd = replace(given.results[0], name="bad/\udcff.png")
    write_report(tmp_path / "report.html", replace(given, results=[odd, *given.results[1:]]))
    assert r"\udcff.png" in (tmp_path / "report.html").read_text("utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        write_report(tmp_path / "report.html" / "x", given)


def test_without_its_packages_it_names_the_install_line(given: ReportInput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'onspec[evaluate]'")):
        render(given)
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'onspec[evaluate]'")):
        render(given)


def test_groups_show_what_went_wrong_worst_first(evaluator: Evaluator) -> None:
    groups = {group.title: [r.name for r in group.results] for group in gallery.choose(evaluator.results)}
    assert groups == {
        "Escapes: 1": [MISSED],
        "False rejects: 1": [REJECTED],
        "Found, but poorly outlined": ["bad/rough.png", "bad/0.png", "bad/1.png", "bad/2.png"],
    }


def test_what_lies_next_to_the_threshold_is_shown_too(evaluator: Evaluator) -> None:
    last = gallery.choose(evaluator.results, most=2, threshold=0.5)[-1]
    assert last.title == "Next to the threshold"
    assert [r.name for r in last.results] == ["bad/2.png", "good/3.png"]


def test_groups_are_limited_and_in_order() -> None:
    found = Evaluator(("defect",), THRESHOLDS)
    for i in range(20):
        found.add(f"b{i:02}", f"b{i}", True, seen(score_map(0.45 - i / 100 if i < 10 else 0.9)), label(5 + i // 4))
        found.add(f"g{i:02}", f"g{i}", False, seen(score_map(0.6 + i / 100 if i < 10 else 0.1)), None)
    groups = gallery.choose(found.results, most=3)
    assert [g.title for g in groups] == [
        "Escapes: 10", "False rejects: 10", "Found, but poorly outlined", "Typical finds",
    ]  # fmt: skip
    assert [r.name for r in groups[0].results] == ["b09", "b08", "b07"]
    assert [r.name for r in groups[1].results] == ["g09", "g08", "g07"]
    assert groups[0].sentence == "10 defective images were judged OK; the worst 3."
    assert {r.name for r in groups[2].results}.isdisjoint(r.name for r in groups[3].results)


def test_where_nothing_went_wrong_the_nearest_is_shown() -> None:
    found = Evaluator(("defect",), THRESHOLDS)
    for i in range(5):
        found.add(f"b{i}", f"b{i}", True, seen(score_map(0.9 + i / 100)), None)
        found.add(f"g{i}", f"g{i}", False, seen(score_map(0.1 + i / 100)), None)
    escapes, rejects = gallery.choose(found.results)
    assert (escapes.title, [r.name for r in escapes.results]) == ("Escapes: none", ["b0", "b1", "b2"])
    assert (rejects.title, [r.name for r in rejects.results]) == ("False rejects: none", ["g4", "g3", "g2"])


def decoded(jpeg: bytes) -> NDArray[np.int16]:
    """RGB (H, W, 3)."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.int16)


def near(picture: NDArray[np.int16], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture - np.array(colour)).max(axis=2) < 60)


def test_truth_and_marks_are_outlined_where_they_are() -> None:
    drawn = decoded(drawing(np.full((40, 40), 90, np.uint8), seen(score_map(0.9)), label(25), THRESHOLDS))
    assert drawn.shape == (640, 640, 3)
    for colour, left in ((TRUTH, 25), (PREDICTION, 5)):
        rows, columns = np.nonzero(near(drawn, colour))
        box = np.array([columns.min(), rows.min(), columns.max(), rows.max()]) / 16
        np.testing.assert_allclose(box, [left, 5, left + 10, 15], atol=0.5)


def test_a_large_image_is_cut_to_where_something_is() -> None:
    image = np.full((3000, 4000), 90, np.uint8)
    values = np.zeros(image.shape, np.float32)
    values[2900:2904, 3900:3904] = 0.9
    drawn = decoded(drawing(image, seen(ScoreMap(values)), None, THRESHOLDS))
    assert drawn.shape == (640, 640, 3)
    rows, columns = np.nonzero(near(drawn, PREDICTION))
    assert (columns.min(), rows.min()) == (540, 540)
    nothing = decoded(drawing(image, seen(ScoreMap(np.zeros_like(values))), None, THRESHOLDS))
    assert nothing.shape == (480, 640, 3)
    assert not near(nothing, PREDICTION).any()


def test_a_faint_reject_shows_what_rejected_it() -> None:
    faint = Thresholds(image=0.3, pixel=0.8)
    image = np.full((40, 40), 90, np.uint8)
    assert near(decoded(drawing(image, seen(score_map(0.5)), None, faint)), PREDICTION).any()
    assert not near(decoded(drawing(image, seen(score_map(0.25)), None, faint)), PREDICTION).any()


def test_diagrams_are_the_same_each_time() -> None:
    draw: list[Callable[[], bytes | None]] = [
        lambda: plots.score_histogram(np.array([0.0, 0.2]), np.array([1.0]), 0.5).svg,
        lambda: plots.precision_recall_curve(np.array([True, False]), np.array([0.9, 0.2]), 0.5),
        lambda: b"".join(plots.learning_curves([{"step": 1, "loss": 0.3}])),
    ]
    for diagram in draw:
        first = diagram()
        assert first is not None
        assert first == diagram()
        assert b"<svg" in first
    assert plots.precision_recall_curve(np.array([True]), np.array([0.9]), 0.5) is None


@pytest.mark.parametrize(
    ("value", "text"), [(None, "n/a"), (1.0, "1.000"), (0.99996, ">0.999"), (0.9994, "0.999"), (0.0, "0.000")]
)
def test_a_figure_that_is_not_1_never_reads_1(value: float | None, text: str) -> None:
    assert number(value) == text


def test_shares_and_scores_in_words() -> None:
    assert [percent(v) for v in (0.0, 0.0004, 0.132, 1.0)] == ["0 %", "0.040 %", "13.2 %", "100.0 %"]
    assert [score_text(v) for v in (0.0, 1e-6, 0.5, 0.99999, 1.0)] == [
        "0.0000",
        "<0.0001",
        "0.5000",
        ">0.9999",
        "1.0000",
    ]


@pytest.mark.slow
def test_pictures_are_embedded_whole(given: ReportInput) -> None:
    sources = [a["src"] or "" for tag, a in Page(render(given)).tags if tag == "img"]
    jpegs = [base64.b64decode(s.partition("base64,")[2]) for s in sources if s.startswith("data:image/jpeg")]
    assert len(jpegs) == 9
    assert {decoded(jpeg).shape for jpeg in jpegs} == {(640, 640, 3)}


BOX = (5, 5, 10, 10)


def scored(task: Task, classes: tuple[str, ...] = ("dent", "scratch")) -> Evaluator:
    """A good image that passes, a dent that is found, a scratch that is taken for a dent."""
    done = Evaluator(classes, THRESHOLDS, task)
    xywh, rank = np.array([BOX], np.float32), {cls: np.array([i]) for i, cls in enumerate(classes)}
    for name, cls, told, score in (("g", None, "dent", 0.1), ("d", "dent", "dent", 0.9), ("s", "scratch", "dent", 0.7)):
        maps = [ScoreMap(score_map(score if c == told else 0.0).values * np.float32(c == told), c) for c in classes]
        prediction = Prediction(tuple(maps), (ScoredBox(told, score, *BOX),))
        boxes = None if cls is None else (xywh, rank[cls])
        truth = None
        if cls is not None:
            truth = np.zeros((len(classes), 40, 40), np.uint8)
            truth[classes.index(cls)] = label(5)[0]
        done.add(f"{name}.png", name, cls is not None, prediction, truth, cls=cls, boxes=boxes)
    return done


def text_of(done: Evaluator) -> str:
    return Page(render(ReportInput("tile", done.results, done.metrics(), picture))).text


def test_a_classifiers_report() -> None:
    text = text_of(scored(Task.CLASSIFY))
    assert "Class told right 0.667 2 of 3 images told to be what they are; heat maps against 2 masks: Dice" in text
    assert "Macro F1 0.556" in text
    assert "is ↓ told → good dent scratch images good 1 0 0 1 dent 0 1 0 1 scratch 0 1 0 1" in text
    assert "class escapes false rejects told right image AP Dice IoU AUPRO dent 0 of 1" in text
    assert "s.png scratch, NG as dent, score 0.7000" in text
    assert "Wrong class: 1 1 defective image was taken for another class." in text
    assert "heat: where the recipe saw a defect" in text
    assert "Defects found" not in text


def test_a_class_that_is_on_the_image_is_not_wrong() -> None:
    """Of an image with two classes, the smaller one is no mistake."""
    done = Evaluator(("dent", "scratch"), THRESHOLDS)
    both = np.stack([label(5)[0], label(20)[0]])
    both[1, 20:, 20:] = 1
    dent = score_map(0.9).values
    done.add("a", "a", True, seen(ScoreMap(dent, "dent"), ScoreMap(np.zeros_like(dent), "scratch")), both)
    assert (done.results[0].true_cls, done.results[0].cls) == ("scratch", "dent")
    assert not [group for group in gallery.choose(done.results) if group.title.startswith("Wrong class")]


def test_a_detectors_report() -> None:
    text = text_of(scored(Task.DETECT))
    assert "Box AP 0.500 average precision of boxes at IoU 0.5; mean over IoU 0.5 to 0.95 0.500" in text
    assert "Defects found 1 of 2 1 of 2 boxes are right" in text
    assert "s.png defective, NG, score 0.7000, 0 of 1 defects found, 1 wrong box" in text
    assert "d.png defective, NG, score 0.9000, 1 of 1 defects found" in text
    assert "Found, but not all boxes right" in text
    assert "Dice" not in text


@pytest.mark.slow
def test_a_report_of_several_classes_that_were_segmented() -> None:
    text = text_of(scored(Task.SEGMENT))
    assert "Dice 1.000" in text
    assert "region F1 0.500; boxes around them: AP at IoU 0.5 0.500" in text
    assert "One with defects of several classes counts for the class with most labelled area." in text
    assert "d.png dent, NG as dent, score 0.9000, Dice 1.00" in text


def test_one_class_has_no_tables_of_classes(given: ReportInput) -> None:
    text = Page(render(given)).text
    assert "Classes told apart" not in text
    assert "Each class" not in text


def test_without_good_images_no_panel_is_empty() -> None:
    one = plots.score_histogram(np.array([]), np.array([0.9]), 0.5).svg
    both = plots.score_histogram(np.array([0.1]), np.array([0.9]), 0.5).svg
    assert one.count(b'id="axes_') == 1
    assert both.count(b'id="axes_') == 2
    only_bad = Evaluator(("defect",), THRESHOLDS)
    only_bad.add("b.png", "b", True, seen(score_map(0.9)), None)
    rejects = {tile.name: tile for tile in tiles(only_bad.metrics())}["False rejects"]
    assert (rejects.figure, rejects.level) == ("0 of 0", "")


@pytest.mark.parametrize("key", ["val_dice", "val_map_50", "val_accuracy", "recall_train"])
def test_curves_of_every_task(key: str) -> None:
    rows = [{"step": 1, "loss": 1.0, key: 0.2}, {"step": 2, "loss": 0.5, key: 0.4}]
    assert plots.learning_curves(rows)[1] != plots.learning_curves([{"step": 1, "loss": 1.0}])[1]

"""The page that a person looks at before training."""

import base64
import builtins
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.check_page import render, require_page, write_page
from onspec.datasets.checking import check
from onspec.datasets.contact_sheet import SIDE, draw, evenly, sheets
from onspec.datasets.layouts import load
from onspec.domain import Box, MissingExtraError, Sample
from onspec.imaging.overlays import TRUTH

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]


@pytest.fixture
def sound(picture: Make, mask: Make) -> Files:
    files: Files = {f"images/{n:02d}.png": picture(n) for n in range(60)}
    return files | {f"masks/{n:02d}.png": mask() for n in range(30)}


def page(root: Path) -> str:
    dataset = load(root)
    return render(dataset, check(dataset))


def decoded(jpeg: bytes) -> Pixels:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def green(picture: Pixels) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture.astype(int) - TRUTH).max(axis=2) < 70, np.bool_)


def test_the_page_shows_labels_and_says_of_how_many(build: Build, sound: Files) -> None:
    html = page(build(sound))
    assert "Nothing wrong was found" in html
    assert "24 of 30 images, evenly over the set." in html
    assert html.count("data:image/jpeg;base64,") == 48
    first = re.search(r"base64,([A-Za-z0-9+/=]+)", html)
    assert first is not None
    assert green(decoded(base64.b64decode(first[1]))).sum() > 100


def test_the_page_needs_nothing_else(build: Build, sound: Files) -> None:
    html = page(build(sound))
    assert "<script" not in html
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
    assert "http" not in html.replace("http-equiv", "")


def test_names_cannot_break_the_page(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {f"images/<b>&{n}.png": picture(n) for n in range(9)}
    html = page(build(files | {f"masks/<b>&{n}.png": mask() for n in range(5)}))
    parser = HTMLParser()
    parser.feed(html)
    assert "<b>&1" not in html
    assert "images/&lt;b&gt;&amp;1.png" in html


def test_what_problems_name_is_shown_side_by_side_with_its_twin(build: Build, sound: Files, picture: Make) -> None:
    dataset = load(build(sound | {"images/70.png": picture(3), "images/71.png": (picture(50) // 6).astype(np.uint8)}))
    report = check(dataset)
    chosen = {sheet.title: sheet for sheet in sheets(dataset, report.problems)}
    assert [[s.name for s in row] for row in chosen["duplicate-labels"].rows] == [["images/03.png", "images/70.png"]]
    assert [s.name for row in chosen["exposure"].rows for s in row] == ["images/71.png"]
    html = render(dataset, report)
    assert html.index("images/03.png is the same file as images/70.png, but their labels differ") > 0
    assert html.index(">duplicate-labels<") < html.index(">exposure<")


def test_unreadable_images_are_told_and_leave_the_page_whole(build: Build, sound: Files) -> None:
    html = page(build(sound | {"images/02.png": b"no image", "images/41.png": b""}))
    assert "no image" not in html.split("<h2>Problems</h2>")[0]
    assert "2 errors" in html
    assert "unreadable" in html


def test_a_label_that_does_not_fit_is_not_drawn(build: Build, sound: Files, mask: Make) -> None:
    dataset = load(build(sound | {"masks/00.png": mask(shape=(31, 40))}))
    drawn = draw(dataset.samples[0])
    assert drawn is not None
    assert not green(decoded(drawn.data)).any()


def test_boxes_are_framed_where_they_are(build: Build) -> None:
    root = build({"a.png": np.full((100, 200), 60, np.uint8)})
    sample = Sample("a.png", root / "a.png", "a", defective=True, annotations=(Box(100, 50, 60, 40),))
    drawn = draw(sample)
    assert drawn is not None
    ys, xs = np.nonzero(green(decoded(drawn.data)))
    scale = SIDE / 200
    corners = (xs.min() / scale, ys.min() / scale, xs.max() / scale, ys.max() / scale)
    assert corners == pytest.approx((100, 50, 160, 90), abs=2.5)
    assert drawn.view == ""


def test_of_a_large_image_the_surroundings_of_the_label_are_shown(build: Build) -> None:
    image = np.full((2000, 3000), 60, np.uint8)
    mask = np.zeros_like(image)
    mask[1500:1510, 2500:2512] = 255
    dataset = load(build({"images/a.png": image, "images/b.png": image + 1, "masks/a.png": mask}))
    drawn, good = draw(dataset.samples[0]), draw(dataset.samples[1])
    assert drawn is not None
    assert good is not None
    assert drawn.view == "cut-out of 3000×2000 px at (2186, 1185)"
    assert decoded(drawn.data).shape == (SIDE, SIDE, 3)
    assert (good.view, decoded(good.data).shape) == ("", (SIDE * 2 // 3, SIDE, 3))


def test_pictures_are_spread_over_the_set_and_over_parts() -> None:
    samples = [Sample(f"{n:04d}.png", Path("x"), str(n // 6), defective=False) for n in range(600)]
    chosen = evenly(samples, 20)
    assert len({s.part for s in chosen}) == 20
    assert (chosen[0].name, chosen[-1].part) == ("0000.png", "99")
    assert evenly(samples[:5], 20) == samples[:5]
    assert len(evenly(samples[:30], 20)) == 20


def test_a_page_of_many_classes_stays_small(build: Build, picture: Make) -> None:
    files: Files = {f"good/{n:03d}.png": picture(n) for n in range(50)}
    files |= {f"kind{n % 40}/{n:03d}.png": picture(100 + n) for n in range(400)}
    dataset = load(build(files))
    shown = [s for sheet in sheets(dataset, ()) for row in sheet.rows for s in row]
    assert len(shown) == 40 * 4 + 24
    assert len(render(dataset, check(dataset))) < 8_000_000


def test_the_page_is_written(build: Build, sound: Files, tmp_path: Path) -> None:
    dataset = load(build(sound))
    write_page(tmp_path / "out" / "check.html", dataset, check(dataset))
    assert (tmp_path / "out" / "check.html").read_text("utf-8").startswith("<!doctype html>")


def test_without_jinja2_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:  # noqa: ANN401 - the signature of __import__
        if name == "jinja2":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'onspec\[evaluate\]'"):
        require_page()

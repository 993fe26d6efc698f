"""The report's slider in a real browser: Debian's Chromium."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.report import ReportInput, write_report

pytestmark = pytest.mark.browser

SCORES = [(False, 0.05), (False, 0.1), (False, 0.3), (False, 0.7), (True, 0.4), (True, 0.8), (True, 0.9), (True, 0.95)]
"""With the threshold at 0.5: one escape of four and one false reject of four."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    assert found, "no chromium on the PATH; apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    e = Evaluator(("defect",), Thresholds(image=0.5))
    for number, (defective, score) in enumerate(SCORES):
        name = f"{'bad' if defective else 'good'}/{score}.png"
        e.add(name, str(number), defective, Prediction((ScoreMap(np.full((4, 4), score, np.float32)),)), None)
    out = tmp_path_factory.mktemp("report") / "report.html"
    write_report(out, ReportInput("tile", e.results, e.metrics(), lambda _: None))
    return out


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    """The report, opened from the disk; what its console says fails the test."""
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        said.append(message.text)

    opened = browser.new_page()
    opened.on("console", heard)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(report.as_uri())
    yield opened
    opened.close()
    assert said == []


def cells(page: Page, row: str) -> list[str]:
    return page.locator(f'[data-rate="{row}"] td').all_inner_texts()


def verdicts(page: Page) -> dict[str, int]:
    shown = page.locator("[data-verdict]").all()
    return {cell.get_attribute("data-verdict") or "": int(cell.text_content() or "") for cell in shown}


def press(page: Page, key: str, times: int = 1) -> None:
    page.locator("#what-if-image").focus()
    for _ in range(times):
        page.keyboard.press(key)


@pytest.mark.slow
def test_at_first_everything_is_as_at_the_recipes_threshold(page: Page) -> None:
    assert page.locator("#what-if-image-at").inner_text() == "0.5"
    assert page.locator("#what-if-back").is_disabled()
    assert not page.locator("[data-rates]").is_visible()
    assert page.locator("figure.changed").count() == 0
    assert verdicts(page) == {
        "goodOK": 3, "goodREVIEW": 0, "goodNG": 1, "defectiveOK": 1, "defectiveREVIEW": 0, "defectiveNG": 3,
    }  # fmt: skip


def test_one_step_down_finds_the_escape(page: Page) -> None:
    press(page, "ArrowLeft")
    assert cells(page, "images-escapes")[:3] == ["0 of 4", "0 %", "0 % to 60.2 %"]
    assert cells(page, "images-rejects")[:3] == ["1 of 4", "25.0 %", "0.6 % to 80.6 %"]
    assert cells(page, "images-rejects")[3] == "250\u202f000"
    assert verdicts(page)["defectiveNG"] == 4
    assert page.locator("#what-if-said").inner_text() == (
        "0 escapes of 4 (0 %), 1 false reject of 4 (25.0 %), cost 0.125 a part (2.63 at the recipe's), "
        "1 image changes side."
    )
    assert page.locator("#what-if-changed li").all_inner_texts() == ["bad/0.4.png (defective): OK → NG"]
    changed = page.locator("figure.changed")
    assert changed.count() == 1
    assert "OK → NG" in changed.inner_text()
    assert page.locator('[data-line="scores"]').is_visible()


def test_the_ends_of_the_slider(page: Page) -> None:
    press(page, "Home")
    assert (cells(page, "images-escapes")[0], cells(page, "images-rejects")[0]) == ("0 of 4", "4 of 4")
    press(page, "End")
    assert (cells(page, "images-escapes")[0], cells(page, "images-rejects")[0]) == ("4 of 4", "0 of 4")


def test_back_to_the_recipe(page: Page) -> None:
    before = page.locator("body").inner_text()
    press(page, "ArrowRight", 2)
    assert page.locator("body").inner_text() != before
    page.locator("#what-if-back").click()
    assert page.locator("body").inner_text() == before
    assert page.evaluate("document.activeElement.id") == "what-if-image"


def test_a_review_band(page: Page) -> None:
    page.locator("#what-if-band").check()
    page.locator("#what-if-review").focus()
    page.keyboard.press("ArrowLeft")
    assert verdicts(page)["defectiveREVIEW"] == 1
    assert cells(page, "images-escapes")[0] == "0 of 4"
    assert "1 to review" in page.locator("#what-if-said").inner_text()
    assert page.locator("th.to-review").is_visible()
    page.keyboard.press("End")  # the band never lies over the threshold
    assert verdicts(page)["goodNG"] == 1
    page.locator("#what-if-band").uncheck()
    assert page.locator("#what-if-back").is_disabled()


def test_without_scripts_everything_is_there(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert not page.locator("#what-if").is_visible()
    text = re.sub(r"\s+", " ", page.locator("body").inner_text())
    for words in ("Escapes 1 of 4 25.0 %", "Other thresholds", "What errors cost"):
        assert words in text
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(browser: Browser, report: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_it_asks_nobody_for_anything(browser: Browser, report: Path) -> None:
    page, asked = browser.new_page(), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    page.close()

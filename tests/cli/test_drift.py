"""`onspec drift`: windows of an archive or a folder, in tables, sentences, JSON and a page."""

import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.evaluation.drift import MEASURES
from onspec.imaging.writing import encode_image
from onspec.recipe.reading import open_package
from onspec.records.archive import Archive
from onspec.runtime.inspector import Inspector
from onspec.service.webhook import signature

Outcome = tuple[int, str, str]
Command = Callable[..., Outcome]
Lit = Callable[[np.random.Generator, float], NDArray[np.uint8]]

BEGIN = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)


@pytest.fixture
def archive(lit_recipe_path: Path, make_lit: Lit, tmp_path: Path) -> Path:
    """Three days of 80 parts; on the last the lamp gives two thirds of its light."""
    rng, path = np.random.default_rng(2), tmp_path / "records.db"
    with closing(Archive(str(path))) as records, closing(Inspector(open_package(lit_recipe_path), threads=1)) as judge:
        for day in range(3):
            for part in range(80):
                data = encode_image(make_lit(rng, 0.66 if day == 2 else 1.0))
                result = judge.inspect_bytes(data, f"{day}-{part}.png")
                time = BEGIN + timedelta(days=day, seconds=part)
                records.record(result.inspection, time=time)
    return path


def test_records_by_window(onspec: Command, lit_recipe_path: Path, archive: Path, tmp_path: Path) -> None:
    page = tmp_path / "drift.html"
    code, out, err = onspec("drift", lit_recipe_path, "--db", archive, "--window", 80, "--html", page)
    assert code == 0, err
    assert "windows: 3, with an alarm: 1" in out
    told = [line for line in out.splitlines() if line.startswith("2026-11-29 06:00:00Z: images have become darker")]
    assert len(told) == 1
    assert "check the lamp" in told[0]
    html = page.read_text()
    assert html.count("<details") == 3
    assert html.count('<details class="alarm" open>') == 1
    assert "http" not in html.replace("http://www.w3.org", "")
    assert html.count("<img") >= 5
    assert onspec("drift", lit_recipe_path, "--db", archive, "--window", 80, "--fail-on-drift")[0] == 1
    whole = ("drift", lit_recipe_path, "--db", archive, "--fail-on-drift")
    assert onspec(*whole, "--until", "2026-11-29")[0] == 0


def test_records_as_json(onspec: Command, lit_recipe_path: Path, archive: Path) -> None:
    code, out, err = onspec("drift", lit_recipe_path, "--db", archive, "--per-hours", 24, "--json")
    assert code == 0, err
    windows = json.loads(out)
    assert [window["state"] for window in windows] == ["ok", "ok", "alarm"]
    assert windows[2]["images"] == 80
    assert windows[2]["since"] == "2026-11-29T06:00:00Z"
    assert windows[2]["sentences"][0].startswith("images have become darker")
    [brightness] = [m for m in windows[2]["measures"] if m["measure"] == "brightness"]
    assert brightness["alarm"]
    assert brightness["median"] == pytest.approx(0.66 * brightness["training_median"], rel=0.05)
    other = onspec("drift", lit_recipe_path, "--db", archive, "--since", "2027-01-01")
    assert other[0] == 2
    assert "no records of tiny@sha256:" in other[2]


def test_a_folder(onspec: Command, lit_recipe_path: Path, make_lit: Lit, tmp_path: Path) -> None:
    rng, folder = np.random.default_rng(3), tmp_path / "images"
    folder.mkdir()
    for part in range(40):
        (folder / f"{part:03}.png").write_bytes(encode_image(make_lit(rng, 0.7)))
    (folder / "zzz.png").write_bytes(b"no image")
    code, out, err = onspec("drift", lit_recipe_path, "--images", folder, "--fail-on-drift", "--engine", "onnxruntime")
    assert code == 1, err
    assert "mean level" in out
    assert "from image 1: images have become darker" in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--db records.db, or --images DIR"),
        (["--images", ".", "--shift", "06:00"], "give --window only"),
        (["--db", "a.db", "--shift", "06:00", "--window", "50"], "give one of them"),
        (["--db", "a.db", "--shift", "6"], "is no time of day"),
        (["--db", "nowhere.db"], "no such archive"),
        (["--db", "a.db", "--rate", "2"], "between 0 and 1"),
    ],
)
def test_what_cannot_be_asked(onspec: Command, lit_recipe_path: Path, options: list[str], says: str) -> None:
    code, _, err = onspec("drift", lit_recipe_path, *options)
    assert code == 2
    assert says in err


def test_a_recipe_that_knows_no_images_says_so(onspec: Command, tiny_recipe_path: Path) -> None:
    code, _, err = onspec("drift", tiny_recipe_path, "--db", "a.db")
    assert code == 2
    assert "does not know how its training images looked" in err


DOCS = Path(__file__).parents[2] / "docs" / "drift.md"


def test_the_page_names_what_there_is(onspec: Command) -> None:
    text = DOCS.read_text()
    known = " ".join(onspec(verb, "--help")[1] for verb in ("drift", "serve"))
    options = set(re.findall(r"--[a-z][a-z-]+", text)) - {"--workers"}
    assert len(options) > 12
    assert {option for option in options if option not in known} == set()
    for measure in MEASURES:
        assert f"`{measure}`" in text


def test_the_receiver_of_the_page_knows_a_genuine_post() -> None:
    [code] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    body, secret = b'{"event": "drift-alarm"}', b"0123456789abcdef"
    now = int(time.time())
    assert names["genuine"](signature(secret, body, now), body, secret)
    assert not names["genuine"](signature(secret, body, now), body + b" ", secret)
    assert not names["genuine"](signature(secret, body, now), body, b"another secret...")
    assert not names["genuine"](signature(secret, body, now - 3600), body, secret)

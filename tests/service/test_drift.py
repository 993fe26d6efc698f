"""The watch on drift inside the service: windows of several workers, alarms that hold, records after a restart."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

from onspec.domain import UsageError
from onspec.imaging.writing import encode_image
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Decoded, Inspector
from onspec.service import drift
from onspec.service.app import Settings, create_app
from onspec.service.drift import DriftWatch
from onspec.service.drift_window import DriftPolicy
from onspec.service.metrics import Metrics
from onspec.service.recipes import Recipes
from onspec.service.recording import Archiving
from onspec.service.running import Station, application

Lit = Callable[[np.random.Generator, float], NDArray[np.uint8]]


@pytest.fixture
def lit(lit_recipe_path: Path) -> Iterator[Inspector]:
    """The recipe that knows how its images look."""
    inspector = Inspector(open_package(lit_recipe_path), threads=1)
    yield inspector
    inspector.close()


@dataclass
class Pipe:
    """What one worker tells the other."""

    heard: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    other: "Pipe | None" = None
    told: list[str] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def tell(self, kind: str, value: object) -> None:
        """To the other, from any thread."""
        self.told.append(kind)
        if self.other is not None and kind in self.other.heard:
            self.loop.call_soon_threadsafe(self.other.heard[kind], value)


@pytest.fixture
def line(lit: Inspector, make_lit: Lit) -> Callable[[DriftWatch, int, float], None]:
    """Have a watch see so many parts under such a light."""
    rng = np.random.default_rng(7)

    def see(watch: DriftWatch, count: int, light: float = 1.0) -> None:
        for _ in range(count):
            watch.see(lit.inspect_decoded(Decoded(make_lit(rng, light), 0.0), "a.png").inspection)

    return see


async def settled(watch: DriftWatch) -> None:
    """Until what was seen is taken in and compared."""
    await asyncio.sleep(0.05)
    while watch._comparing is not None:
        await asyncio.sleep(0.01)


def said(watch: DriftWatch) -> tuple[str, set[str]]:
    [info] = watch.told()
    return info.state, {alarm.measure for alarm in info.alarms}


def test_an_alarm_holds_until_a_whole_window_was_clear(
    lit: Inspector, line: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "_GATHER_S", 0.01)

    async def run() -> None:
        watch = DriftWatch(DriftPolicy(120), Recipes([lit]), Metrics())
        async with watch.running():
            line(watch, 29)
            await settled(watch)
            assert said(watch) == ("not yet", set())
            line(watch, 91)
            await settled(watch)
            assert said(watch) == ("ok", set())
            line(watch, 500)  # so much is known of what is usual that half a window shows a jump
            await settled(watch)
            assert said(watch) == ("ok", set())
            line(watch, 60, 0.7)
            await settled(watch)
            state, names = said(watch)
            assert state == "alarm"
            assert "brightness" in names
            line(watch, 120)
            for clear in range(1, 5):
                line(watch, 30)
                await settled(watch)
                assert said(watch)[0] == ("ok" if clear == 4 else "alarm"), clear
            assert watch.told()[0].images == 120
            past = watch._watched[lit.identity].before
            assert any(seen.look is None for seen in past)  # what drifted is no measure of what is usual

    asyncio.run(run())


def test_two_workers_see_all_and_one_of_them_speaks(
    lit: Inspector, line: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "_GATHER_S", 0.01)

    async def run() -> None:
        one, two = Pipe(), Pipe()
        one.other, two.other = two, one
        recipes = Recipes([lit])
        first, second = (DriftWatch(DriftPolicy(60), recipes, Metrics(), pipe) for pipe in (one, two))
        async with first.running():
            one.heard[drift.LEADER](True)
            async with second.running():
                line(first, 40, 0.7)
                line(second, 40, 0.7)
                await settled(first)
                assert said(first) == said(second)
                assert said(first)[0] == "alarm"
                assert {info.images for watch in (first, second) for info in watch.told()} == {60}
                assert drift.TOLD in one.told
                assert drift.TOLD not in two.told
            # One that takes its place asks, and knows all of it.
            third = DriftWatch(DriftPolicy(60), recipes, Metrics(), two)
            assert said(third) == ("not yet", set())
            async with third.running():
                await settled(third)
                assert said(third) == said(first)
                assert third.told()[0].images == 60

    asyncio.run(run())


def test_a_version_that_is_unloaded_is_forgotten(
    lit: Inspector, line: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(drift, "_GATHER_S", 0.01)

    async def run() -> None:
        recipes = Recipes([lit])
        watch = DriftWatch(DriftPolicy(60), recipes, Metrics())
        with caplog.at_level("INFO", "onspec.service"):
            async with watch.running():
                line(watch, 60, 0.7)
                await settled(watch)
                assert said(watch)[0] == "alarm"
                await recipes.unload(lit.recipe.name)
                watch._take([])
                assert watch.told() == []
        assert [record.message for record in caplog.records if "drift" in record.message] == [
            "drift-alarm",
            "drift-end",
        ]

    asyncio.run(run())


Served = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@contextmanager
def judging(app: FastAPI, served: Served) -> Iterator[httpx.Client]:
    with served(app) as client:
        while client.get("/v2/health/ready").status_code != 200:
            pass
        yield client


@pytest.mark.slow
def test_after_a_restart_the_records_fill_the_window(
    lit_recipe_path: Path, make_lit: Lit, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "_GATHER_S", 0.02)
    rng = np.random.default_rng(8)
    station = Station(
        (lit_recipe_path,), archive=Archiving(str(tmp_path / "records.db")), settings=Settings(drift=DriftPolicy(60))
    )
    with judging(application(station), served) as client:
        for _ in range(70):
            assert client.post("/api/inspect", content=encode_image(make_lit(rng, 0.7))).status_code == 200
    with judging(application(station), served) as client:
        for _ in range(200):
            [info] = client.get("/api/drift").json()
            if info["state"] == "alarm":
                break
        assert info["images"] == 60
        assert "brightness" in [alarm["measure"] for alarm in info["alarms"]]
        assert info["window"]["since"] < info["window"]["until"]


def test_without_a_window_nothing_is_watched(lit: Inspector, served: Served) -> None:
    with judging(create_app([lit], settings=Settings(drift=None)), served) as client:
        assert client.get("/api/drift").status_code == 404


def test_images_that_are_not_inspectable_are_counted(lit: Inspector, served: Served) -> None:
    """Without any contrast at all where the training had some: here the limits are the plant's own."""
    with judging(create_app([lit]), served) as client:
        client.post("/api/inspect", content=encode_image(np.full((64, 96), 40, np.uint8)))
        assert "onspec_not_inspectable_total{" not in client.get("/metrics").text
    metrics = Metrics()
    metrics.not_inspectable("tiny")
    assert 'onspec_not_inspectable_total{recipe="tiny"} 1.0' in metrics.text().decode()


@pytest.mark.parametrize("wrong", [{"window": 59}, {"window": 100, "rate": 0}])
def test_a_policy_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        DriftPolicy(**wrong)


def test_the_service_watches_without_scipy_or_diagrams() -> None:
    """They are of an extra that a station need not have."""
    code = "import sys, onspec.service.app; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert "fastapi" in done.stdout.split()
    assert not {"scipy", "matplotlib", "jinja2"} & set(done.stdout.split())

"""Several workers on one socket: what dies is replaced, and what one is told all know."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from onspec.recipe.reading import open_package
from onspec.recipe.writing import pack

pytestmark = pytest.mark.slow

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ONSPEC_")}
ANEW = {"Connection": "close"}
"""Headers with which every request has a connection of its own, which any of the workers may take."""
SERVE = ("-m", "onspec.cli", "serve", "--port", "0", "--workers", "2")


class Station:
    """`onspec serve --workers 2`, or another program that starts workers, and its log."""

    def __init__(self, recipe: Path, log: Path, *options: str, command: Sequence[str] = SERVE) -> None:
        command = [sys.executable, *command, str(recipe), *options]
        self._log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr, env=ENVIRONMENT)
        assert until(lambda: len(self.events("ready")) >= 2), log.read_text()
        self.url = next(word for word in log.read_text().split() if word.startswith("http://"))

    def events(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log about something."""
        lines = [line for line in self._log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in map(json.loads, lines) if line["event"] == event]

    @property
    def workers(self) -> list[int]:
        """Process ids of those that live."""
        gone = {line["pid"] for line in self.events("worker died")}
        return [line["pid"] for line in self.events("worker started") if line["pid"] not in gone]


@contextmanager
def station(recipe: Path, *options: str, command: Sequence[str] = SERVE) -> Iterator[Station]:
    with tempfile.TemporaryDirectory() as folder:
        running = Station(recipe, Path(folder) / "log", *options, command=command)
        try:
            yield running
        finally:
            running.process.send_signal(signal.SIGTERM)
            try:
                assert running.process.wait(45) == 0
            finally:
                running.process.kill()
            assert not any(Path(f"/proc/{pid}").exists() for pid in running.workers)


def until(holds: Callable[[], bool]) -> bool:
    """Whether it holds within 30 s."""
    for _ in range(600):
        if holds():
            return True
        time.sleep(0.05)
    return False


def test_a_killed_worker_loses_and_doubles_nothing(tiny_recipe_path: Path, good: bytes, defective: bytes) -> None:
    """Whoever has no answer asks again under the same part id. Every answer is right, and is logged exactly once."""

    def ask(part: int) -> int:
        """How often it had to ask."""
        for attempt in range(1, 50):
            try:
                with httpx.Client(timeout=20) as client:
                    for _ in range(2):  # the second on a connection that is kept
                        data, verdict = ((good, "OK"), (defective, "NG"))[part % 2]
                        answer = client.post(
                            f"{running.url}/api/inspect", params={"part_id": f"{part}-{attempt}"}, content=data
                        )
                        assert answer.status_code == 200, answer.text
                        assert answer.json()["verdict"] == verdict
                        answered.append(f"{part}-{attempt}")
            except httpx.TransportError:
                continue
            return attempt
        pytest.fail("never answered")

    answered: list[str] = []
    with station(tiny_recipe_path) as running, ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(ask, part) for part in range(120)]
        assert until(lambda: len(answered) > 40)
        killed = running.workers[0]
        os.kill(killed, signal.SIGKILL)
        assert all(each.result(60) < 10 for each in asking)
        assert until(lambda: len(running.events("ready")) >= 3)
        assert len(running.workers) == 2
        assert killed not in running.workers
        assert httpx.post(f"{running.url}/api/inspect", content=good).json()["verdict"] == "OK"
        judged = Counter(line["part_id"] for line in running.events("inspected"))
        told = Counter(answered)
        assert len({part.partition("-")[0] for part in told}) == 120
        assert all(judged[part] >= count for part, count in told.items())  # nothing was answered that was not judged
        assert sum(judged.values()) - told.total() <= 8 + 1  # what was in work when it was killed, and the one above


def test_a_hung_worker_is_replaced_while_traffic_goes_on(
    tiny_recipe_path: Path, good: bytes, defective: bytes, tmp_path: Path
) -> None:
    """A worker is stopped under load: alive, with connections, but answering nothing."""
    archive = pytest.importorskip("onspec.records.archive", reason="the extra 'serve' is not installed")
    from onspec.records.query import Filter

    db, answered, done = str(tmp_path / "r.db"), dict[str, str](), threading.Event()

    def ask(client: int) -> None:
        """Part after part; whoever has no answer asks again under another name."""
        part = 0
        while not done.is_set():
            with contextlib.suppress(httpx.TransportError), httpx.Client(timeout=30) as asking:
                for _ in range(20):
                    part, name = part + 1, f"{client}-{part}"
                    data, verdict = ((good, "OK"), (defective, "NG"))[part % 2]
                    answer = asking.post(f"{running.url}/api/inspect", params={"part_id": name}, content=data)
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["verdict"] == verdict
                    answered[name] = answer.json()["record"]

    with station(tiny_recipe_path, "--worker-timeout", "3", "--db", db) as running, ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(ask, client) for client in range(4)]
        assert until(lambda: len(answered) > 40)
        everything = [running.process.pid, *running.workers]
        for number in (signal.SIGSTOP, signal.SIGCONT):  # as when a virtual machine is moved: nobody hung
            for pid in everything:
                os.kill(pid, number)
            time.sleep(3.5 if number == signal.SIGSTOP else 0.5)
        assert not running.events("worker hung")
        stopped = running.workers[0]
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(1.0)  # so that every client of the stopped one waits
        before = len(answered)
        other = httpx.post(f"{running.url}/api/inspect", params={"part_id": "meanwhile"}, content=good, timeout=30)
        answered["meanwhile"] = other.json()["record"]
        assert not running.events("worker hung")
        assert until(lambda: len(running.events("worker died")) == 1)
        assert until(lambda: len(running.events("ready")) == 3 and len(answered) > before + 40)
        done.set()
        for one in asking:
            one.result(60)
        assert [line["pid"] for line in running.events("worker hung")] == [stopped]
        assert 3 <= running.events("worker hung")[0]["silent_s"] < 15
        assert stopped not in running.workers
        counted = httpx.get(f"{running.url}/metrics").text
        assert 'onspec_workers_replaced_total{reason="hung"} 1.0' in counted
        assert 'onspec_workers_replaced_total{reason="died"} 0.0' in counted
    with contextlib.closing(archive.Archive(db)) as opened:
        opened.settle()
        entries = list(opened.walk(Filter()))
    recorded = Counter(entry.record.inspection.part_id for entry in entries)
    assert all(recorded[name] == 1 for name in answered)
    assert set(recorded.values()) == {1}
    kept = {entry.record.inspection.part_id: entry.record.id for entry in entries}
    assert {name: kept[name] for name in answered} == answered
    assert len(entries) - len(answered) <= 4  # judged and recorded, and then the worker was stopped


def test_a_worker_whose_engine_is_stuck_is_replaced(tiny_recipe_path: Path, good: bytes) -> None:
    command = (str(Path(__file__).with_name("sticking.py")),)
    with station(tiny_recipe_path, "2", command=command) as running:
        start = time.monotonic()
        late = httpx.post(f"{running.url}/api/inspect?part_id=stuck", content=good, timeout=30)
        assert late.status_code == 504
        assert time.monotonic() - start < 10
        assert until(lambda: len(running.events("worker died")) == 1)
        stuck, hung = running.events("engine stuck"), running.events("worker hung")
        assert "does not answer" in stuck[0]["error"]
        assert len(hung) == 1
        assert until(lambda: len(running.events("ready")) == 3)
        for part in range(8):
            answer = httpx.post(f"{running.url}/api/inspect?part_id={part}", content=good, timeout=30)
            assert answer.json()["verdict"] == "OK"


def test_what_one_worker_is_told_all_know(tiny_recipe_path: Path, tmp_path: Path, good: bytes) -> None:
    package = open_package(tiny_recipe_path)
    provenance = package.recipe.provenance.model_copy(update={"created": "2026-02-02T00:00:00Z"})
    newer = tmp_path / "newer.onspec"
    pack(replace(package, recipe=package.recipe.model_copy(update={"provenance": provenance})), newer)

    def judging(url: str) -> set[str]:
        """With what recipes 30 new connections are judged."""
        with httpx.Client(headers=ANEW) as client:
            answers = [client.post(f"{url}/api/inspect", content=good).json() for _ in range(30)]
        return {answer["recipe"].partition("@sha256:")[2] for answer in answers}

    def told(url: str, parts: int) -> list[str]:
        """The part ids that a reader of events hears of."""
        got: list[str] = []
        with (
            httpx.stream("GET", f"{url}/api/events", timeout=30) as stream,
            httpx.Client(headers=ANEW) as client,
            ThreadPoolExecutor(1) as clients,
        ):
            lines = stream.iter_lines()
            assert next(lines).startswith(":")
            time.sleep(0.3)  # until the other worker knows of the reader
            for part in range(parts):
                clients.submit(client.post, f"{url}/api/inspect?part_id={part}", content=good)
            while len(got) < parts:
                line = next(lines)
                if line.startswith("data: "):
                    got.append(json.loads(line.removeprefix("data: "))["part_id"])
        return sorted(got, key=int)

    folder = ("--recipes", str(tmp_path / "state"))
    with station(tiny_recipe_path, *folder) as running:
        answer = httpx.post(f"{running.url}/api/recipes?activate=true", content=newer.read_bytes(), timeout=30)
        assert answer.status_code == 201, answer.text
        assert judging(running.url) == {open_package(newer).digest}
        assert told(running.url, 30) == [str(part) for part in range(30)]
        os.kill(running.workers[0], signal.SIGKILL)  # the one that takes its place knows it, too
        assert until(lambda: len(running.events("worker started")) == 3)
        assert until(lambda: len(running.events("Application startup complete.")) == 3)
        assert judging(running.url) == {open_package(newer).digest}
        back = httpx.post(f"{running.url}/api/recipes/tiny/rollback", timeout=30)
        assert back.json()["active"] == package.digest
        assert judging(running.url) == {package.digest}


def test_workers_end_when_their_supervisor_is_killed(tiny_recipe_path: Path, tmp_path: Path) -> None:
    running = Station(tiny_recipe_path, tmp_path / "log")
    workers = running.workers
    running.process.kill()
    running.process.wait(10)
    assert len(workers) == 2
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))

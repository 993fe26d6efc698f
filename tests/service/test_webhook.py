"""Posts to a real receiver: signed, in order, tried again while it fails, dropped when it never will take them."""

import hashlib
import hmac
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.domain import UsageError
from onspec.imaging.writing import encode_image
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector
from onspec.service import drift
from onspec.service.app import Settings
from onspec.service.drift_window import DriftPolicy
from onspec.service.webhook import DELIVERY, MOST_WAITING, SIGNATURE, Address, Webhook, signature

SECRET = b"a secret of a plant, kept"


class Receiver:
    """An HTTP server that answers as told, with 200 when nothing is left to tell."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.wait_s = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                time.sleep(receiver.wait_s)
                status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                if status in (301, 307):
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/1"

    @property
    def bodies(self) -> list[Any]:
        """What came, in order."""
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Running."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@contextmanager
def hooked(
    url: str, secret: bytes | None = SECRET, *, timeout_s: float = 2.0, clock: Callable[[], float] = time.time
) -> Iterator[Webhook]:
    webhook = Webhook(Address(url, secret), pause_s=0.02, timeout_s=timeout_s, clock=clock)
    try:
        yield webhook
    finally:
        webhook.close()


def until(holds: Callable[[], bool], seconds: int = 10) -> bool:
    """Whether it holds within so long."""
    for _ in range(100 * seconds):
        if holds():
            return True
        time.sleep(0.01)
    return False


def test_a_receiver_that_fails_twice_gets_it_once_it_can(receiver: Receiver) -> None:
    receiver.answers = [503, 429]
    with hooked(receiver.url) as webhook:
        webhook.post({"event": "drift-alarm", "n": 1})
        webhook.post({"event": "drift-end", "n": 2})
        assert until(lambda: len(receiver.got) == 4)
    assert [body["n"] for body in receiver.bodies] == [1, 1, 1, 2]
    deliveries = [headers[DELIVERY] for headers, _ in receiver.got]
    assert deliveries[0] == deliveries[1] == deliveries[2] != deliveries[3]
    assert receiver.got[0][0]["Content-Type"] == "application/json"


def test_posts_are_signed(receiver: Receiver) -> None:
    with hooked(receiver.url, clock=lambda: 1_800_000_000.5) as webhook:
        webhook.post({"event": "drift-alarm", "word": "dünkler"})
        assert until(lambda: len(receiver.got) == 1)
    headers, body = receiver.got[0]
    mac = hmac.new(SECRET, b"1800000000." + body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == f"t=1800000000,v1={mac}"
    assert signature(SECRET, body + b" ", 1_800_000_000) != headers[SIGNATURE]
    with hooked(receiver.url, None) as webhook:
        webhook.post({})
        assert until(lambda: len(receiver.got) == 2)
    assert SIGNATURE not in receiver.got[1][0]


@pytest.mark.parametrize("status", [400, 404, 301, 307])
def test_what_a_receiver_will_never_take_is_dropped(
    receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [status]
    with caplog.at_level(logging.ERROR, "onspec.service"), hooked(receiver.url) as webhook:
        webhook.post({"n": 1})
        webhook.post({"n": 2})
        assert until(lambda: len(receiver.got) == 2)
    assert [body["n"] for body in receiver.bodies] == [1, 2]
    [record] = [record for record in caplog.records if record.message == "webhook dropped"]
    assert record.__dict__["fields"]["cause"] == f"status {status}"
    assert "/hooks" not in str(record.__dict__["fields"])


def test_a_receiver_that_hangs_or_is_away_holds_nobody_up(receiver: Receiver) -> None:
    receiver.wait_s = 0.5
    with hooked(receiver.url, timeout_s=0.1) as webhook:
        start = time.perf_counter()
        for n in range(MOST_WAITING + 20):
            webhook.post({"n": n})
        assert time.perf_counter() - start < 0.1
        assert until(lambda: len(receiver.got) >= 2)
        receiver.wait_s = 0.0
        assert until(lambda: receiver.bodies[-1]["n"] == MOST_WAITING + 19)
    told = list(dict.fromkeys(body["n"] for body in receiver.bodies))
    assert len(told) <= MOST_WAITING + 2  # the oldest that waited are gone, the order is kept
    assert told == sorted(told)
    start = time.perf_counter()
    with hooked("http://127.0.0.1:9/") as webhook:
        webhook.post({"n": 1})
    assert time.perf_counter() - start < 3


def test_after_its_end_nothing_is_sent(receiver: Receiver) -> None:
    with hooked(receiver.url) as webhook:
        pass
    webhook.post({"n": 1})
    time.sleep(0.05)
    assert receiver.got == []
    assert not any(thread.name == "onspec-webhook" for thread in threading.enumerate())


class TestAddress:
    """What may be an address."""

    WRONG: ClassVar = [
        "plant",
        "ftp://plant/x",
        "http://",
        "http:///x",
        "http://a:99999/",
        "file:///etc/passwd",
        "https://me:word@plant/",
        "http://plänt/",
    ]

    @pytest.mark.parametrize("url", WRONG)
    def test_what_is_none(self, url: str) -> None:
        with pytest.raises(UsageError, match="--webhook"):
            Address(url)

    def test_a_secret_that_can_be_guessed(self) -> None:
        with pytest.raises(UsageError, match="at least 16"):
            Address("https://plant/x", b"short")

    def test_secrets_are_not_shown(self) -> None:
        address = Address("https://plant.example/token/1", SECRET)
        assert "secret" not in repr(address).replace("secret=", "")
        assert address.shown == "plant.example"


# What the service posts

Lit = Callable[[np.random.Generator, float], NDArray[np.uint8]]
Running = Callable[..., AbstractContextManager[httpx.Client]]


def judge(client: httpx.Client, make_lit: Lit, rng: np.random.Generator, count: int, light: float) -> None:
    for _ in range(count):
        answer = client.post("/api/inspect", content=encode_image(make_lit(rng, light)))
        assert answer.status_code == 200, answer.text


def figure(client: httpx.Client, name: str, measure: str) -> float | None:
    """Of /metrics."""
    found = re.search(rf'^{name}{{measure="{measure}",recipe="tiny"}} (\S+)$', client.get("/metrics").text, re.M)
    return None if found is None else float(found[1])


@pytest.mark.slow
def test_an_alarm_and_its_end_are_posted_once_each(
    running: Running, lit_recipe_path: Path, make_lit: Lit, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver fails twice first. While the alarm lasts nothing more is posted; it ends after a whole window."""
    monkeypatch.setattr(drift, "_GATHER_S", 0.02)
    monkeypatch.setattr(drift, "Webhook", partial(Webhook, pause_s=0.05))
    receiver.answers = [500, 503]
    rng = np.random.default_rng(5)
    policy = DriftPolicy(80, webhook=Address(receiver.url, SECRET), station="cell 3")
    inspector = Inspector(open_package(lit_recipe_path), threads=1)
    with running(inspector, settings=Settings(drift=policy)) as client:
        [before] = client.get("/api/drift").json()
        assert (before["state"], before["images"], before["window"]) == ("not yet", 0, None)
        judge(client, make_lit, rng, 90, 1.0)
        assert until(lambda: client.get("/api/drift").json()[0]["state"] == "ok")
        assert figure(client, "onspec_drift_alarm", "brightness") == 0
        judge(client, make_lit, rng, 130, 0.75)  # so many that the last comparison sees no other, whenever it comes
        assert until(lambda: len(receiver.got) >= 3 and receiver.answers == [])
        [said] = client.get("/api/drift").json()
        assert said["state"] == "alarm"
        assert "brightness" in [alarm["measure"] for alarm in said["alarms"]]
        assert any("darker" in sentence for sentence in said["sentences"])
        assert figure(client, "onspec_drift_alarm", "brightness") == 1
        assert (figure(client, "onspec_drift_psi", "brightness") or 0) > 0.5
        judge(client, make_lit, rng, 200, 1.0)
        for _ in range(40):  # a comparison for every 30 parts or so: four of them clear
            if client.get("/api/drift").json()[0]["state"] == "ok":
                break
            judge(client, make_lit, rng, 30, 1.0)
            time.sleep(0.05)
        assert until(lambda: receiver.bodies[-1]["event"] == "drift-end")
        assert figure(client, "onspec_drift_alarm", "brightness") == 0
    taken = [json.loads(body) for headers, body in receiver.got[2:]]
    assert [body["event"] for body in taken][-1] == "drift-end"
    measures = [[alarm["measure"] for alarm in body["alarms"]] for body in taken]
    assert len({tuple(names) for names in measures}) == len(measures)  # no state is told twice
    assert taken[0]["station"] == "cell 3"
    assert taken[0]["recipe"] == inspector.identity
    assert measures[-1] == []


@pytest.mark.slow
def test_two_workers_call_out_once(lit_recipe_path: Path, make_lit: Lit, receiver: Receiver, tmp_path: Path) -> None:
    """Parts go to both; one of them compares. When it is killed the other goes on, and knows what was said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONSPEC_")}
    secret, log, rng = tmp_path / "secret", tmp_path / "log", np.random.default_rng(6)
    secret.write_bytes(SECRET + b"\n")
    options = ["--workers", "2", "--threads", "1", "--drift-window", "60", "--webhook", receiver.url]
    command = [sys.executable, "-m", "onspec.cli", "serve", str(lit_recipe_path), "--port", "0", *options]
    with log.open("w") as stderr:
        served = subprocess.Popen(
            [*command, "--webhook-secret-file", str(secret)], stderr=stderr, env=environment
        )  # fmt: skip
    try:
        assert until(lambda: log.read_text().count('"ready"') >= 2 or served.poll() is not None, 60), log.read_text()
        url = next(word for word in log.read_text().split() if word.startswith("http://"))

        def line(count: int, light: float) -> None:
            for _ in range(count):  # a connection each, so that either worker may take it
                answer = httpx.post(f"{url}/api/inspect", content=encode_image(make_lit(rng, light)), timeout=20)
                assert answer.status_code == 200, answer.text

        def states() -> set[str]:
            return {httpx.get(f"{url}/api/drift").json()[0]["state"] for _ in range(8)}

        line(64, 0.75)
        assert until(lambda: len(receiver.got) >= 1)
        assert until(lambda: states() == {"alarm"})
        told = len(receiver.got)
        pids = [json.loads(row)["pid"] for row in log.read_text().splitlines() if '"worker started"' in row]
        os.kill(pids[0], signal.SIGKILL)
        assert until(lambda: '"worker died"' in log.read_text())
        line(40, 0.75)
        time.sleep(1.5)
        assert states() == {"alarm"}
        assert len(receiver.got) == told
        names = [[alarm["measure"] for alarm in body["alarms"]] for body in receiver.bodies]
        assert len({tuple(each) for each in names}) == len(
            names
        )  # a post for each thing that changed, and no second one
        stamp, mac = re.fullmatch(r"t=(\d+),v1=(\w+)", receiver.got[0][0][SIGNATURE]).groups()  # type: ignore[union-attr]
        assert signature(SECRET, receiver.got[0][1], int(stamp)).endswith(mac)
    finally:
        served.send_signal(signal.SIGTERM)
        try:
            assert served.wait(45) == 0
        finally:
            served.kill()

"""Several images in one request, pictures in the answer, deadlines, and the stream of verdicts."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.domain import EngineError, OnspecError
from onspec.imaging.overlays import PREDICTION
from onspec.imaging.reading import decode_image
from onspec.runtime.inspector import Decoded, Inspector, Result
from onspec.service.queue import BatchPolicy

Running = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture
def client(running: Running, tiny: Inspector) -> Iterator[httpx.Client]:
    """The application with the tiny recipe."""
    with running(tiny) as client:
        yield client


def form(*images: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    """A form of files 0.png, 1.png, …"""
    return [("image", (f"{n}.png", data)) for n, data in enumerate(images)]


def test_each_image_of_a_form_has_its_own_verdict_or_error(client: httpx.Client, good: bytes, defective: bytes) -> None:
    files = form(good, b"not an image", defective, good[:-9], b"", defective)
    answer = client.post("/api/inspect", files=files, params={"part_id": list("abcdef")})
    assert answer.status_code == 200
    assert [(one["image"], one["part_id"], one["verdict"]) for one in answer.json()] == [
        ("0.png", "a", "OK"), ("1.png", "b", "ERROR"), ("2.png", "c", "NG"),
        ("3.png", "d", "ERROR"), ("4.png", "e", "ERROR"), ("5.png", "f", "NG"),
    ]  # fmt: skip
    assert all(bool(one["error"]) == (one["verdict"] == "ERROR") for one in answer.json())


def test_a_form_larger_than_the_queue_is_judged_bit_by_bit(running: Running, tiny: Inspector, good: bytes) -> None:
    with running(tiny, policy=BatchPolicy(max_queue=2)) as client:
        answer = client.post("/api/inspect", files=form(*[good] * 20)).json()
    assert [one["verdict"] for one in answer] == ["OK"] * 20


def test_a_list_for_one_where_it_is_asked_for(client: httpx.Client, good: bytes) -> None:
    assert client.post("/api/inspect", files=form(good)).json()["verdict"] == "OK"
    assert [one["verdict"] for one in client.post("/api/inspect?batch=true", files=form(good)).json()] == ["OK"]
    for query, words in (("batch=yes", "batch"), ("overlay=bmp", "png or jpeg"), ("part_id=1", "1 given for 2")):
        wrong = client.post(f"/api/inspect?{query}", files=form(good, good))
        assert wrong.status_code == 422
        assert words in wrong.json()["error"]


def test_one_engine_fault_is_that_images_error(
    client: httpx.Client, tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = tiny.inspect_decoded

    def sometimes(decoded: Decoded, name: str, part_id: str | None) -> Result:
        if name == "1.png":
            raise KeyError("secret detail")
        return judge(decoded, name, part_id)

    monkeypatch.setattr(tiny, "inspect_decoded", sometimes)
    answer = client.post("/api/inspect", files=form(good, good, good))
    assert [one["verdict"] for one in answer.json()] == ["OK", "ERROR", "OK"]
    assert "secret" not in answer.text


def unpacked(url: str) -> NDArray[Any]:
    """The picture in a data URL."""
    head, _, data = url.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return decode_image(base64.b64decode(data), "picture")


def test_overlay_and_maps_come_on_request(client: httpx.Client, tiny: Inspector, defective: bytes) -> None:
    answer = client.post("/api/inspect?overlay=png&maps=png", content=defective).json()
    overlay = unpacked(answer["overlay"])
    assert overlay.shape == (64, 96, 3)
    x, y, *_ = answer["defects"][0]["bbox"]
    assert tuple(overlay[y, x]) == PREDICTION
    scores = tiny.inspect_bytes(defective, "image").maps[0].values
    np.testing.assert_array_equal(unpacked(answer["maps"]["defect"]), np.rint(scores * 65535))
    jpeg = client.post("/api/inspect?overlay=jpeg&maps=jpeg", files=form(defective, b"broken")).json()
    assert unpacked(jpeg[0]["overlay"]).shape == (64, 96, 3)
    assert unpacked(jpeg[0]["maps"]["defect"]).dtype == np.uint8
    assert jpeg[1]["overlay"] is None
    assert jpeg[1]["maps"] is None
    assert "overlay" not in client.post("/api/inspect", content=defective).json()


@pytest.mark.parametrize("how", [{"params": {"deadline_ms": "60"}}, {"headers": {"Onspec-Deadline-Ms": "60"}}])
def test_after_the_deadline_there_is_no_verdict(
    client: httpx.Client, tiny: Inspector, good: bytes, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, judge = threading.Event(), tiny.inspect_decoded

    def slowly(decoded: Decoded, name: str, part_id: str | None) -> Result:
        assert gate.wait(20)
        return judge(decoded, name, part_id)

    monkeypatch.setattr(tiny, "inspect_decoded", slowly)
    late = client.post("/api/inspect", content=good, **how)
    assert late.status_code == 504
    assert "60 ms passed" in late.json()["error"]
    gate.set()
    assert client.post("/api/inspect", content=good).json()["verdict"] == "OK"
    assert client.post("/api/inspect?deadline_ms=-1", content=good).status_code == 422


@pytest.mark.slow
def test_an_engine_that_never_answers_ends_readiness_and_no_request_waits_for_it(
    running: Running, tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, judge = threading.Event(), tiny.inspect_decoded

    def stuck(decoded: Decoded, name: str, part_id: str | None) -> Result:
        assert gate.wait(60)
        return judge(decoded, name, part_id)

    def until(asking: httpx.Client, status: int) -> httpx.Response:
        for _ in range(400):
            if (answer := asking.get("/v2/health/ready")).status_code == status:
                return answer
            time.sleep(0.05)
        pytest.fail(f"never {status}")

    with running(tiny, policy=BatchPolicy(deadline_ms=300)) as asking, ThreadPoolExecutor(3) as clients:
        monkeypatch.setattr(tiny, "inspect_decoded", stuck)
        asked = [clients.submit(asking.post, "/api/inspect", content=good) for _ in range(3)]
        assert [one.result(20).status_code for one in asked] == [504] * 3  # the one in work, and those that wait
        assert asking.get("/v2/health/ready").status_code == 200  # an image may be slow for once
        assert "does not answer" in until(asking, 503).json()["error"]
        refused = asking.post("/api/inspect", content=good)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        assert "does not answer" in refused.json()["error"]
        for _ in range(100):
            if 'onspec_engine_faults_total{recipe="tiny"} 1.0' in asking.get("/metrics").text:
                break
            time.sleep(0.05)
        else:
            pytest.fail("not counted")
        gate.set()
        until(asking, 200)
        assert asking.post("/api/inspect", content=good).json()["verdict"] == "OK"


class Keeper:
    """A recorder that remembers, or fails."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes]] = []
        self.fault: OnspecError | None = None

    async def record(self, result: Result, data: bytes) -> SimpleNamespace:
        if self.fault is not None:
            raise self.fault
        self.kept.append((result.inspection.verdict, data))
        return SimpleNamespace(id=f"record {len(self.kept)}")


def test_no_verdict_goes_out_that_is_not_recorded(
    running: Running, tiny: Inspector, good: bytes, defective: bytes
) -> None:
    keeper = Keeper()
    with running(tiny, recorder=keeper) as client:
        client.post("/api/inspect", files=form(good, b"broken"))
        image = {"name": "image", "datatype": "UINT8", "shape": [64, 96], "data": [20] * 64 * 96}
        assert client.post("/v2/models/tiny/infer", json={"inputs": [image]}).status_code == 200
        assert sorted(verdict for verdict, _ in keeper.kept) == ["ERROR", "OK", "OK"]
        assert {data for _, data in keeper.kept} >= {good, b"broken"}
        assert (decode_image(keeper.kept[-1][1], "x") == 20).all()  # pixels are kept as a file
        keeper.fault = EngineError("the disk is full")
        refused = client.post("/api/inspect", content=defective)
        assert refused.status_code == 503
        assert "could not be recorded" in refused.json()["error"]


def test_the_stream_tells_each_verdict(client: httpx.Client, good: bytes, defective: bytes) -> None:
    def listen(query: str, wanted: int) -> list[dict[str, Any]]:
        got = []
        with httpx.stream("GET", f"{client.base_url}/api/events{query}", timeout=20) as stream:
            connected.release()
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    got.append(json.loads(line.removeprefix("data: ")))
                if len(got) == wanted:
                    break
        return got

    connected = threading.Semaphore(0)
    with ThreadPoolExecutor(2) as readers:
        everything, rejected = readers.submit(listen, "", 3), readers.submit(listen, "?verdict=ng", 1)
        for _ in range(2):
            assert connected.acquire(timeout=10)
        time.sleep(0.1)
        for data in (good, b"broken", defective):
            client.post("/api/inspect", content=data)
        assert [event["verdict"] for event in everything.result(20)] == ["OK", "ERROR", "NG"]
        assert [event["verdict"] for event in rejected.result(20)] == ["NG"]
    unknown = client.get("/api/events?verdict=bad")
    assert (unknown.status_code, unknown.json()["error"]) == (
        422, "unknown verdict 'BAD'; choose OK, NG, REVIEW, ERROR",
    )  # fmt: skip

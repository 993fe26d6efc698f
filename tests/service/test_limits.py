"""How much a client may ask for, and how long it may take to ask."""

import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from onspec.imaging.camera import AS_STORED
from onspec.runtime.inspector import Inspector
from onspec.service import limits, patience
from onspec.service.app import Settings, create_app
from onspec.service.limits import Buckets, require_pixels
from onspec.service.problems import ProblemError
from onspec.service.tokens import Tokens

Running = Callable[..., AbstractContextManager[httpx.Client]]


def bomb(side: int) -> bytes:
    """A gray PNG that says how large it is; its pixels are cut off, for nobody gets there."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + pixels


def test_a_bomb_is_refused_by_its_header_within_milliseconds() -> None:
    data = bomb(50_000)
    start = time.perf_counter()
    for _ in range(20):
        with pytest.raises(ProblemError, match=r"50000 × 50000 px .* 128 megapixels") as refused:
            require_pixels(data, "a.png", AS_STORED, 128e6)
    assert refused.value.status == 422
    assert (time.perf_counter() - start) / 20 < 0.002


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".pgm"])
def test_every_format_is_looked_at(tmp_path: Path, suffix: str, make_part: Callable[..., Any]) -> None:
    import cv2

    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), make_part())
    require_pixels(path.read_bytes(), "a", AS_STORED, 64 * 96)
    with pytest.raises(ProblemError, match="megapixels"):
        require_pixels(path.read_bytes(), "a", AS_STORED, 64 * 96 - 1)


@pytest.mark.parametrize(
    ("start", "filler", "size"),
    [
        (b"\xff\xd8", b"\xff\xe2\0\2", b"\xff\xc0\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0"),
        (b"P5\n", b"#\n", b"50000 50000 255\n"),
    ],
    ids=["jpeg", "pgm"],
)
def test_no_header_is_walked_through_for_megabytes(start: bytes, filler: bytes, size: bytes) -> None:
    """Its size stands behind; the decoder, which does not keep other clients waiting, refuses such a file itself."""
    for count, refused in ((10, True), (1_000_000, False)):
        with pytest.raises(ProblemError, match="megapixels") if refused else nullcontext():
            require_pixels(start + filler * count + size, "a", AS_STORED, 128e6)


def test_a_bomb_is_refused_by_every_way_in(running: Running, tiny: Inspector, good: bytes) -> None:
    with running(tiny) as client:
        assert client.post("/api/inspect", content=bomb(50_000)).status_code == 422
        files = [("image", ("a.png", bomb(50_000))), ("image", ("b.png", good))]
        first, second = client.post("/api/inspect", files=files).json()
        assert (first["verdict"], second["verdict"]) == ("ERROR", "OK")
        assert "50000 × 50000" in first["error"]
        text = bomb(50_000)
        header = (
            b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", '
            b'"parameters": {"binary_data_size": %d}}]}' % (len(text) + 4)
        )
        body = header + struct.pack("<I", len(text)) + text
        asked = client.post(
            "/v2/models/tiny/infer", content=body, headers={"Inference-Header-Content-Length": str(len(header))}
        )
        assert asked.status_code == 422, asked.text


def test_a_bucket_gives_its_rate_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(limits, "monotonic", lambda: now[0])
    buckets = Buckets(10, burst=5)
    assert [buckets.spend("a") for _ in range(5)] == [0] * 5
    assert buckets.spend("a") == pytest.approx(0.1)
    assert buckets.spend("b") == 0
    given = 0
    for _ in range(1000):
        now[0] += 0.01
        given += buckets.spend("a") == 0
    assert 99 <= given <= 101


def test_made_up_addresses_do_not_fill_the_memory() -> None:
    buckets = Buckets(1)
    for n in range(limits._MOST_KEYS + 500):
        buckets.spend(str(n))
    assert len(buckets._buckets) == limits._MOST_KEYS


def test_who_asks_too_often_is_told_when_to_come_back(running: Running, tiny: Inspector) -> None:
    tokens = Tokens(["a:operator:the-first-long-token", "b:operator:the-other-long-token"])
    first, other = ({"Authorization": f"Bearer the-{name}-long-token"} for name in ("first", "other"))
    with running(tiny, tokens=tokens, settings=Settings(max_rate=2)) as client:
        answers = [client.get("/v2", headers=first) for _ in range(8)]
        assert [answer.status_code for answer in answers[:4]] == [200] * 4
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert "the token of a" in answers[-1].json()["error"]
        assert client.get("/v2", headers=other).status_code == 200  # the other's bucket is its own
        guesses = [client.get("/v2", headers={"Authorization": "Bearer guess"}).status_code for _ in range(8)]
        assert guesses[0] == 401
        assert guesses[-1] == 429
        assert client.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Onspec-Deadline-Ms", "X-Request-ID", "Origin"])
def test_a_header_that_decides_may_come_once(running: Running, tiny: Inspector, good: bytes, name: str) -> None:
    with running(tiny) as client:
        twice = [(name, "127.0.0.1"), (name, "127.0.0.1")]
        answer = client.post("/api/inspect", content=good, headers=twice)
        assert answer.status_code == 400
        assert "more than once" in answer.json()["error"]
        assert client.get("/v2", headers=[("Accept", "a/b"), ("Accept", "c/d")]).status_code == 200


@contextmanager
def patient(tiny: Inspector, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """The server as `onspec serve` runs it, in a thread, with short times."""
    import threading

    import uvicorn

    from onspec.service.server import address_of, listen

    monkeypatch.setattr(patience, "HEAD_S", 1.0)
    monkeypatch.setattr(patience, "BODY_S", 1.0)
    config = uvicorn.Config(create_app([tiny]), log_config=None, access_log=False, http=patience.PatientProtocol)
    server = patience.PatientServer(config)
    with listen("127.0.0.1", 0) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            address = urlsplit(address_of(sock))
            while not server.started:
                time.sleep(0.01)
            yield str(address.hostname), int(address.port or 0)
        finally:
            server.should_exit = True
            thread.join(30)


def told(address: tuple[str, int], start: bytes, drip: bytes = b"", every_s: float = 0.2) -> tuple[bytes, float]:
    """What a client hears that sends `start`, then `drip` again and again, and after how many seconds."""
    begun = time.perf_counter()
    with socket.create_connection(address, timeout=10) as sock:
        sock.sendall(start)
        heard = b""
        sock.settimeout(every_s)
        while time.perf_counter() - begun < 8:
            try:
                piece = sock.recv(65536)
            except TimeoutError:
                if drip:
                    try:
                        sock.sendall(drip)
                    except OSError:
                        break
                continue
            except OSError:
                break
            if not piece:
                break
            heard += piece
        return heard, time.perf_counter() - begun


@pytest.mark.slow
def test_slow_clients_hold_no_connection(tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with patient(tiny, monkeypatch) as address:
        head = b"POST /api/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(good)
        for start, drip in ((b"", b""), (b"POST /api/ins", b""), (b"GET / HTTP/1.1\r\nX", b"x"), (head, b"\0")):
            heard, seconds = told(address, start, drip)
            assert b"408" in heard, (start, heard)
            assert 0.9 < seconds < 5
        heard, _ = told(address, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + good)
        assert b'"verdict":"OK"' in heard.replace(b" ", b"")


def test_a_head_that_is_too_large_is_refused(tiny: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    with patient(tiny, monkeypatch) as address:
        line = b"GET /?%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * 70_000)
        assert b" 431 " in told(address, line)[0]
        assert b" 431 " in told(address, b"GET / HTTP/1.1\r\nHost: localhost\r\nA: ", b"x" * 20_000, 0.01)[0]
        assert b" 200 " in told(address, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[0]

"""Requests that no description of the API would make: broken HTTP, bodies that are not what their headers say."""

import base64
import gzip
import json
import random
import re
import select
import socket
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from benchmarks.fuzz.archives import with_strange_value
from benchmarks.fuzz.serving import MOST_BODY_MB, Server
from benchmarks.fuzz.tally import Requests

SECONDS = 5.0
"""What takes longer is a fault."""

_PAUSE = 0.3
"""Seconds that a request without answer is left open, before the sender says that this was all."""

_ALLOWED = {200, 201, 400, 401, 403, 404, 405, 408, 411, 413, 415, 422, 431, 503, 504}
"""What a request may be answered with; never 500."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: a path, headers besides the token, a body."""

    path: str
    headers: dict[str, str]
    body: bytes


T = TypeVar("T")

Family = Callable[[Server, Sequence[bytes], random.Random], Asked]
"""(server, image files, chance) → a request."""


_QUERIES = (
    "", "?overlay=png", "?maps=jpeg", "?batch=1", "?deadline_ms=nan", "?deadline_ms=-1", "?recipe=%00", "?part_id=%ff",
    "?part_id=" + "x" * 201, "?overlay=png&overlay=jpeg", "?maps=png&batch=maybe", "?recipe=" + "a" * 5000,
)  # fmt: skip


def image(_: Server, images: Sequence[bytes], chance: random.Random) -> Asked:
    """An image, whole or damaged, as the body, with any type and with parameters that fit or do not."""
    query = _mostly("", _QUERIES, chance)
    kinds = ("image/png", "", "text/html", "multipart/form-data", "application/json", "\xff", "a" * 300)
    return Asked(f"/api/inspect{query}", {"Content-Type": _mostly("image/png", kinds, chance)}, chance.choice(images))


def form(_: Server, images: Sequence[bytes], chance: random.Random) -> Asked:
    """A multipart form: several files, none, other fields, names of all kinds, a wrong or missing boundary, an end too
    early."""
    boundary = _mostly("b", ("b" * 70, "b" * 300, "", "b b", "é"), chance)
    parts = [_part(boundary, images, chance) for _ in range(_mostly(1, (0, 2, 5, 1100), chance))]
    body = b"".join(parts) + b"--" + boundary.encode() + b"--\r\n"
    if chance.random() < 0.1:
        body = body[: chance.randrange(len(body))]
    said = _mostly(boundary, ("other", "", "b" * 10_000), chance)
    kinds = (f'multipart/form-data;boundary="{said}"', "multipart/form-data", "multipart/form-data; boundary")
    kind = _mostly(f"multipart/form-data; boundary={said}", kinds, chance)
    return Asked(
        f"/api/inspect{_mostly('', ('?batch=1', '?part_id=1&part_id=2'), chance)}", {"Content-Type": kind}, body
    )


def _part(boundary: str, images: Sequence[bytes], chance: random.Random) -> bytes:
    name = _mostly("image", ("", "other", "é", 'image"; filename="x'), chance)
    files = ('; filename=""', "", '; filename="../../x"', "; filename*=x''%ff", '; filename="' + "n" * 5000 + '"')
    head = f'Content-Disposition: form-data; name="{name}"{_mostly(_FILE, files, chance)}'.encode()
    extra = _mostly(b"", (b"\r\nContent-Type: image/png", b"\r\nX: " + b"y" * 5000, b"\r\nbroken", b"\r\n: "), chance)
    content = _mostly(chance.choice(images), (b"", b"\r\n--" + boundary.encode()), chance)
    return b"--" + boundary.encode() + b"\r\n" + head + extra + b"\r\n\r\n" + content + b"\r\n"


_FILE = '; filename="a.png"'


def tensors_json(server: Server, images: Sequence[bytes], chance: random.Random) -> Asked:
    """The protocol's JSON with one value that is not as it should be, or with bytes that are no JSON."""
    head = _head(images, chance)
    text = with_strange_value(json.dumps(head).encode(), chance) if chance.random() < 0.6 else json.dumps(head).encode()
    if chance.random() < 0.1:
        text = text[: chance.randrange(len(text))] + chance.choice((b"", b"\xff", b"[" * 100_000, b"NaN", b"1" * 9000))
    return Asked(_infer(server, chance), {"Content-Type": "application/json"}, text)


def tensors_binary(server: Server, images: Sequence[bytes], chance: random.Random) -> Asked:
    """JSON and binary tensors, of which a length, a shape or a type is wrong."""
    data = chance.choice(images)
    told = _mostly(len(data), (0, 1 << 31, len(data) + 1), chance)
    blob = struct.pack("<I", told) + data
    size = _mostly(len(blob), (0, -1, 1 << 40, "8", None, 1.5, True), chance)
    shapes: tuple[list[Any], ...] = ([], [0], [-1], [2], [1] * 9, [1 << 40, 1 << 40], [len(blob)], [1, 1.5], ["x"])
    kind = _mostly("BYTES", ("UINT8", "UINT16", "FP32", "BOOL", ""), chance)
    shape = _mostly([1], shapes, chance)
    tensor = {"name": "image", "shape": shape, "datatype": kind, "parameters": {"binary_data_size": size}}
    inputs = [tensor] * _mostly(1, (0, 2), chance)
    text = json.dumps(
        {"inputs": inputs, "parameters": {"binary_data_output": chance.choice((True, False, 3))}}
    ).encode()
    length = _mostly(len(text), (0, -1, len(text) + 1, 1 << 70, "x", "", "+5", "٣"), chance)
    headers = {"Inference-Header-Content-Length": str(length)}
    return Asked(_infer(server, chance), headers, text + blob + _mostly(b"", (b"more",), chance))


def _mostly(right: T, wrong: Sequence[T], chance: random.Random) -> T:
    return right if chance.random() < 0.85 else chance.choice(wrong)


def packed(server: Server, images: Sequence[bytes], chance: random.Random) -> Asked:
    """A body with a content coding: broken, unknown, twice, or one that unpacks to far too much."""
    text = json.dumps(_head(images, chance)).encode()
    bodies = {
        "gzip": gzip.compress(text), "deflate": zlib.compress(text), "raw": text, "bomb": _bomb(),
        "twice": gzip.compress(gzip.compress(text)), "cut": gzip.compress(text)[: chance.randrange(1, 40)],
        "two": gzip.compress(text) + gzip.compress(b"x"), "odd": chance.randbytes(200), "none": b"",
    }  # fmt: skip
    coding = _mostly("gzip", ("deflate", "identity", "br", "gzip, gzip", "", "GZIP", "x" * 500), chance)
    body = (
        bodies[_mostly("gzip", sorted(bodies), chance)] if chance.random() < 0.5 else bodies[chance.choice([*bodies])]
    )
    return Asked(_infer(server, chance), {"Content-Encoding": coding, "Content-Type": "application/json"}, body)


def recipe(_: Server, images: Sequence[bytes], chance: random.Random) -> Asked:
    """What is no recipe, sent as one; a review that is none; a body that is too large."""
    large = bytes(int(MOST_BODY_MB * 1e6) + 1)
    path = chance.choice(
        ("/api/recipes?activate=true", "/api/recipes", "/api/inspect", "/api/recipes/x/golden/acknowledge")
    )
    body = chance.choice((*images[:3], b"PK\3\4" + chance.randbytes(100), b"PK\5\6" + bytes(18), large, b"", b"{}"))
    return Asked(path, {"Content-Type": "application/octet-stream"}, body)


FAMILIES: dict[str, Family] = {
    "images": image, "forms": form, "tensors in JSON": tensors_json, "tensors in binary": tensors_binary,
    "packed bodies": packed, "no recipes": recipe,
}  # fmt: skip


def _head(images: Sequence[bytes], chance: random.Random) -> dict[str, object]:
    data = base64.b64encode(chance.choice(images)).decode()
    return {
        "id": "1", "parameters": {"part_id": "17", "deadline_ms": 4000},
        "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {}, "data": [data]}],
        "outputs": [{"name": "verdict", "parameters": {"binary_data": chance.random() < 0.5}}, {"name": "scores"}],
    }  # fmt: skip


def _infer(server: Server, chance: random.Random) -> str:
    name = _mostly(server.recipe, ("", "%00", "../../etc", "é", server.recipe.upper()), chance)
    versions = (f"/versions/{server.version}", "/versions/0", f"/versions/{server.version[:8]}")
    return f"/v2/models/{name}{_mostly('', versions, chance)}/infer"


@cache
def _bomb() -> bytes:
    """100 KB that unpack to 100 MB."""
    return gzip.compress(bytes(100_000_000))


def try_odd(server: Server, count: int, seed: int, images: Sequence[bytes], out: Path) -> list[Requests]:
    """`count` requests, as many of each family, and as many of broken HTTP."""
    tallies = []
    with httpx.Client(base_url=server.url, timeout=SECONDS) as client:
        for name, family in FAMILIES.items():
            tally, chance = Requests(name), random.Random(f"{seed} {name}")
            for _ in range(count // (len(FAMILIES) + 1)):
                _ask(client, server, family(server, images, chance), tally, out)
            tallies.append(tally)
    tallies.append(_broken(server, count // (len(FAMILIES) + 1), seed, images[0], out))
    return tallies


def _ask(client: httpx.Client, server: Server, asked: Asked, tally: Requests, out: Path) -> None:
    start, what = time.perf_counter(), f"{asked.path[:300]} {asked.headers} {asked.body[:300]!r}"
    named = [*asked.headers.items(), *server.headers.items()]
    headers = [(name.encode(), value.encode()) for name, value in named if value or name != "Content-Type"]
    try:
        answer = client.post(asked.path, content=asked.body, headers=headers)
    except (httpx.InvalidURL, httpx.LocalProtocolError):
        return  # what the client itself refuses to send
    except httpx.HTTPError as error:
        tally.add(None, 1000 * (time.perf_counter() - start))
        if not (isinstance(error, httpx.WriteError | httpx.ReadError) and len(asked.body) > MOST_BODY_MB * 1e6):
            tally.fault(f"no answer ({error!r}): {what}", out)
        return
    tally.add(answer.status_code, 1000 * (time.perf_counter() - start))
    if (wrong := _wrong(answer)) is not None:
        tally.fault(f"{wrong}: {what}", out)


def _wrong(answer: httpx.Response) -> str | None:
    """What is wrong with an answer: its status, or a problem that is not told in the one form that there is."""
    if answer.status_code not in _ALLOWED:
        return f"answered {answer.status_code} {answer.text[:200]}"
    if answer.status_code < 400:
        return None
    try:
        told = answer.json()
    except ValueError:
        return f"answered {answer.status_code} without JSON: {answer.text[:200]}"
    right = isinstance(told, dict) and isinstance(told.get("error"), str) and len(told["error"]) > 5
    return None if right else f"answered {answer.status_code} without a sentence: {told}"


def _broken(server: Server, count: int, seed: int, good: bytes, out: Path) -> Requests:
    """Bytes on a socket that are no HTTP, or hardly. The other end may close; it may not go on waiting."""
    tally, chance, address = Requests("broken HTTP"), random.Random(f"{seed} http"), urlsplit(server.url)
    for _ in range(count):
        data, start = _bytes(server, good, chance), time.perf_counter()
        status = None
        try:
            with socket.create_connection((address.hostname, address.port), SECONDS) as sock:
                sock.settimeout(SECONDS)
                status = _status(sock, data)
        except TimeoutError:
            tally.fault(f"no end after {SECONDS} s: {data[:300]!r}", out)
        except ConnectionError:
            pass
        tally.add(status, 1000 * (time.perf_counter() - start))
        if status is not None and status not in _ALLOWED:
            tally.fault(f"answered {status}: {data[:300]!r}", out)
    return tally


def _status(sock: socket.socket, data: bytes) -> int | None:
    """Of the last answer; 100 is none, but asks to go on."""
    sock.sendall(data)
    answer, open_ = b"", True
    while True:
        if open_ and not select.select([sock], [], [], _PAUSE)[0]:
            sock.shutdown(socket.SHUT_WR)  # no more will come
            open_ = False
        piece = sock.recv(65536)
        if not piece:
            break
        answer += piece
    found = re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)
    final = [int(status) for status in found if status != b"100"]
    return final[-1] if final else None


_SIZES = (b"-1", b"1e3", b"0x10", b"9" * 40, b"", b" 1 2")
_CHUNKS = (b"zz\r\n", b"-1\r\n", b"ffffffffffff\r\n", b"5\r\nhel")
_TARGETS = (b"*", b"//", b"http://x/", b"/%", b"/%ff", b"/\xff", b"/" + b"a" * 70_000)
_NO_HTTP = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\1\xfc\3\3", b"", b"\0" * 1000)


def _bytes(server: Server, good: bytes, chance: random.Random) -> bytes:
    host = urlsplit(server.url).netloc.encode()
    token = b"".join(f"{name}: {value}\r\n".encode() for name, value in server.headers.items())
    lines = b"Host: " + host + b"\r\n" + token
    length, chunked = b"Content-Length: %d\r\n" % len(good), b"Transfer-Encoding: chunked\r\n"
    start, version = b"POST /api/inspect HTTP/1.1\r\n", chance.choice((b"1.0", b"0.9", b"2.0", b"9.9", b""))
    post = start + lines
    return chance.choice(
        (
            post + length + b"\r\n" + good[: chance.randrange(len(good))],
            post + length + length + b"\r\n" + good,
            post + length + chunked + b"\r\n5\r\nhello\r\n0\r\n\r\n",
            post + chunked + b"\r\n" + chance.choice(_CHUNKS),
            post + chunked + b"\r\n%x\r\n" % len(good) + good + b"\r\n0\r\n\r\n",
            post + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            post + b"Content-Length: " + chance.choice(_SIZES) + b"\r\n\r\nx",
            post + b"Expect: 100-continue\r\n" + length + b"\r\n" + good,
            post + b"X: " + b"y" * chance.choice((100, 70_000, 1_000_000)) + b"\r\n\r\n",
            post + b"X-%d: y\r\n" % chance.randrange(9) * 5000 + b"\r\n",
            post + b"Onspec-Deadline-Ms: \xff\xfe\r\nX-Request-Id: \0\r\n" + length + b"\r\n" + good,
            post.replace(b"1.1", version) + length + b"\r\n" + good,
            b"GET " + chance.choice(_TARGETS) + b" HTTP/1.1\r\n" + lines + b"\r\n",
            chance.choice((*_NO_HTTP, chance.randbytes(500))),
            post + b"Connection: Upgrade\r\nUpgrade: " + chance.choice((b"websocket", b"h2c")) + b"\r\n\r\n",
            start + b"\r\n",
            start + lines.replace(b"\r\n", b"\n") + b"\n",
            post + b" folded\r\n\r\n",
            start + b": x\r\n\r\n",
            (b"GET /v2 HTTP/1.1\r\n" + lines + b"\r\n") * 50,
        )
    )

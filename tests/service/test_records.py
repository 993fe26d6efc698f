"""Records over HTTP, and that no answered part is missing from them."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'serve' is not installed")

from onspec.records.archive import Archive, Safety
from onspec.records.images import KeepPolicy
from onspec.records.query import Filter
from onspec.runtime.inspector import Inspector
from onspec.service.app import create_app
from onspec.service.recording import Recording
from onspec.service.tokens import Tokens

Served = Callable[..., object]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ONSPEC_")}


@pytest.fixture
def client(tiny: Inspector, served: Callable[..., object], tmp_path: Path) -> Iterator[httpx.Client]:
    """Of a server that records."""
    recording = Recording(
        Archive(str(tmp_path / "r.db"), keep=KeepPolicy(ok_share=0), safety=Safety(max_wait_ms=50), station="cell 4")
    )
    app = create_app([tiny], recorder=recording)
    recording.join(app)
    with served(app) as opened:  # type: ignore[attr-defined]
        wait_ready(opened)
        yield opened


def wait_ready(client: httpx.Client) -> None:
    """Until the golden samples passed; at most 30 s."""
    for _ in range(600):
        if client.get("/v2/health/ready").status_code == 200:
            return
        time.sleep(0.05)
    pytest.fail("not ready")


def inspect(client: httpx.Client, data: bytes, part_id: str) -> httpx.Response:
    return client.post("/api/inspect", params={"part_id": part_id}, content=data)


def test_a_record_is_what_was_answered(client: httpx.Client, good: bytes, defective: bytes) -> None:
    answers = [inspect(client, good, "1").json(), inspect(client, defective, "2").json()]
    assert inspect(client, b"no image", "3").status_code == 422
    page = client.get("/api/records", params={"order": "oldest"}).json()
    assert page["next"] is None
    assert [record["verdict"] for record in page["records"]] == ["OK", "NG", "ERROR"]
    for answer, record in zip(answers, page["records"], strict=False):
        assert {name: record[name] for name in answer} == answer
        assert record["station"] == "cell 4"
    ok, ng, error = page["records"]
    assert client.get(f"/api/records/{ng['id']}").json() == ng
    image = client.get(f"/api/records/{ng['id']}/image")
    assert (image.content, image.headers["content-type"]) == (defective, "image/png")
    assert client.get(f"/api/records/{error['id']}/image").content == b"no image"
    missing = client.get(f"/api/records/{ok['id']}/image")
    assert missing.status_code == 404
    assert "was not kept" in missing.json()["error"]
    described = client.get("/openapi.json").json()
    assert {"/api/records", "/api/records/{id}", "/api/records/{id}/review"} <= set(described["paths"])
    fields = set(described["components"]["schemas"]["RecordInfo"]["properties"])
    assert set(ng) <= fields


def test_pages_and_filters(client: httpx.Client, good: bytes, defective: bytes) -> None:
    for part in range(7):
        inspect(client, defective if part == 3 else good, str(part))
    seen: list[str] = []
    after: str | None = None
    while True:
        asked = {"limit": "3"} | ({} if after is None else {"after": after})
        page = client.get("/api/records", params=asked).json()
        seen += [record["part_id"] for record in page["records"]]
        after = page["next"]
        if after is None:
            break
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]

    def parts(**asked: str) -> list[str]:
        return [record["part_id"] for record in client.get("/api/records", params=asked).json()["records"]]

    assert parts(verdict="NG") == ["3"]
    assert parts(score_min="0.5") == ["3"]
    assert parts(part_id="5") == ["5"]
    assert parts(since="1h", until="30m") == []
    assert parts(recipe="other") == []
    assert parts(part_id="\x00") == []
    assert parts(**{"class": "absent"}) == []
    for wrong in ({"since": "soon"}, {"verdict": "GOOD"}, {"after": "x"}, {"limit": "0"}, {"score_min": "nan"}):
        assert client.get("/api/records", params=wrong).status_code == 422, wrong
    assert client.get("/api/records/not-an-id").status_code == 422
    assert client.get("/api/records/0189f0e8-0000-7000-8000-000000000000").status_code == 404


def test_reviews_stand_beside_the_verdict(client: httpx.Client, good: bytes) -> None:
    inspect(client, good, "1")
    id_ = client.get("/api/records").json()["records"][0]["id"]
    for said in ({"truth": "defective", "class": "dent", "by": "Ada"}, {"truth": "good", "by": "Bo", "note": "dust"}):
        answer = client.post(f"/api/records/{id_}/review", json=said)
        assert answer.status_code == 201, answer.text
    record = client.get("/api/records", params={"reviewed": "true"}).json()["records"][0]
    assert [(review["truth"], review["by"]) for review in record["reviews"]] == [("defective", "Ada"), ("good", "Bo")]
    assert record["verdict"] == "OK"
    assert client.get("/api/records", params={"reviewed": "false"}).json()["records"] == []
    wrong = client.post(f"/api/records/{id_}/review", json={"truth": "good", "class": "dent", "by": "Ada"})
    assert wrong.status_code == 422
    lines = client.get("/api/records/export.csv").text.splitlines()
    assert len(lines) == 2
    assert "Bo" in lines[1]


def test_what_cannot_be_recorded_is_not_answered(client: httpx.Client, good: bytes, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as other:
        (tmp_path / "r.db.files").mkdir(exist_ok=True)
        (tmp_path / "r.db.files" / "spool").write_text("a file where the folder should be")
        other.execute("BEGIN EXCLUSIVE")
        answer = inspect(client, good, "1")
        other.execute("COMMIT")
    assert answer.status_code == 503
    assert "could not be recorded, so none is given" in answer.json()["error"]
    assert "Retry-After" in answer.headers


def test_a_review_carries_the_name_of_its_token(
    tiny: Inspector, served: Callable[..., object], tmp_path: Path, good: bytes
) -> None:
    secret = "an-operators-own-token"
    stored = f"line-2:operator:sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
    recording = Recording(Archive(str(tmp_path / "t.db")))
    app = create_app([tiny], recorder=recording, tokens=Tokens([stored]))
    recording.join(app)
    with served(app) as opened:  # type: ignore[attr-defined]
        wait_ready(opened)
        assert opened.get("/api/records").status_code == 401
        opened.headers["Authorization"] = f"Bearer {secret}"
        inspect(opened, good, "1")
        id_ = opened.get("/api/records").json()["records"][0]["id"]
        answer = opened.post(f"/api/records/{id_}/review", json={"truth": "good", "by": "Ada"})
        assert answer.json()["reviews"][0]["by"] == "Ada (token line-2)"
        assert opened.get("/api/records/export.csv").status_code == 200


def test_what_waits_in_the_spool_is_counted(client: httpx.Client, good: bytes, tmp_path: Path) -> None:
    assert "onspec_records_pending 0.0" in client.get("/metrics").text
    with closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert inspect(client, good, "1").status_code == 200
        assert "onspec_records_pending 1.0" in client.get("/metrics").text
        other.execute("COMMIT")
    for _ in range(200):
        if "onspec_records_pending 0.0" in client.get("/metrics").text:
            break
        time.sleep(0.05)
    assert [record["part_id"] for record in client.get("/api/records").json()["records"]] == ["1"]


@contextmanager
def serving(recipe: Path, db: Path, log: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server of its own group, which is killed at the end as if the power went."""
    command = [sys.executable, "-m", "onspec.cli", "serve", str(recipe), "--port", "0", "--db", str(db), *options]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, env=ENVIRONMENT, start_new_session=True)
    try:
        for _ in range(600):
            urls = [word for word in log.read_text().split() if word.startswith("http://")]
            if urls or process.poll() is not None:
                break
            time.sleep(0.05)
        assert urls, log.read_text()
        with httpx.Client(base_url=urls[0], timeout=20) as opened:
            wait_ready(opened)
        yield process, urls[0]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_answered_part_is_there_once_after_a_kill(
    tiny_recipe_path: Path, good: bytes, defective: bytes, tmp_path: Path, workers: int
) -> None:
    db, answered = tmp_path / "r.db", list[str]()

    def ask(client: int) -> None:
        with httpx.Client(base_url=url, timeout=20) as asking:
            for part in range(10_000):
                name = f"{client}-{part}"
                try:
                    answer = inspect(asking, defective if part % 3 == 0 else good, name)
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    answered.append(name)

    with ThreadPoolExecutor(4) as clients:
        with serving(tiny_recipe_path, db, tmp_path / "log", "--workers", str(workers)) as (_, url):
            asking = [clients.submit(ask, client) for client in range(4)]
            end = time.monotonic() + 20
            while len(answered) < 150 and time.monotonic() < end:
                time.sleep(0.02)
        for one in asking:
            one.result(30)
    assert len(answered) >= 150
    with closing(Archive(str(db))) as archive:
        archive.settle()
        entries = list(archive.walk(Filter()))
        recorded = Counter(entry.record.inspection.part_id for entry in entries)
        assert [part for part in answered if recorded[part] != 1] == []
        assert all(count == 1 for count in recorded.values())
        ng = [entry.record for entry in entries if entry.record.inspection.verdict == "NG"]
        assert ng
        assert all((path := archive.image(record)) and path.read_bytes() == defective for record in ng)
        assert len(archive.recipes()) == 1

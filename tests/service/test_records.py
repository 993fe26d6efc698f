"""Records over HTTP, and that no answered part is missing from them."""

import hashlib
import io
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sqlalchemy", reason="the extra 'serve' is not installed")

from onspec.cli.main import run
from onspec.domain import DataError
from onspec.imaging.reading import decode_image
from onspec.imaging.writing import encode_image
from onspec.records.archive import Archive, Safety
from onspec.records.images import KeepPolicy
from onspec.records.query import Filter
from onspec.records.record import Entry, Review
from onspec.records.table import parquet_chunks
from onspec.runtime.inspector import Inspector
from onspec.service.app import Settings, create_app
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
    refused = inspect(client, b"no image", "3")
    assert refused.status_code == 422
    page = client.get("/api/records", params={"order": "oldest"}).json()
    assert page["next"] is None
    assert [record["verdict"] for record in page["records"]] == ["OK", "NG", "ERROR"]
    for answer, record in zip(answers, page["records"], strict=False):
        assert {name: record[name] for name in answer} == answer
        assert record["station"] == "cell 4"
    ok, ng, error = page["records"]
    assert [answer["record"] for answer in (*answers, refused.json())] == [ok["id"], ng["id"], error["id"]]
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


def test_every_protocol_tells_the_record(
    tiny: Inspector, served: Callable[..., object], tmp_path: Path, good: bytes, defective: bytes
) -> None:
    """Batches, events, the inference protocol over HTTP and over gRPC; a part that nobody recorded has none."""
    grpc = pytest.importorskip("tritonclient.grpc", reason="the extra 'grpc' is not installed")
    refusal = pytest.importorskip("tritonclient.utils").InferenceServerException
    tensor = grpc.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([defective], np.object_))
    recording = Recording(Archive(str(tmp_path / "r.db")))
    app = create_app([tiny], recorder=recording, settings=Settings(grpc="127.0.0.1:0"))
    recording.join(app)
    with served(app) as opened:  # type: ignore[attr-defined]
        wait_ready(opened)
        batch = opened.post("/api/inspect?deadline_ms=1e-3", files=[("image", good)] * 2).json()
        assert [(one["verdict"], one["record"]) for one in batch] == [("ERROR", None)] * 2  # refused, so not recorded
        batch = opened.post("/api/inspect", files=[("image", good), ("image", b"broken"), ("image", defective)]).json()
        pixels = {"name": "image", "datatype": "UINT8", "shape": [64, 96], "data": [20] * 64 * 96}
        infer = opened.post("/v2/models/tiny/infer", json={"inputs": [pixels]}).json()
        with closing(grpc.InferenceServerClient(f"127.0.0.1:{app.state.grpc_port}")) as client:
            answer = client.infer("tiny", [tensor])
            tensor.set_data_from_numpy(np.array([b"broken"], np.object_))
            with pytest.raises(refusal) as refused:
                client.infer("tiny", [tensor])
            about = cast("Any", refused.value.__context__).trailing_metadata()  # of the error of gRPC below Triton's
            (broken,) = (value for name, value in about if name == "onspec-record")
        record = answer.get_response().parameters["record"].string_param
        assert json.loads(answer.as_numpy("inspection")[0])["record"] == record
        told = [*(one["record"] for one in batch), infer["parameters"]["record"], record, broken]
        found = opened.get("/api/records", params={"order": "oldest"}).json()["records"]
        assert sorted(told) == sorted(one["id"] for one in found)
        verdicts = [opened.get(f"/api/records/{id_}").json()["verdict"] for id_ in told]
        assert verdicts == ["OK", "ERROR", "NG", "OK", "NG", "ERROR"]


def test_score_maps_are_kept_and_linked(
    tiny: Inspector, served: Callable[..., object], tmp_path: Path, good: bytes, defective: bytes
) -> None:
    recording = Recording(Archive(str(tmp_path / "r.db"), keep=KeepPolicy(maps=True)))
    app = create_app([tiny], recorder=recording)
    recording.join(app)
    with served(app) as opened:  # type: ignore[attr-defined]
        wait_ready(opened)
        ok, ng = (inspect(opened, data, "1").json()["record"] for data in (good, defective))
        link = opened.get(f"/api/records/{ng}").json()["maps"]["defect"]
        assert opened.get("/api/records?verdict=NG").json()["records"][0]["maps"] == {"defect": link}
        answer = opened.get(link)
        assert answer.headers["content-type"] == "image/png"
        scores = tiny.inspect_bytes(defective, "image").maps[0].values
        np.testing.assert_array_equal(decode_image(answer.content, "map"), np.rint(scores * 65535))
        assert opened.get(f"/api/records/{ok}").json()["maps"] == {}
        none = opened.get(f"/api/records/{ok}/maps/defect")
        assert (none.status_code, "--keep-maps" in none.json()["error"]) == (404, True)
        recording.archive.prune(KeepPolicy(gigabytes=1e-9))
        gone = opened.get(link)
        assert (gone.status_code, "over the limits" in gone.json()["error"]) == (404, True)


def test_the_service_spares_images_of_reviewed_parts(
    tiny: Inspector, served: Callable[..., object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def seen(number: int) -> str:
        data = encode_image(np.full((64, 96), number, np.uint8))
        return archive.record(tiny.inspect_bytes(data, "a.png").inspection, data).id

    archive = Archive(str(tmp_path / "r.db"), keep=KeepPolicy(ok_share=1, gigabytes=1e-9))
    ids = [seen(number) for number in range(3)]
    archive.review(ids[1], Review(truth="good", by="Ada"))
    recording = Recording(archive)
    app = create_app([tiny], recorder=recording)
    recording.join(app)
    with served(app) as opened:  # type: ignore[attr-defined]
        for _ in range(200):
            status = [opened.get(f"/api/records/{id_}/image").status_code for id_ in ids]
            if status == [404, 200, 404]:
                break
            time.sleep(0.05)
        assert status == [404, 200, 404]
    assert "images of reviewed parts are over the limit" in caplog.text


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
        for path in ("export.csv", "export?format=csv", "export?format=parquet", "export?format=dataset"):
            assert opened.get(f"/api/records/{path}").status_code == 403  # for engineers


@pytest.fixture
def reviewed(
    tiny: Inspector, served: Callable[..., object], tmp_path: Path, make_part: Callable[..., NDArray[Any]]
) -> Iterator[tuple[httpx.Client, Archive]]:
    """A server with six parts: all but the last but one reviewed; one has lost its image, one is no image."""
    recording = Recording(Archive(str(tmp_path / "e.db"), keep=KeepPolicy(ok_share=1)))
    app = create_app([tiny], recorder=recording)
    recording.join(app)
    with served(app) as opened:  # type: ignore[attr-defined]
        wait_ready(opened)
        spots = [(), ((30, 20, 10, 6),), ((40, 10, 20, 12),), ((8, 8, 5, 5),), ((50, 30, 9, 9),)]
        ids = [inspect(opened, encode_image(make_part(*s)), str(n)).json()["record"] for n, s in enumerate(spots)]
        defective = {"truth": "defective", "class": "scratch", "outlines": True, "by": "Ada"}
        said = [{"truth": "good", "by": "Ada"}, defective, defective, {"truth": "defective", "by": "Ada"}]
        for id_, review in zip(ids, said, strict=False):
            assert opened.post(f"/api/records/{id_}/review", json=review).status_code == 201
        broken = inspect(opened, b"no image", "5").json()["record"]
        assert opened.post(f"/api/records/{broken}/review", json=said[0]).status_code == 201
        gone = recording.archive.image(recording.archive.get(ids[2]).record)
        assert gone is not None
        gone.unlink()
        yield opened, recording.archive


def test_exports_are_what_the_command_writes(
    reviewed: tuple[httpx.Client, Archive], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client, archive = reviewed

    def get(**asked: str) -> httpx.Response:
        return client.get("/api/records/export", params=asked)

    def command(*options: str) -> int:
        with pytest.raises(SystemExit) as exited:
            run(["records", "export", "--db", str(tmp_path / "e.db"), *options])
        return int(exited.value.code or 0)

    text = get(format="csv").content
    assert command("--out", str(tmp_path / "r.csv")) == 0
    assert text == (tmp_path / "r.csv").read_bytes()
    assert text == client.get("/api/records/export.csv").content
    assert len(text.splitlines()) == 7
    assert len(get(format="csv", reviewed="false").text.splitlines()) == 2
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    answer = get(format="parquet", verdict="NG")
    assert answer.headers["content-disposition"] == 'attachment; filename="records.parquet"'
    rows = parquet.read_table(io.BytesIO(answer.content)).to_pylist()
    assert [(row["part_id"], row["truth"]) for row in rows] == [
        ("1", "defective"), ("2", "defective"), ("3", "defective"), ("4", None)
    ]  # fmt: skip
    for layout, left_out in (("masks", 2), ("coco", 3)):
        packed = get(format="dataset", layout=layout)
        assert packed.headers["content-type"] == "application/zip"
        assert packed.headers["onspec-left-out"] == str(left_out)
        out = tmp_path / layout
        assert command("--to", layout, "--out", str(out)) == 1  # something was left out
        with zipfile.ZipFile(io.BytesIO(packed.content)) as found:
            assert found.testzip() is None
            told = found.comment.decode()
            assert "1 reviewed, but the image was not kept" in told
            assert len(told.splitlines()) == left_out
            assert str(tmp_path) not in told
            files = {name: found.read(name) for name in found.namelist()}
        wrote = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        assert files == wrote
        assert any(name.endswith(".png") for name in files)
    for _ in range(100):
        if not list((archive.folder / "exports").iterdir()):
            break
        time.sleep(0.05)
    else:
        pytest.fail("a data set was left behind")
    left = archive.folder / "exports" / "left"
    left.mkdir()
    os.utime(left, (0, 0))
    nothing = get(format="dataset", verdict="OK", reviewed="false")
    assert (nothing.status_code, "no reviewed part" in nothing.json()["error"]) == (404, True)
    assert list((archive.folder / "exports").iterdir()) == []  # also what a process that was killed left there
    (archive.folder / "exports").rmdir()
    (archive.folder / "exports").touch()
    assert get(format="dataset").status_code == 503
    for wrong in ({}, {"format": "xlsx"}, {"format": "dataset", "layout": "deeppcb"}, {"format": "csv", "since": "x"}):
        assert get(**wrong).status_code == 422


def test_exports_are_bounded(reviewed: tuple[httpx.Client, Archive], monkeypatch: pytest.MonkeyPatch) -> None:
    client, archive = reviewed
    entry, walked = next(archive.walk(Filter())), list[int]()

    def endless() -> Iterator[Entry]:
        for number in itertools.count():
            walked.append(number)
            yield entry

    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    chunks = parquet_chunks(endless())
    assert len(b"".join(next(chunks) for _ in range(2))) > 1000  # sent before the end is known
    assert len(walked) <= 4000
    monkeypatch.setattr("onspec.service.exporting.MOST_REVIEWED", 2)
    many = client.get("/api/records/export?format=dataset")
    assert (many.status_code, "since and until" in many.json()["error"]) == (422, True)
    monkeypatch.undo()
    started, go = threading.Event(), threading.Event()

    def slowly(*_: object, **__: object) -> None:
        started.set()
        assert go.wait(20)
        raise DataError("nothing")

    monkeypatch.setattr("onspec.service.exporting.write_reviewed", slowly)
    with ThreadPoolExecutor(1) as clients:
        first = clients.submit(httpx.get, f"{client.base_url}/api/records/export?format=dataset", timeout=30)
        assert started.wait(20)
        second = client.get("/api/records/export?format=dataset")
        go.set()
        assert (second.status_code, "Retry-After" in second.headers) == (503, True)
        assert first.result(30).status_code == 404


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


@pytest.mark.slow
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

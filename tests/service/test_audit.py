"""Who changed what, and that nobody can take it back."""

import errno
import json
import logging
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from multiprocessing import get_context
from pathlib import Path

import httpx
import pytest

from onspec.domain import UsageError
from onspec.runtime.inspector import Inspector
from onspec.service.app import Settings
from onspec.service.audit import AuditLog, changes, verify_audit
from onspec.service.roles import LEAST_ROLE
from onspec.service.tokens import Tokens

Running = Callable[..., AbstractContextManager[httpx.Client]]
ENGINEER = {"Authorization": "Bearer the-engineers-token"}
OPERATOR = {"Authorization": "Bearer the-operators-token"}
TOKENS = ["eva:engineer:the-engineers-token", "otto:operator:the-operators-token"]


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_change_is_written_down_before_and_after(
    running: Running, tiny: Inspector, tiny_recipe_path: Path, tmp_path: Path, good: bytes
) -> None:
    path = tmp_path / "audit.jsonl"
    with running(tiny, tokens=Tokens(TOKENS), settings=Settings(audit=path)) as client:
        client.post("/api/inspect", content=good, headers=OPERATOR)
        client.get("/api/recipes", headers=OPERATOR)
        assert path.read_text() == ""
        loaded = client.post("/api/recipes", content=tiny_recipe_path.read_bytes(), headers=ENGINEER)
        assert loaded.status_code == 201
        client.post("/api/recipes/tiny/rollback", headers=ENGINEER | {"X-Request-ID": "order-4711"})
        client.post("/api/recipes/tiny/rollback", headers=OPERATOR)  # turned away: nothing was asked for
    told = lines(path)
    assert [(line["who"], line["role"], line["phase"]) for line in told] == [("eva", "engineer", "asked"),
        ("eva", "engineer", "done")] * 2  # fmt: skip
    assert told[1]["body_sha256"] == tiny.package.digest
    assert (told[1]["route"], told[1]["status"], told[1]["outcome"]) == ("/api/recipes", 201, "done")
    assert (told[3]["status"], told[3]["outcome"], told[3]["request_id"]) == (409, "refused", "order-4711")
    assert told[3]["active"] == [tiny.identity]
    assert verify_audit(path).fault is None
    assert verify_audit(path).lines == 4


def test_what_cannot_be_written_down_is_not_done(
    running: Running, tiny: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    with running(tiny, settings=Settings(audit=tmp_path / "audit.jsonl")) as client:
        monkeypatch.setattr(AuditLog, "append", full)
        answer = client.delete("/api/recipes/tiny")
        assert answer.status_code == 503
        assert "No space left" in answer.json()["error"]
        assert client.get("/v2/models/tiny").status_code == 200


def test_without_a_file_changes_are_logged(running: Running, tiny: Inspector, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "onspec.service"), running(tiny) as client:
        client.post("/api/recipes/tiny/rollback")
    assert [record.fields["phase"] for record in caplog.records if record.message == "audit"] == ["asked", "done"]  # type: ignore[attr-defined]


def made(path: Path, count: int = 4) -> list[bytes]:
    log = AuditLog(path)
    for n in range(count):
        log.append({"n": n})
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_line_that_is_taken_out_or_changed_shows(tmp_path: Path, gone: int) -> None:
    path = tmp_path / "audit.jsonl"
    kept = made(path)
    path.write_bytes(b"".join(kept[:gone] + kept[gone + 1 :]))
    assert "does not follow" in str(verify_audit(path).fault)
    path.write_bytes(b"".join([*kept[:gone], kept[gone].replace(b'"n": ', b'"n": 9'), *kept[gone + 1 :]]))
    assert "does not follow" in str(verify_audit(path).fault)


def test_lines_cut_off_at_the_end_show_against_a_hash_kept_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept = made(path)
    head = verify_audit(path).head
    assert verify_audit(path, head).fault is None
    path.write_bytes(b"".join(kept[:-1]))
    assert verify_audit(path).fault is None
    assert "removed" in str(verify_audit(path, head).fault)


def test_a_torn_last_line_does_not_break_the_chain_after_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept = made(path)
    path.write_bytes(b"".join(kept)[:-20])
    AuditLog(path).append({"n": 4})
    assert verify_audit(path).fault == "line 4 is not a whole line of an audit log"
    assert path.read_bytes().splitlines(keepends=True)[:3] == kept[:3]


def test_a_line_that_does_not_fit_on_the_disk_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    made(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("onspec.service.audit.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            AuditLog(path).append({"n": 4})
    assert path.read_bytes() == before
    AuditLog(path).append({"n": 5})
    assert verify_audit(path).fault is None


def _many(path: str) -> None:
    made(Path(path), 25)


def test_workers_share_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with ProcessPoolExecutor(2, get_context("spawn")) as workers:
        list(workers.map(_many, [str(path)] * 2))
    assert verify_audit(path).lines == 50
    assert verify_audit(path).fault is None


def test_every_route_that_changes_something_is_written_down() -> None:
    still = {(m, p) for m, p, _ in LEAST_ROLE if m != "GET" and not changes(m, p.replace("[^/]+", "x").split("(")[0])}
    assert not any("recipes" in path for _, path in still)
    assert changes("POST", "/api/recipes/tiny/golden")
    assert changes("POST", "/api/records/17/review")
    assert changes("PUT", "/api/inspect")
    assert not changes("POST", "/api/inspect")
    assert not changes("POST", "/v2/models/tiny/versions/1/infer")


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--audit"):
        AuditLog(tmp_path / "absent" / "audit.jsonl")

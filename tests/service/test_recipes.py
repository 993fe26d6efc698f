"""Recipes loaded, activated, rolled back, checked and unloaded while parts are judged."""

import errno
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from onspec.domain import RecipeError, UsageError
from onspec.recipe.package import Expected, Package
from onspec.recipe.reading import open_package
from onspec.recipe.signature import make_keys
from onspec.recipe.writing import pack
from onspec.runtime.golden import GoldenOutcome
from onspec.runtime.inspector import Decoded, Inspector, Result
from onspec.service.app import Settings, create_app
from onspec.service.recipes import Opening, take_in
from onspec.service.state import MOST_VERSIONS, State
from onspec.service.store import FolderStore
from onspec.service.versions import check_golden

Running = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture
def variant(tiny_recipe_path: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes recipe files that differ from `tiny` in what they were packed with."""

    def make(created: str, *, sign: Path | None = None, score: float = 0.0, name: str = "tiny") -> Path:
        package: Package = open_package(tiny_recipe_path)
        provenance = package.recipe.provenance.model_copy(update={"created": created})
        recipe = package.recipe.model_copy(update={"provenance": provenance, "name": name})
        first = package.golden[0]
        assert first.expected is not None
        wrong = Expected(verdict=first.expected.verdict, score=first.expected.score - score)
        golden = (replace(first, expected=wrong), *package.golden[1:])
        path = tmp_path / f"{name}-{created}-{score}-{sign is not None}.onspec"
        pack(replace(package, recipe=recipe, golden=golden), path, signing_key=sign)
        return path

    return make


@pytest.fixture
def next_one(variant: Callable[..., Path]) -> Path:
    """A newer version of `tiny`."""
    return variant("2026-02-02T00:00:00Z")


def digest_of(path: Path) -> str:
    """A version's name."""
    return open_package(path).digest


def judged_by(client: httpx.Client, good: bytes, recipe: str = "tiny") -> str:
    """The digest of the version that judges now."""
    answer = client.post("/api/inspect", params={"recipe": recipe}, content=good)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["recipe"]).partition("@sha256:")[2]


def test_a_version_is_loaded_then_activated_then_rolled_back(
    running: Running, tiny: Inspector, next_one: Path, good: bytes
) -> None:
    old, new = tiny.package.digest, digest_of(next_one)
    with running(tiny) as client:
        loaded = client.post("/api/recipes", content=next_one.read_bytes())
        assert loaded.status_code == 201
        assert loaded.json()["active"] == old
        assert judged_by(client, good) == old
        assert judged_by(client, good, f"tiny@sha256:{new}") == new  # pinned

        activated = client.post("/api/recipes/tiny/activate", params={"version": new}).json()
        assert (activated["active"], activated["before"]) == (new, [old])
        assert judged_by(client, good) == new
        assert judged_by(client, good, f"tiny@sha256:{old}") == old

        assert client.post("/api/recipes/tiny/rollback").json()["active"] == old
        assert judged_by(client, good) == old
        again = client.post("/api/recipes/tiny/rollback")
        assert again.status_code == 409
        assert "no earlier version" in again.json()["error"]


def test_loading_twice_is_loading_once_and_may_activate_at_once(
    running: Running, tiny: Inspector, next_one: Path, good: bytes
) -> None:
    with running(tiny) as client:
        for _ in range(2):
            answer = client.post("/api/recipes?activate=true", content=next_one.read_bytes())
            assert answer.json()["active"] == digest_of(next_one)
            assert len(answer.json()["versions"]) == 2
        assert [recipe["name"] for recipe in client.get("/api/recipes").json()] == ["tiny"]
        assert {v["condition"] for v in client.get("/api/recipes/tiny").json()["versions"]} == {"ready"}


def test_what_is_no_recipe_or_fails_its_check_never_serves(
    running: Running, tiny: Inspector, variant: Callable[..., Path], good: bytes
) -> None:
    failing = variant("2026-03-03T00:00:00Z", score=0.1)
    with running(tiny) as client:
        for data, words in (
            (b"not a recipe", "the recipe file"),
            (failing.read_bytes()[:-50] + bytes(50), "the recipe file"),
            (failing.read_bytes(), "golden samples"),
        ):
            refused = client.post("/api/recipes?activate=true", content=data)
            assert refused.status_code == 422, refused.text
            assert words in refused.json()["error"]
            assert "/tmp" not in refused.json()["error"]
        assert client.post("/api/recipes").status_code == 400
        assert len(client.get("/api/recipes/tiny").json()["versions"]) == 1
        assert judged_by(client, good) == tiny.package.digest
        absent = client.post("/api/recipes/tiny/activate", params={"version": digest_of(failing)})
        assert absent.status_code == 404


def test_activating_under_load_drops_no_request(
    running: Running, tiny: Inspector, next_one: Path, good: bytes, defective: bytes
) -> None:
    """Requests run all the while; each has its verdict, from one of the two versions."""
    old, new = tiny.package.digest, digest_of(next_one)
    stop = threading.Event()

    def ask(client: httpx.Client, data: bytes, verdict: str) -> set[str]:
        seen = set()
        while not stop.is_set():
            answer = client.post("/api/inspect?recipe=tiny", content=data)
            assert answer.status_code == 200, answer.text
            assert answer.json()["verdict"] == verdict
            seen.add(answer.json()["recipe"].partition("@sha256:")[2])
        return seen

    with running(tiny) as client, ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(ask, client, *case) for case in 2 * [(good, "OK"), (defective, "NG")]]
        for _ in range(3):
            assert client.post("/api/recipes?activate=true", content=next_one.read_bytes()).status_code == 201
            time.sleep(0.1)
            assert client.post("/api/recipes/tiny/rollback").status_code == 200
            assert client.delete(f"/api/recipes/tiny/versions/{new}").status_code == 204
        stop.set()
        seen = set().union(*(each.result(30) for each in asking))
    assert seen == {old, new}


def held(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """From now on it judges only once the second event is set; the first says that an image is in work."""
    entered, gate, judge = threading.Event(), threading.Event(), inspector.inspect_decoded

    def slowly(decoded: Decoded, name: str, part_id: str | None) -> Result:
        entered.set()
        assert gate.wait(20)
        return judge(decoded, name, part_id)

    monkeypatch.setattr(inspector, "inspect_decoded", slowly)
    return entered, gate


def is_given_back(inspector: Inspector) -> bool:
    """Whether its engine is closed, soon."""
    for _ in range(200):
        if inspector._engine._session is None:  # type: ignore[attr-defined]
            return True
        time.sleep(0.02)
    return False


def test_a_request_in_flight_finishes_on_the_version_that_was_unloaded(
    running: Running, tiny: Inspector, next_one: Path, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tiny) as client, ThreadPoolExecutor(1) as clients:
        entered, gate = held(tiny, monkeypatch)
        waiting = clients.submit(client.post, "/api/inspect", content=good)
        assert entered.wait(20)
        assert client.post("/api/recipes?activate=true", content=next_one.read_bytes()).status_code == 201
        assert client.delete(f"/api/recipes/tiny/versions/{tiny.package.digest}").status_code == 204
        assert tiny._engine._session is not None  # type: ignore[attr-defined]  # still needed
        gate.set()
        assert waiting.result(30).json()["recipe"] == tiny.identity
        assert is_given_back(tiny)


def test_an_image_whose_asker_has_left_may_be_in_work_while_its_version_is_unloaded(
    running: Running, tiny: Inspector, next_one: Path, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its engine is closed after it, and others are judged after it."""
    with running(tiny) as client, ThreadPoolExecutor(1) as clients:
        entered, gate = held(tiny, monkeypatch)
        leaving = clients.submit(client.post, "/api/inspect?deadline_ms=300", content=good)
        assert entered.wait(20)
        assert leaving.result(30).status_code == 504
        assert client.post("/api/recipes?activate=true", content=next_one.read_bytes()).status_code == 201
        assert client.delete(f"/api/recipes/tiny/versions/{tiny.package.digest}").status_code == 204
        time.sleep(0.3)
        assert tiny._engine._session is not None  # type: ignore[attr-defined]  # still at work
        gate.set()
        after = client.post("/api/inspect", content=good)
        assert (after.status_code, after.json()["verdict"]) == (200, "OK")
        assert client.get("/v2/health/ready").status_code == 200
        assert is_given_back(tiny)


def test_one_version_too_many_on_the_command_line_is_a_sentence_and_not_stored(
    tiny_recipe_path: Path, next_one: Path, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path / "state")
    take_in(store, [tiny_recipe_path], Opening())
    for number in range(MOST_VERSIONS - 1):
        store.change(partial(State.add, name="tiny", digest=f"{number:064x}"))
    with pytest.raises(UsageError, match="10 versions of 'tiny' are loaded; unload one first, or start without"):
        take_in(store, [next_one], Opening())
    assert not store.path(digest_of(next_one)).exists()
    take_in(store, [tiny_recipe_path], Opening())  # it is among them


def test_unloading(running: Running, tiny: Inspector, other: Inspector, good: bytes) -> None:
    with running(tiny, other) as client:
        active = client.delete(f"/api/recipes/tiny/versions/{tiny.package.digest}")
        assert active.status_code == 409
        assert "is active" in active.json()["error"]
        assert client.delete("/api/recipes/other").status_code == 204
        assert client.post("/api/inspect?recipe=other", content=good).status_code == 404
        assert client.post("/api/inspect", content=good).json()["verdict"] == "OK"  # the only one needs no name
        assert client.delete("/api/recipes/tiny").status_code == 204
        assert client.get("/api/recipes").json() == []
        none = client.post("/api/inspect", content=good)
        assert none.status_code == 503
        assert client.get("/v2/health/ready").status_code == 503
        assert client.delete("/api/recipes/tiny").status_code == 404


def test_a_restart_has_the_same_active_versions(
    running: Running, tiny_recipe_path: Path, next_one: Path, tmp_path: Path, good: bytes
) -> None:
    store = FolderStore(tmp_path / "state")
    take_in(store, [tiny_recipe_path], Opening())
    with running(store=store) as client:
        client.post("/api/recipes?activate=true", content=next_one.read_bytes())
    take_in(store, [tiny_recipe_path], Opening())  # as the command line names it again
    with running(store=FolderStore(tmp_path / "state")) as client:
        assert judged_by(client, good) == digest_of(next_one)
        assert client.post("/api/recipes/tiny/rollback").json()["active"] == digest_of(tiny_recipe_path)
    assert {file.name for file in (tmp_path / "state").iterdir()} == {"files", "lock", "state.json"}


def test_a_service_may_begin_empty_with_a_folder(
    running: Running, tiny_recipe_path: Path, tmp_path: Path, good: bytes
) -> None:
    with running(store=FolderStore(tmp_path / "state")) as client:
        assert "no recipe is active" in client.get("/v2/health/ready").json()["error"]
        client.post("/api/recipes?activate=true", content=tiny_recipe_path.read_bytes())
        assert judged_by(client, good) == digest_of(tiny_recipe_path)


def test_a_full_disk_changes_nothing_and_is_said(
    running: Running,
    tiny_recipe_path: Path,
    next_one: Path,
    tmp_path: Path,
    good: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = FolderStore(tmp_path / "state")
    take_in(store, [tiny_recipe_path], Opening())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with running(store=store) as client:
        with monkeypatch.context() as patched:
            patched.setattr("onspec.service.store.write_all", full)
            refused = client.post("/api/recipes?activate=true", content=next_one.read_bytes())
            assert refused.status_code == 507
            assert "cannot be written to (No space left on device), so nothing was changed" in refused.json()["error"]
        assert judged_by(client, good) == digest_of(tiny_recipe_path)
        assert client.post("/api/recipes?activate=true", content=next_one.read_bytes()).status_code == 201
        assert judged_by(client, good) == digest_of(next_one)
        with monkeypatch.context() as patched:
            patched.setattr("onspec.service.store.write_all", full)
            assert client.post("/api/recipes/tiny/rollback").status_code == 507
        assert judged_by(client, good) == digest_of(next_one)
    assert not list((tmp_path / "state" / "files").glob(".*"))


def test_a_damaged_state_or_file_is_said(tiny_recipe_path: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "state")
    take_in(store, [tiny_recipe_path], Opening())
    store.path(digest_of(tiny_recipe_path)).write_bytes(b"damaged")
    with pytest.raises(RecipeError, match="not a recipe"):
        create_app(store=store)
    (tmp_path / "state" / "state.json").write_text("{")
    with pytest.raises(RecipeError, match=r"state\.json"):
        create_app(store=store)


def test_only_signed_recipes_where_a_key_is_given(
    running: Running, variant: Callable[..., Path], tmp_path: Path
) -> None:
    make_keys(tmp_path / "key", tmp_path / "key.pub")
    make_keys(tmp_path / "stranger", tmp_path / "stranger.pub")
    signed, unsigned = variant("2026-04-04T00:00:00Z", sign=tmp_path / "key"), variant("2026-04-04T00:00:00Z")
    strange = variant("2026-05-05T00:00:00Z", sign=tmp_path / "stranger")
    opening = Opening(public_key=tmp_path / "key.pub")
    with running(store=FolderStore(tmp_path / "state"), opening=opening) as client:
        for path, words in ((unsigned, "not signed"), (strange, "signature")):
            refused = client.post("/api/recipes", content=path.read_bytes())
            assert refused.status_code == 422
            assert words in refused.json()["error"]
        loaded = client.post("/api/recipes", content=signed.read_bytes())
        assert loaded.json()["versions"][0]["signed"] is True


class Drift:
    """A check whose outcome the test chooses: which golden samples deviate from now on."""

    def __init__(self) -> None:
        self.deviating: set[str] = set()
        self.runs = 0

    def __call__(self, inspector: Inspector) -> list[GoldenOutcome]:
        self.runs += 1
        outcomes = check_golden(inspector)
        return [replace(o, deviation="score 0.5, expected 1") if o.name in self.deviating else o for o in outcomes]


def test_a_deviation_stops_verdicts_until_an_engineer_acknowledges_it(
    running: Running, tiny: Inspector, good: bytes
) -> None:
    drift, word = Drift(), {"by": "M. Weber", "reason": "new lamp, order 4711"}
    with running(tiny, check=drift) as client:
        early = client.post("/api/recipes/tiny/golden/acknowledge", json=word)
        assert early.status_code == 409
        report = client.post("/api/recipes/tiny/golden").json()
        assert report["condition"] == "ready"
        assert {sample["deviation"] for sample in report["samples"]} == {None}

        drift.deviating = {"good.png"}
        assert client.post("/api/recipes/tiny/golden").json()["condition"] == "stopped"
        stopped = client.post("/api/inspect", content=good)
        assert stopped.status_code == 503
        assert "good.png" in stopped.json()["error"]
        assert client.get("/v2/health/ready").status_code == 503

        assert client.post("/api/recipes/tiny/golden/acknowledge", json={"by": "", "reason": "x"}).status_code == 422
        shown = client.post("/api/recipes/tiny/golden/acknowledge", json=word).json()["versions"][0]
        assert shown["condition"] == "acknowledged"
        assert shown["acknowledged"]["by"] == "M. Weber"
        assert shown["acknowledged"]["samples"] == ["good.png"]
        assert judged_by(client, good) == tiny.package.digest
        assert (
            client.post("/api/recipes/tiny/golden").json()["condition"] == "acknowledged"
        )  # the same does not stop it

        drift.deviating = {"good.png", "defective.png"}
        assert client.post("/api/recipes/tiny/golden").json()["condition"] == "stopped"  # another one does
        drift.deviating = set()
        assert client.post("/api/recipes/tiny/golden").json()["condition"] == "ready"  # as does passing again
        assert client.get("/api/recipes/tiny").json()["versions"][0]["acknowledged"] is None


def test_what_never_passed_here_cannot_be_acknowledged(running: Running, tiny: Inspector, good: bytes) -> None:
    drift = Drift()
    drift.deviating = {"good.png"}
    with running(tiny, check=drift) as client:
        refused = client.post("/api/recipes/tiny/golden/acknowledge", json={"by": "x", "reason": "y"})
        assert refused.status_code == 409
        assert "never passed" in refused.json()["error"]
        assert client.post("/api/inspect", content=good).status_code == 503


def test_golden_samples_on_a_schedule(running: Running, tiny: Inspector, good: bytes) -> None:
    drift = Drift()
    with running(tiny, check=drift, settings=Settings(golden_every_s=0.1)) as client:
        assert judged_by(client, good) == tiny.package.digest
        drift.deviating = {"good.png"}
        assert until(lambda: client.post("/api/inspect", content=good).status_code == 503)
        drift.deviating = set()
        assert until(lambda: client.post("/api/inspect", content=good).status_code == 200)
        assert drift.runs >= 3


def until(holds: Callable[[], bool]) -> bool:
    """Whether it holds within 10 s."""
    for _ in range(500):
        if holds():
            return True
        time.sleep(0.02)
    return False

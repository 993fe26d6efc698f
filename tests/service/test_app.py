"""The HTTP API as a client sees it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest
from numpy.typing import NDArray

from onspec import __version__
from onspec.domain import EngineError, Inspection, RecipeError, UsageError
from onspec.imaging.writing import encode_image
from onspec.recipe.package import Expected, Package
from onspec.runtime.golden import GoldenOutcome
from onspec.runtime.inspector import Decoded, Inspector, Result
from onspec.service.app import Settings, create_app
from onspec.service.queue import BatchPolicy
from onspec.service.tokens import Tokens
from onspec.service.versions import check_golden

Served = Callable[..., AbstractContextManager[httpx.Client]]
Running = Callable[..., AbstractContextManager[httpx.Client]]
TOKEN = "a-token-for-the-line-controller"


@pytest.fixture
def client(tiny: Inspector, running: Running) -> Iterator[httpx.Client]:
    """The application with the tiny recipe."""
    with running(tiny) as client:
        yield client


def is_problem(response: httpx.Response, status: int, *words: str) -> bool:
    """Whether an answer is a problem of this status whose sentence has these words, and nothing besides."""
    body = response.json()
    assert response.status_code == status, response.text
    assert list(body) == ["error"]
    assert all(word in body["error"] for word in words), body["error"]
    return True


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "text/plain", "application/json", ""])
def test_an_image_of_any_content_type_is_judged(client: httpx.Client, defective: bytes, kind: str) -> None:
    answer = client.post("/api/inspect?part_id=17", content=defective, headers={"Content-Type": kind})
    assert answer.status_code == 200
    assert answer.json()["verdict"] == "NG"
    assert answer.json()["part_id"] == "17"


def test_the_answer_is_the_inspection_of_the_same_recipe(
    client: httpx.Client, tiny: Inspector, good: bytes, defective: bytes
) -> None:
    for data in (good, defective):
        local = json.loads(tiny.inspect_bytes(data, "image").inspection.to_json())
        remote = client.post("/api/inspect", content=data).json()
        assert Inspection.model_validate(remote)
        assert {**remote, "ms": None} == {**local, "ms": None}
        assert set(remote["ms"]) == {"read", "infer", "decide"}


def test_a_form_with_one_file_is_judged_under_its_name(client: httpx.Client, good: bytes) -> None:
    answer = client.post("/api/inspect", files={"image": ("C:\\parts\\a\n7.png", good, "image/png")})
    assert answer.status_code == 200
    assert answer.json()["verdict"] == "OK"
    assert answer.json()["image"].endswith("7.png")
    assert "\\" not in answer.json()["image"]


def test_a_form_with_anything_else_is_refused(client: httpx.Client, good: bytes) -> None:
    both = client.post("/api/inspect", files={"image": good}, data={"part_id": "17"})
    assert is_problem(both, 400, "part_id belong into the query")
    text = client.post("/api/inspect", files={"image": (None, "words")})
    assert is_problem(text, 400, "image files")
    broken = client.post("/api/inspect", content=good, headers={"Content-Type": "multipart/form-data"})
    assert is_problem(broken, 400, "form cannot be read")
    torn = client.post(
        "/api/inspect", content=b"--x\r\nnonsense", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert is_problem(torn, 400, "form")


def test_a_form_that_ends_before_its_last_boundary_leaves_no_file_out(client: httpx.Client, good: bytes) -> None:
    whole = client.build_request("POST", "/api/inspect", files=[("image", good), ("image", good)])
    body, kind = whole.read(), whole.headers["content-type"]
    last = b"--" + kind.partition("boundary=")[2].encode() + b"--\r\n"
    assert body.endswith(last)
    for cut in (len(last), len(last) - 4):  # without it, and in the middle of it
        answer = client.post("/api/inspect", content=body[:-cut], headers={"Content-Type": kind})
        assert is_problem(answer, 400, "ends before its last boundary")
    assert len(client.post("/api/inspect", content=body, headers={"Content-Type": kind}).json()) == 2


@pytest.mark.parametrize(
    ("body", "says"),
    [(b"not an image", "image"), (b"\x89PNG\r\n\x1a\n", "truncated"), (b"\x00" * 4096, "image")],
)
def test_what_is_no_image_is_the_clients_problem(client: httpx.Client, body: bytes, says: str) -> None:
    assert is_problem(client.post("/api/inspect", content=body), 422, says)


def test_a_truncated_image_is_never_judged(client: httpx.Client, good: bytes) -> None:
    for length in range(1, len(good)):
        assert is_problem(client.post("/api/inspect", content=good[:length]), 422)


def test_an_image_of_another_size_or_colour_is_the_clients_problem(
    client: httpx.Client, make_part: Callable[..., NDArray[Any]]
) -> None:
    large = encode_image(make_part(size=(640, 480)))
    assert is_problem(client.post("/api/inspect", content=large), 422, "640")
    deep = encode_image(make_part().astype("uint16") * 257)
    assert is_problem(client.post("/api/inspect", content=deep), 422, "uint16")


def test_no_image_at_all(client: httpx.Client) -> None:
    assert is_problem(client.post("/api/inspect"), 400, "0 bytes")
    assert is_problem(client.post("/api/inspect", files={"image": ("a.png", b"")}), 400, "0 bytes")


def test_a_body_over_the_limit_is_refused_announced_or_not(tiny: Inspector, good: bytes, running: Running) -> None:
    def pieces() -> Iterator[bytes]:
        yield good
        yield bytes(2_000)

    with running(tiny, settings=Settings(max_body_mb=0.001)) as client:
        assert len(good) < 1_000
        assert client.post("/api/inspect", content=good).status_code == 200
        assert is_problem(client.post("/api/inspect", content=good + bytes(2_000)), 413, "0.001 MB")
        assert is_problem(client.post("/api/inspect", content=pieces()), 413, "0.001 MB")
        assert is_problem(client.post("/api/inspect", files={"image": good + bytes(2_000)}), 413, "0.001 MB")


def test_a_recipe_is_chosen_by_name_or_identity(
    tiny: Inspector, other: Inspector, good: bytes, running: Running
) -> None:
    with running(tiny, other) as client:
        assert is_problem(client.post("/api/inspect", content=good), 400, "tiny", "other")
        assert is_problem(client.post("/api/inspect?recipe=tin", content=good), 404, "tin", "tiny, other")
        for name in ("other", other.identity):
            answer = client.post("/api/inspect", content=good, params={"recipe": name})
            assert answer.json()["recipe"] == other.identity
        assert client.get("/").json()["recipes"] == [tiny.identity, other.identity]


def test_an_unknown_recipe_is_told_before_the_image_is_looked_at(client: httpx.Client) -> None:
    assert is_problem(client.post("/api/inspect?recipe=x", content=b"not an image"), 404, "loaded: tiny")


def test_other_problems_have_the_same_body(client: httpx.Client) -> None:
    assert is_problem(client.get("/nowhere"), 404, "/nowhere")
    assert is_problem(client.get("/docs"), 404, "/docs")
    assert is_problem(client.get("/api/inspect"), 405, "GET /api/inspect")
    assert is_problem(client.post("/api/inspect", params={"part_id": "x" * 201}), 422, "part_id")
    assert client.get("/api/inspect").headers["allow"] == "POST"


def test_an_engine_fault_is_500_and_the_next_part_is_judged(
    client: httpx.Client, tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise EngineError("the engine lost its device")

    with monkeypatch.context() as patch:
        patch.setattr(tiny._engine, "infer", fail)
        assert is_problem(client.post("/api/inspect", content=good), 500, "lost its device")
    assert client.post("/api/inspect", content=good).json()["verdict"] == "OK"


def test_a_fault_of_ours_is_500_without_its_details(
    client: httpx.Client, tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("secret detail")

    monkeypatch.setattr(tiny, "inspect_decoded", fail)
    answer = client.post("/api/inspect", content=good)
    assert is_problem(answer, 500, "internal fault")
    assert "secret" not in answer.text


def test_a_full_queue_is_503_at_once_and_the_accepted_are_answered(
    tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch, running: Running
) -> None:
    gate = threading.Event()
    judge = tiny.inspect_decoded

    def slowly(decoded: Decoded, name: str, part_id: str | None) -> Result:
        assert gate.wait(30)
        return judge(decoded, name, part_id)

    with running(tiny, policy=BatchPolicy(max_queue=2)) as client, ThreadPoolExecutor(2) as clients:
        monkeypatch.setattr(tiny, "inspect_decoded", slowly)
        accepted = [clients.submit(client.post, "/api/inspect", content=good) for _ in range(2)]
        refused = until_refused(client)
        assert is_problem(refused, 503, "queue is full", "2 images")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/v2/health/live").status_code == 200
        gate.set()
        assert [answer.result(30).json()["verdict"] for answer in accepted] == ["OK", "OK"]
        assert client.post("/api/inspect", content=good).status_code == 200


def until_refused(client: httpx.Client) -> httpx.Response:
    """The first answer from a full queue; until then an empty body is 400. It comes at once."""
    for _ in range(500):
        start = time.perf_counter()
        answer = client.post("/api/inspect")
        if answer.status_code != 400:
            assert time.perf_counter() - start < 2
            return answer
        time.sleep(0.02)
    pytest.fail("the queue was never full")


def test_many_clients_get_each_their_own_verdict(
    tiny: Inspector, make_part: Callable[..., NDArray[Any]], running: Running
) -> None:
    def ask(client: httpx.Client, n: int) -> tuple[int, Any, Any]:
        spots = [(4 + 9 * k, 8, 6, 6) for k in range(n % 9)]
        answer = client.post("/api/inspect", params={"part_id": str(n)}, content=encode_image(make_part(*spots)))
        return len(spots), answer.json()["part_id"], len(answer.json()["defects"])

    with running(tiny) as client, ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(partial(ask, client), range(64)))
    assert answers == [(n % 9, str(n), n % 9) for n in range(64)]


def test_golden_samples_come_before_the_first_verdict(tiny: Inspector, good: bytes, served: Served) -> None:
    gate = threading.Event()

    def check(inspector: Inspector) -> list[GoldenOutcome]:
        assert gate.wait(30)
        return check_golden(inspector)

    with served(create_app([tiny], check=check)) as client:
        assert client.get("/v2/health/live").json() == {"live": True}
        for path in ("/v2/health/ready", "/v2/models/tiny/ready"):
            assert is_problem(client.get(path), 503, "still being checked")
        waiting = client.post("/api/inspect", content=good)
        assert is_problem(waiting, 503, "still being checked")
        assert "retry-after" in waiting.headers
        gate.set()
        for _ in range(200):
            if client.get("/v2/health/ready").status_code == 200:
                break
            time.sleep(0.02)
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.post("/api/inspect", content=good).status_code == 200


def test_a_recipe_that_fails_its_golden_samples_never_judges(
    tiny: Inspector, other: Inspector, good: bytes, running: Running
) -> None:
    first = other.package.golden[0]
    assert first.expected is not None
    wrong = replace(first, expected=Expected(verdict=first.expected.verdict, score=first.expected.score - 0.1))
    other.package = replace(other.package, golden=(wrong, *other.package.golden[1:]))
    with running(tiny, other) as client:
        assert is_problem(client.get("/v2/health/ready"), 503, "'other'", first.name, "expected")
        assert is_problem(client.get("/v2/models/other/ready"), 503, "'other'")
        assert is_problem(client.post("/api/inspect?recipe=other", content=good), 503, "1 of its golden samples")
        assert client.get("/v2/models/tiny/ready").json() == {"name": "tiny", "ready": True}
        assert client.post("/api/inspect?recipe=tiny", content=good).json()["verdict"] == "OK"


def test_a_check_that_breaks_is_not_ready(tiny: Inspector, running: Running) -> None:
    def check(_: Inspector) -> list[GoldenOutcome]:
        raise RuntimeError("broken")

    with running(tiny, check=check) as client:
        assert is_problem(client.get("/v2/health/ready"), 503, "could not be checked")


def test_what_cannot_be_checked_or_told_apart_does_not_start(tiny: Inspector, tiny_package: Package) -> None:
    draft = Inspector(tiny_package, threads=1)
    with pytest.raises(RecipeError, match="onspec pack"):
        create_app([draft])
    with pytest.raises(UsageError, match="two of the recipes are called 'tiny'"):
        create_app([tiny, tiny])
    with pytest.raises(UsageError, match="at least one"):
        create_app([])
    draft.close()


def test_metadata_of_the_inference_protocol(client: httpx.Client, tiny: Inspector) -> None:
    digest = tiny.package.digest
    assert client.get("/v2").json() == {
        "name": "onspec",
        "version": __version__,
        "extensions": ["binary_tensor_data", "model_configuration"],
    }
    model = client.get("/v2/models/tiny").json()
    assert model == client.get(f"/v2/models/tiny/versions/{digest}").json()
    assert model["name"] == "tiny"
    assert model["versions"] == [digest]
    assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1]}]
    assert model["outputs"][0] == {"name": "scores", "datatype": "FP32", "shape": [1, -1, -1]}
    assert [output["name"] for output in model["outputs"]] == ["scores", "score", "verdict", "inspection"]
    assert client.get(f"/v2/models/tiny/versions/{digest}/ready").status_code == 200
    assert is_problem(client.get("/v2/models/absent"), 404, "loaded: tiny")
    assert is_problem(client.get("/v2/models/tiny/versions/1"), 404, digest)


def test_with_tokens_every_path_but_health_asks_for_one(tiny: Inspector, good: bytes, running: Running) -> None:
    with running(tiny, tokens=Tokens([TOKEN])) as client:
        assert client.get("/v2/health/ready").status_code == 200
        assert client.get("/v2/health/live").status_code == 200
        for path in ("/", "/v2", "/v2/models/tiny", "/openapi.json", "/nowhere", "/v2/health/ready/"):
            assert is_problem(client.get(path), 401, "Bearer TOKEN")
        refused = client.post("/api/inspect", content=good, headers={"Authorization": "Bearer guess"})
        assert is_problem(refused, 401)
        assert refused.headers["www-authenticate"] == "Bearer"
        answer = client.post("/api/inspect", content=good, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.json()["verdict"] == "OK"
        twice = [("Authorization", "Bearer guess"), ("Authorization", f"Bearer {TOKEN}")]
        assert is_problem(client.post("/api/inspect", content=good, headers=twice), 400, "more than once")


def test_the_description_is_complete_and_its_example_is_an_inspection(client: httpx.Client) -> None:
    api = client.get("/openapi.json").json()
    post = api["paths"]["/api/inspect"]["post"]
    assert set(post["requestBody"]["content"]) == {"image/*", "application/octet-stream", "multipart/form-data"}
    assert set(post["responses"]) == {"200", "400", "404", "413", "422", "500", "503", "504"}
    for status, answer in post["responses"].items():
        schema = answer["content"]["application/json"]["schema"]
        if status != "200":
            assert schema["$ref"].endswith("/Problem")
    judged = post["responses"]["200"]["content"]["application/json"]
    one, several = judged["schema"]["anyOf"]
    assert one["$ref"].endswith("/Inspection")
    assert several["items"] == one
    Inspection.model_validate(judged["examples"]["one image"]["value"])
    for example in judged["examples"]["several images"]["value"]:
        Inspection.model_validate(example)
    assert {"recipe", "part_id", "overlay", "maps", "batch", "deadline_ms"} <= {p["name"] for p in post["parameters"]}
    assert "HTTPValidationError" not in api["components"]["schemas"]


def test_every_inspection_is_a_log_line(
    client: httpx.Client, good: bytes, defective: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "onspec.service")
    client.post("/api/inspect?part_id=17", content=defective)
    client.post("/api/inspect?part_id=18", content=good[:-9])
    lines = [record.__dict__["fields"] for record in caplog.records if record.message == "inspected"]
    assert [(line["part_id"], line["verdict"], line["defects"]) for line in lines] == [
        ("17", "NG", 1),
        ("18", "ERROR", 0),
    ]
    assert "truncated" in lines[1]["error"]

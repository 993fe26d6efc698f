"""The Open Inference Protocol v2 over HTTP, as the public client of Triton speaks it."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from onspec.runtime.inspector import Inspector
from onspec.service.app import Settings

Running = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture
def client(running: Running, tiny: Inspector) -> Iterator[httpx.Client]:
    """The application with the tiny recipe."""
    with running(tiny) as client:
        yield client


@pytest.fixture
def infer(client: httpx.Client) -> Iterator[triton.InferenceServerClient]:
    """Triton's client of it."""
    asked = triton.InferenceServerClient(f"{client.base_url.host}:{client.base_url.port}")
    yield asked
    asked.close()


def pixels(image: NDArray[Any], binary: bool = True) -> triton.InferInput:
    """The one input."""
    tensor = triton.InferInput("image", image.shape, "UINT8" if image.dtype == np.uint8 else "UINT16")
    tensor.set_data_from_numpy(image, binary_data=binary)
    return tensor


def test_health_and_metadata(infer: triton.InferenceServerClient, tiny: Inspector, client: httpx.Client) -> None:
    digest = tiny.package.digest
    assert infer.is_server_live()
    assert infer.is_server_ready()
    assert infer.is_model_ready("tiny")
    assert infer.is_model_ready("tiny", digest)
    assert not infer.is_model_ready("tiny", "1")
    assert infer.get_server_metadata()["name"] == "onspec"
    model = infer.get_model_metadata("tiny", digest)
    assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1]}]
    config = infer.get_model_config("tiny")
    assert config["max_batch_size"] == 0
    assert config["input"] == [{"name": "image", "data_type": "TYPE_UINT8", "dims": [-1, -1]}]
    assert [output["data_type"] for output in config["output"]] == ["TYPE_FP32", "TYPE_FP32"] + 2 * ["TYPE_STRING"]
    for at in ("", "/config"):
        named = client.get(f"/v2/models/tiny@sha256:{digest}{at}")
        assert (named.status_code, named.json()["name"]) == (200, "tiny")
    assert infer.get_model_repository_index() == [{"name": "tiny", "version": digest, "state": "READY", "reason": ""}]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_pixels_are_judged_as_the_file_is(
    infer: triton.InferenceServerClient,
    tiny: Inspector,
    make_part: Callable[..., NDArray[Any]],
    defective: bytes,
    binary: bool,
    coding: str | None,
) -> None:
    answer = infer.infer(
        "tiny",
        [pixels(make_part((30, 20, 10, 6)), binary)],
        outputs=[triton.InferRequestedOutput(name, binary_data=binary) for name in ("scores", "verdict", "inspection")],
        request_id="42",
        parameters={"part_id": "17"},
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    local = tiny.inspect_bytes(defective, "image", "17")
    told = answer.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("42", "tiny", tiny.package.digest)
    np.testing.assert_array_equal(answer.as_numpy("scores"), [local.maps[0].values])
    inspection = json.loads(
        str(answer.as_numpy("inspection")[0], "utf-8") if binary else answer.as_numpy("inspection")[0]
    )
    assert inspection | {"ms": None} == json.loads(local.inspection.to_json()) | {"ms": None}
    assert answer.as_numpy("verdict")[0] in (b"NG", "NG")
    assert answer.as_numpy("score") is None  # not asked for


def test_a_file_is_judged_and_all_outputs_come_unasked(
    infer: triton.InferenceServerClient, tiny: Inspector, good: bytes
) -> None:
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([good], np.object_))
    answer = infer.infer("tiny", [tensor], model_version=tiny.package.digest)
    assert [output["name"] for output in answer.get_response()["outputs"]] == [
        "scores",
        "score",
        "verdict",
        "inspection",
    ]
    assert answer.as_numpy("verdict")[0] == b"OK"
    assert answer.as_numpy("score")[0] == pytest.approx(tiny.inspect_bytes(good, "x").inspection.score)


def test_plain_json_as_any_client_writes_it(client: httpx.Client, defective: bytes) -> None:
    data = [base64.b64encode(defective).decode()]
    request = {
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": data}],
        "outputs": [{"name": "score"}],
    }
    answer = client.post("/v2/models/tiny/infer", json=request).json()
    assert "id" not in answer
    assert [(output["name"], output["shape"]) for output in answer["outputs"]] == [("score", [1])]
    nested = {"name": "image", "datatype": "UINT8", "shape": [64, 96], "data": [[20] * 96] * 64}
    assert client.post("/v2/models/tiny/infer", json={"inputs": [nested]}).json()["outputs"][2]["data"] == ["OK"]


IMAGE: dict[str, Any] = {"name": "image", "datatype": "UINT8", "shape": [64, 96], "data": [20] * 64 * 96}


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({}, 400, "inputs"),
        ({"inputs": []}, 400, "one input"),
        ({"inputs": [IMAGE, IMAGE]}, 400, "one input"),
        ({"inputs": [IMAGE | {"name": "x"}]}, 400, "one input"),
        ({"inputs": [IMAGE | {"datatype": "FP32"}]}, 400, "FP32"),
        ({"inputs": [IMAGE | {"shape": [64, 95]}]}, 400, "6080 bytes"),
        ({"inputs": [IMAGE | {"shape": [0, 96]}]}, 400, "shape"),
        ({"inputs": [IMAGE | {"shape": [-64, -96]}]}, 400, "shape"),
        ({"inputs": [IMAGE | {"shape": [2**40, 2**40]}]}, 400, "bytes"),
        ({"inputs": [IMAGE | {"shape": [2**70, 1]}]}, 400, "bytes"),
        ({"inputs": [IMAGE | {"data": [256] * 64 * 96}]}, 400, "0 to 255"),
        ({"inputs": [IMAGE | {"data": [0.5] * 64 * 96}]}, 400, "whole numbers"),
        ({"inputs": [IMAGE | {"data": [[1], [1, 2]]}]}, 400, "whole numbers"),
        ({"inputs": [IMAGE | {"data": None}]}, 400, "neither"),
        ({"inputs": [IMAGE | {"datatype": "BYTES", "data": ["%"]}]}, 400, "base64"),
        ({"inputs": [IMAGE | {"shape": [32, 192]}]}, 422, "192"),
        ({"inputs": [IMAGE | {"parameters": {"binary_data_size": 9}}]}, 400, "binary_data_size"),
        ({"inputs": [IMAGE], "outputs": [{"name": "labels"}]}, 400, "labels"),
        ({"inputs": [IMAGE], "parameters": {"sequence_id": 1}}, 400, "sequence_id"),
        ({"inputs": [IMAGE], "parameters": {"deadline_ms": -1}}, 400, "deadline_ms"),
        ({"inputs": [IMAGE], "parameters": {"deadline_ms": 10**400}}, 400, "deadline_ms"),
        ({"inputs": [IMAGE], "parameters": {"deadline_ms": True}}, 400, "deadline_ms"),
        ({"inputs": [IMAGE], "parameters": {"timeout": 10**400}}, 400, "timeout"),
        ({"inputs": [IMAGE], "parameters": {"part_id": "x" * 201}}, 400, "part_id"),
    ],
)
def test_what_is_no_request_is_said(client: httpx.Client, request_: dict[str, Any], status: int, words: str) -> None:
    answer = client.post("/v2/models/tiny/infer", json=request_)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"{", {}, 400, "JSON"),
        (b"{}", {"Inference-Header-Content-Length": "3"}, 400, "2 bytes"),
        (b"{}", {"Inference-Header-Content-Length": "-1"}, 400, "-1"),
        (b'{"inputs": []}xx', {"Inference-Header-Content-Length": "14"}, 400, "2 bytes follow"),
        (b"{}", {"Content-Encoding": "br"}, 415, "br"),
        (b"{}", {"Content-Encoding": "gzip"}, 400, "not gzip"),
        (gzip.compress(b"{}", mtime=0)[:-5], {"Content-Encoding": "gzip"}, 400, "too early"),
    ],
)
def test_a_broken_body_is_said(
    client: httpx.Client, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = client.post("/v2/models/tiny/infer", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


def test_a_shape_whose_size_only_wraps_around_to_that_of_the_body_is_refused(client: httpx.Client) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [2**32, 2**32], "parameters": {"binary_data_size": 0}}
    body = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(body))}
    answer = client.post("/v2/models/tiny/infer", content=body, headers=headers)
    assert (answer.status_code, f"takes {2**64} bytes; got 0" in answer.json()["error"]) == (400, True), answer.text


def test_a_small_body_that_unpacks_to_a_large_one_is_refused(running: Running, tiny: Inspector) -> None:
    with running(tiny, settings=Settings(max_body_mb=1)) as client:
        body = gzip.compress(bytes(50_000_000))
        assert len(body) < 1_000_000
        answer = client.post("/v2/models/tiny/infer", content=body, headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 413


def test_errors_reach_the_client(infer: triton.InferenceServerClient, make_part: Callable[..., NDArray[Any]]) -> None:
    with pytest.raises(InferenceServerException, match="no recipe 'absent'"):
        infer.infer("absent", [pixels(make_part())])
    with pytest.raises(InferenceServerException, match="640×480"):
        infer.infer("tiny", [pixels(make_part(size=(640, 480)))])
    with pytest.raises(InferenceServerException, match="uint16"):
        infer.infer("tiny", [pixels(make_part().astype(np.uint16))])
    with pytest.raises(InferenceServerException, match="has no version"):
        infer.get_model_config("tiny", "1")

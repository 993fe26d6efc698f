"""The gRPC form of the Open Inference Protocol v2, as the public client of Triton speaks it."""

import contextlib
import json
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton  # type: ignore[import-untyped]
from fastapi import FastAPI
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from onspec.domain import UsageError
from onspec.runtime.inspector import Inspector
from onspec.service.app import Settings, create_app
from onspec.service.grpc_messages import _MESSAGES, message
from onspec.service.tokens import Tokens

Served = Callable[..., AbstractContextManager[httpx.Client]]
TOKEN = "a-token-for-the-line-controller"


@pytest.fixture
def asked(served: Served, tiny: Inspector) -> Iterator[Callable[..., triton.InferenceServerClient]]:
    """Starts the application with gRPC on a free port, and gives Triton's client of it."""
    with contextlib.ExitStack() as stack:

        def start(tokens: Tokens | None = None) -> triton.InferenceServerClient:
            app = create_app([tiny], settings=Settings(grpc="127.0.0.1:0"), tokens=tokens)
            stack.enter_context(served(app))
            client = triton.InferenceServerClient(f"127.0.0.1:{until_port(app)}")
            stack.callback(client.close)
            return client

        yield start


def until_port(app: FastAPI) -> int:
    """Where gRPC is served, once it is ready to judge."""
    for _ in range(500):
        if app.state.grpc_port and all(
            version.deviations is not None for version in app.state.recipes.versions("tiny")
        ):
            return int(app.state.grpc_port)
        time.sleep(0.02)
    pytest.fail("gRPC is not served")


def pixels(image: NDArray[Any]) -> triton.InferInput:
    """The one input."""
    tensor = triton.InferInput("image", image.shape, "UINT8" if image.dtype == np.uint8 else "UINT16")
    tensor.set_data_from_numpy(image)
    return tensor


@pytest.mark.parametrize("name", _MESSAGES)
def test_every_message_is_read_by_tritons_own(name: str) -> None:
    """Field for field: the same numbers, types and labels."""
    theirs: Any = service_pb2
    for step in name.split("."):
        theirs = getattr(theirs, step, None) or service_pb2.DESCRIPTOR.pool.FindMessageTypeByName(f"inference.{name}")
    known = getattr(theirs, "DESCRIPTOR", theirs).fields_by_name
    for field in message(name).DESCRIPTOR.fields:
        same = known[field.name]
        assert (field.number, field.is_repeated) == (same.number, same.is_repeated)
        enum = same.type == same.TYPE_ENUM and field.type == field.TYPE_INT32
        assert field.type == same.type or enum, field.name


def test_health_and_metadata(asked: Callable[..., triton.InferenceServerClient], tiny: Inspector) -> None:
    client, digest = asked(), tiny.package.digest
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny", digest)
    assert client.get_server_metadata().name == "onspec"
    model = client.get_model_metadata("tiny", as_json=True)
    assert model["versions"] == [digest]
    assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": ["-1", "-1"]}]
    config = client.get_model_config("tiny").config
    assert [(tensor.name, tensor.data_type) for tensor in config.input] == [("image", 2)]
    assert [(tensor.name, tensor.data_type) for tensor in config.output][:2] == [("scores", 11), ("score", 11)]
    assert [(m.name, m.state) for m in client.get_model_repository_index().models] == [("tiny", "READY")]


def test_pixels_and_files_are_judged(
    asked: Callable[..., triton.InferenceServerClient],
    tiny: Inspector,
    make_part: Callable[..., NDArray[Any]],
    defective: bytes,
) -> None:
    client, local = asked(), tiny.inspect_bytes(defective, "image", "17")
    answer = client.infer("tiny", [pixels(make_part((30, 20, 10, 6)))], request_id="42", parameters={"part_id": "17"})
    assert answer.get_response().id == "42"
    np.testing.assert_array_equal(answer.as_numpy("scores"), [local.maps[0].values])
    inspection = json.loads(answer.as_numpy("inspection")[0])
    assert inspection | {"ms": None} == json.loads(local.inspection.to_json()) | {"ms": None}
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([defective], np.object_))
    only = client.infer("tiny", [tensor], outputs=[triton.InferRequestedOutput("verdict")])
    assert [output.name for output in only.get_response().outputs] == ["verdict"]
    assert only.as_numpy("verdict")[0] == b"NG"


def test_a_stream_goes_on_after_a_request_that_fails(
    asked: Callable[..., triton.InferenceServerClient], make_part: Callable[..., NDArray[Any]]
) -> None:
    client, answers = asked(), queue.Queue[Any]()
    client.start_stream(lambda result, error: answers.put(error or result.as_numpy("verdict")[0]))
    for image in (make_part(), make_part(size=(640, 480)), make_part((30, 20, 10, 6))):
        client.async_stream_infer("tiny", [pixels(image)])
    got = [answers.get(timeout=20) for _ in range(3)]
    client.stop_stream()
    assert (got[0], got[2]) == (b"OK", b"NG")
    assert "640×480" in str(got[1])


def test_errors_have_their_status(
    asked: Callable[..., triton.InferenceServerClient], make_part: Callable[..., NDArray[Any]]
) -> None:
    client = asked()
    for model, image, status, words in (
        ("absent", make_part(), "NOT_FOUND", "no recipe"),
        ("tiny", make_part(size=(640, 480)), "INVALID_ARGUMENT", "640×480"),
        ("tiny", make_part().astype(np.uint16), "INVALID_ARGUMENT", "uint16"),
    ):
        with pytest.raises(InferenceServerException, match=words) as refused:
            client.infer(model, [pixels(image)])
        assert status in str(refused.value.status())


def test_tokens_are_asked_for_here_too(
    asked: Callable[..., triton.InferenceServerClient], make_part: Callable[..., NDArray[Any]]
) -> None:
    client = asked(tokens=Tokens([TOKEN]))
    assert client.is_server_live()
    with pytest.raises(InferenceServerException, match="token is needed"):
        client.infer("tiny", [pixels(make_part())])
    answer = client.infer("tiny", [pixels(make_part())], headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.as_numpy("verdict")[0] == b"OK"


def test_an_address_that_cannot_be_is_a_sentence(tiny: Inspector) -> None:
    import asyncio

    from onspec.service.grpc_server import serving

    async def start() -> None:
        async with serving("203.0.113.7:1", None, None, None, 1):  # type: ignore[arg-type]
            pass

    with pytest.raises(UsageError, match="--grpc"):
        asyncio.run(start())

"""Requests and answers of `…/infer` over HTTP: JSON, or JSON followed by binary tensors; plain, gzip or deflate.

Binary tensors and their header are Triton's extension of the protocol, which its clients use by default:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from onspec.service.problems import ProblemError
from onspec.service.tensors import Asked, Input, Output, from_values, require_outputs

LENGTH_HEADER = "inference-header-content-length"
_WINDOW = {"gzip": 31, "deflate": 15}
"""Content coding → zlib's wbits (RFC 1952 and RFC 1950)."""


class TensorHead(BaseModel):
    """An input as the JSON part has it."""

    name: str
    shape: tuple[int, ...] = Field(max_length=8)
    datatype: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: list[Any] | None = None


class OutputHead(BaseModel):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferHead(BaseModel):
    """The JSON part of a request."""

    id: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: list[TensorHead]
    outputs: list[OutputHead] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request, understood. `binary` names the outputs that go out in binary form."""

    id: str | None
    asked: Asked
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    binary: frozenset[str]


def unpacked(body: bytes, coding: str | None, max_bytes: int) -> bytes:
    """A body without its content coding.

    Raises:
        ProblemError: 413 if it unpacks to more than `max_bytes`, 400 if it does not unpack, 415 for other codings.
    """
    coding = (coding or "identity").strip().lower()
    if coding == "identity":
        return body
    if coding not in _WINDOW:
        raise ProblemError(415, f"Content-Encoding {coding!r} is not understood; send identity, gzip or deflate")
    unpack = zlib.decompressobj(_WINDOW[coding])
    try:
        data = unpack.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise ProblemError(400, f"the body is not {coding} ({error})") from None
    if len(data) > max_bytes:
        raise ProblemError(413, f"the body unpacks to more than the {max_bytes / 1e6:g} MB allowed (--max-body-mb)")
    if not unpack.eof:
        raise ProblemError(400, f"the body is not {coding} (it ends too early)")
    return data


def parse(body: bytes, header_length: str | None) -> InferRequest:
    """Raises ProblemError 400 for what is no request of the protocol."""
    length = len(body)
    if header_length is not None:
        length = int(header_length) if header_length.isdecimal() else -1
        if not 0 < length <= len(body):
            raise ProblemError(400, f"{LENGTH_HEADER} is {header_length!r}; the body has {len(body)} bytes")
    try:
        head = InferHead.model_validate_json(body[:length])
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(step) for step in fault["loc"])
        raise ProblemError(400, f"not a request of the inference protocol: {where}: {fault['msg']}") from None
    binary_wanted = bool(head.parameters.get("binary_data_output", False))
    names = require_outputs([output.name for output in head.outputs])
    binary = {output.name for output in head.outputs if output.parameters.get("binary_data", binary_wanted)}
    if not head.outputs and binary_wanted:
        binary = set(names)
    return InferRequest(head.id, Asked.of(head.parameters), _inputs(head, body[length:]), names, frozenset(binary))


def _inputs(head: InferHead, blob: bytes) -> tuple[Input, ...]:
    inputs, at = [], 0
    for tensor in head.inputs:
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            if tensor.data is None:
                raise ProblemError(400, f"input {tensor.name!r} has neither data nor binary_data_size")
            inputs.append(from_values(tensor.name, tensor.datatype, tensor.shape, tensor.data))
            continue
        if not isinstance(size, int) or not 0 <= size <= len(blob) - at:
            raise ProblemError(400, f"input {tensor.name!r}: binary_data_size is {size}; {len(blob) - at} bytes follow")
        inputs.append(Input(tensor.name, tensor.datatype, tensor.shape, memoryview(blob)[at : at + size]))
        at += size
    if at != len(blob):
        raise ProblemError(400, f"{len(blob) - at} bytes follow the last input; the header's length may be wrong")
    return tuple(inputs)


def answer(
    name: str, version: str, request: InferRequest, outputs: Sequence[Output], record: str | None = None
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the answer; `record` is the id of its record, if one is kept."""
    heads: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for output in outputs:
        head: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
        if output.name in request.binary:
            blobs.append(output.raw())
            head["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            head["data"] = output.values()
        heads.append(head)
    told: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": heads}
    if request.id is not None:
        told["id"] = request.id
    if record is not None:
        told["parameters"] = {"record": record}
    text = json.dumps(told, ensure_ascii=False).encode()
    if not blobs:
        return text, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    return b"".join([text, *blobs]), headers


def packed(body: bytes, headers: Mapping[str, str], accepted: str | None) -> tuple[bytes, dict[str, str]]:
    """The answer in the first coding of `Accept-Encoding` that is known here, quickest level."""
    for entry in (accepted or "").lower().split(","):
        coding, _, weight = entry.replace(" ", "").partition(";q=")
        if coding in _WINDOW and weight not in ("0", "0.0", "0.00", "0.000"):
            data = gzip.compress(body, 1) if coding == "gzip" else zlib.compress(body, 1)
            return data, {**headers, "Content-Encoding": coding}
    return body, dict(headers)

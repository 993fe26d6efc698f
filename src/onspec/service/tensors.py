"""Tensors of the Open Inference Protocol v2: what an image comes in as, and what a verdict goes out as.

In: `image`, either UINT8 or UINT16 pixels (H, W) or (H, W, 3) as the recipe's metadata says, or BYTES [1] with an image
file. Out: `scores` FP32 (classes, H, W), `score` FP32 [1], `verdict` BYTES [1] and `inspection` BYTES [1], the JSON.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onspec.imaging.preparation import Extent
from onspec.imaging.writing import encode_image
from onspec.runtime.inspector import Decoded, Inspector, Result
from onspec.service.body import NAMELESS, Upload
from onspec.service.problems import ProblemError

INPUT = "image"
OUTPUTS = ("scores", "score", "verdict", "inspection")
_PIXELS: dict[str, str] = {"UINT8": "<u1", "UINT16": "<u2"}
PARAMETERS = ("part_id", "deadline_ms", "timeout", "priority", "binary_data_output")
"""Of a request. `timeout` is the protocol's own, µs; there is one priority."""


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """An image that came in as pixels."""

    image: NDArray[Any]
    name: str = NAMELESS

    @property
    def weight(self) -> int:
        """Nothing to decode."""
        return 0

    def read(self, _: Inspector) -> Decoded:
        """As they are."""
        return Decoded(self.image, 0.0)

    def original(self) -> bytes:
        """A PNG of them."""
        return encode_image(self.image)


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """A tensor as it came in; `raw` in the protocol's binary form (little endian, BYTES with their lengths)."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | memoryview


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """A tensor that goes out: an array, or for BYTES the texts."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    array: NDArray[np.float32] | None = None
    texts: tuple[bytes, ...] = ()

    def raw(self) -> bytes:
        """In the protocol's binary form."""
        if self.array is None:
            return b"".join(struct.pack("<I", len(text)) + text for text in self.texts)
        return self.array.astype("<f4", copy=False).tobytes()

    def values(self) -> list[Any]:
        """As JSON has them: flat, row by row."""
        if self.array is None:
            return [text.decode() for text in self.texts]
        return list(self.array.ravel().tolist())


@dataclass(frozen=True, slots=True)
class Asked:
    """What the parameters of a request ask for."""

    part_id: str | None = None
    deadline_ms: float | None = None

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> "Asked":
        """Raises ProblemError 400 for an unknown parameter or one that cannot be."""
        unknown = [name for name in parameters if name not in PARAMETERS]
        if unknown:
            raise ProblemError(400, f"unknown parameter {unknown[0]!r}; allowed: {', '.join(PARAMETERS)}")
        part_id, deadline, timeout = (parameters.get(name) for name in PARAMETERS[:3])
        if part_id is not None and (not isinstance(part_id, str) or len(part_id) > 200):
            raise ProblemError(400, "parameter part_id must be a text of at most 200 characters")
        deadline, timeout = _number(deadline), _number(timeout)
        if deadline is None and timeout:
            deadline = timeout / 1e3 if isinstance(timeout, float) else timeout
        if deadline is not None and not (isinstance(deadline, float) and 0 < deadline < math.inf):
            raise ProblemError(400, f"parameters deadline_ms and timeout must be times over 0; got {deadline!r}")
        return cls(part_id, deadline)


def _number(value: object) -> Any:  # noqa: ANN401 - what is no number stays as it is
    """JSON has numbers of any length; one that no float can hold is infinite."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    except OverflowError:
        return math.inf


def picture_of(inputs: Sequence[Input]) -> Pixels | Upload:
    """The one image of a request.

    Raises:
        ProblemError: 400 for other inputs, and for data that do not fill their shape.
    """
    if len(inputs) != 1 or inputs[0].name != INPUT:
        got = ", ".join(tensor.name for tensor in inputs) or "none"
        raise ProblemError(400, f"a request has one input, {INPUT!r}; got {got}")
    tensor = inputs[0]
    if tensor.datatype == "BYTES":
        return Upload(_only_text(tensor))
    if tensor.datatype not in _PIXELS:
        allowed = ", ".join([*_PIXELS, "BYTES"])
        raise ProblemError(400, f"input {INPUT!r} is {tensor.datatype}; allowed: {allowed}")
    if len(tensor.shape) not in (2, 3) or min(tensor.shape) < 1 or tensor.shape[2:] not in ((), (1,), (3,)):
        raise ProblemError(400, f"input {INPUT!r} has shape {list(tensor.shape)}; allowed: [H, W] or [H, W, 3]")
    dtype = np.dtype(_PIXELS[tensor.datatype])
    expected = dtype.itemsize * math.prod(tensor.shape)
    if len(tensor.raw) != expected:
        raise ProblemError(
            400, f"input {INPUT!r} of shape {list(tensor.shape)} takes {expected} bytes; got {len(tensor.raw)}"
        )
    image = np.frombuffer(tensor.raw, dtype).reshape(tensor.shape).astype(dtype.newbyteorder("="), copy=False)
    return Pixels(image[..., 0] if tensor.shape[2:] == (1,) else image)


def _only_text(tensor: Input) -> bytes:
    data = bytes(tensor.raw)
    length = struct.unpack_from("<I", data)[0] if len(data) >= 4 else -1
    if math.prod(tensor.shape) != 1 or length != len(data) - 4:
        raise ProblemError(400, f"input {INPUT!r} as BYTES holds one image file, shape [1], after its length (4 bytes)")
    return data[4:]


def from_values(name: str, datatype: str, shape: tuple[int, ...], values: object) -> Input:
    """A tensor that came in as a JSON list, flat or nested.

    Raises:
        ProblemError: 400 for values that are not of the datatype.
    """
    if datatype == "BYTES":
        texts = values if isinstance(values, list) else []
        if len(texts) != 1 or not isinstance(texts[0], str):
            raise ProblemError(400, f"input {name!r} as BYTES in JSON is a list with one text in base64")
        data = _from_base64(name, texts[0])
        return Input(name, datatype, shape, struct.pack("<I", len(data)) + data)
    if datatype not in _PIXELS:
        return Input(name, datatype, shape, b"")
    most = 255 if datatype == "UINT8" else 65535
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iu" or (array.size and not (array.min() >= 0 and array.max() <= most)):
        raise ProblemError(400, f"input {name!r} as {datatype} is a list of whole numbers from 0 to {most}")
    return Input(name, datatype, shape, array.astype(_PIXELS[datatype]).tobytes())


def _from_base64(name: str, text: str) -> bytes:
    import base64
    import binascii

    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProblemError(400, f"input {name!r} as BYTES in JSON is an image file in base64") from None


def require_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """What was asked for, all if nothing was; raises ProblemError 400 for an output that there is not."""
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown:
        raise ProblemError(400, f"no output {unknown[0]!r}; there are: {', '.join(OUTPUTS)}")
    return tuple(names) or OUTPUTS


def outputs_of(result: Result, names: Sequence[str]) -> list[Output]:
    """The tensors of a result that is not ERROR."""
    made = {"scores": _scores, "score": _score, "verdict": _verdict, "inspection": _inspection}
    return [made[name](result) for name in names]


def _scores(result: Result) -> Output:
    stack = np.stack([score_map.values for score_map in result.maps])
    return Output("scores", "FP32", stack.shape, stack)


def _score(result: Result) -> Output:
    return Output("score", "FP32", (1,), np.asarray([result.inspection.score], np.float32))


def _verdict(result: Result) -> Output:
    return Output("verdict", "BYTES", (1,), texts=(result.inspection.verdict.value.encode(),))


def _inspection(result: Result) -> Output:
    return Output("inspection", "BYTES", (1,), texts=(result.inspection.to_json().encode(),))


def metadata(inspector: Inspector, versions: Sequence[str]) -> dict[str, Any]:
    """The image in its original pixels goes in, scores and verdict come out: what a recipe promises."""
    recipe = inspector.recipe
    sides = [_dimension(recipe.input.height), _dimension(recipe.input.width)]
    image = sides if recipe.input.channels == 1 else [*sides, recipe.input.channels]
    shapes = {"scores": [len(recipe.classes), *sides]}
    types = {"scores": "FP32", "score": "FP32"}
    return {
        "name": recipe.name,
        "versions": list(versions),
        "platform": f"onspec_{inspector.engine_name}",
        "inputs": [{"name": INPUT, "datatype": recipe.input.dtype.upper(), "shape": image}],
        "outputs": [
            {"name": name, "datatype": types.get(name, "BYTES"), "shape": shapes.get(name, [1])} for name in OUTPUTS
        ],
    }


def config(inspector: Inspector, versions: Sequence[str]) -> dict[str, Any]:
    """The same in the terms of Triton's model configuration, which some clients ask for. One image a request."""
    told = metadata(inspector, versions)

    def tensors(kind: str) -> list[dict[str, Any]]:
        return [{"name": t["name"], "data_type": _config_type(t["datatype"]), "dims": t["shape"]} for t in told[kind]]

    return {
        "name": told["name"],
        "platform": told["platform"],
        "backend": "onspec",
        "max_batch_size": 0,
        "input": tensors("inputs"),
        "output": tensors("outputs"),
    }


def _config_type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _dimension(extent: Extent) -> int:
    """A fixed size, or the protocol's −1 for one that varies."""
    return extent.min if extent.min == extent.max else -1

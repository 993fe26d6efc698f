"""Image → network input, network output → prediction. Training, evaluation and production all call exactly this."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from onspec.domain import Prediction, ScoreMap, Task, UnexpectedImageError
from onspec.imaging.boxes import decode_boxes
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.header import size_in
from onspec.imaging.reading import Image, decode_image

Tensor = NDArray[np.float32]
Infer = Callable[[Tensor], Tensor]
"""float32 (N, C, H, W) → float32 (N, P, H/c, W/c); H and W are multiples of the stride, c is the spec's cell.

The first K of the P planes are class scores in [0, 1] that exclude each other. Then come, to tell touching objects
apart, a plane of cores in [0, 1]; to detect, the distances from the cell's centre to the left, top, right and bottom
edge of its box in working px (there the class scores need not exclude each other).
"""

GRAY_TOLERANCE = 3
"""A colour file holds a gray image when its channels differ by at most this many of 255 (JPEG's rounding)."""


_ROWS = 256
"""Rows that are worked on at a time, where a copy of all would be too large."""


class Extent(BaseModel):
    """Allowed sizes along one side, px, both ends included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: int = Field(ge=1)
    max: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> "Extent":
        if self.min > self.max:
            raise ValueError(f"min {self.min} is larger than max {self.max}")
        return self

    def __contains__(self, value: int) -> bool:
        """Whether a size is allowed."""
        return self.min <= value <= self.max

    def __str__(self) -> str:
        """As an error sentence names it."""
        return str(self.min) if self.min == self.max else f"{self.min}…{self.max}"


class InputSpec(BaseModel):
    """What images a model takes, and how they become its input. Part of the recipe.

    Attributes:
        width, height: allowed image sizes, px.
        channels: 1 gray, 3 RGB.
        dtype: the image's pixel type; it alone decides the scaling, never the values found.
        camera: what files do not say of themselves; images are decoded with it, wherever they come from.
        scale: working resolution against the original (0.5 halves each side).
        normalise: `range` maps the dtype's range to −1…1; `image` brings each image to mean 0, deviation 1 (exposure
            that varies from part to part); the statistics are those of the whole image, so tiles do not change them.
        stride: the network's input sides are multiples of this; the rest is zeros and cut off again.
        cell: side in working px of the square that one value of the output speaks for; a part of the stride.
        tile, halo: longest side run in one piece, and the overlap that makes tiles independent of their grid; both
            in working px and multiples of the stride. The halo must cover the network's reach.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: Extent
    height: Extent
    channels: Literal[1, 3] = 1
    dtype: Literal["uint8", "uint16"] = "uint8"
    camera: Camera = AS_STORED
    scale: float = Field(1.0, gt=0, le=4)
    normalise: Literal["range", "image"] = "range"
    stride: int = Field(16, ge=1)
    cell: int = Field(1, ge=1)
    tile: int = Field(2048, ge=64)
    halo: int = Field(256, ge=0)

    @model_validator(mode="after")
    def _on_the_grid(self) -> "InputSpec":
        if self.tile % self.stride or self.halo % self.stride or self.tile <= 2 * self.halo:
            raise ValueError(
                f"tile and halo must be multiples of stride {self.stride}, and tile larger than two halos; "
                f"got tile {self.tile}, halo {self.halo}"
            )
        if self.stride % self.cell:
            raise ValueError(f"cell must divide stride {self.stride}; got {self.cell}")
        return self

    @model_validator(mode="after")
    def _of_one_depth(self) -> "InputSpec":
        bits = self.camera.bits
        if bits is not None and self.dtype != ("uint8" if bits == 8 else "uint16"):
            raise ValueError(f"a camera of {bits} bits gives no {self.dtype}; allowed: uint8 of 8 bits, uint16 of more")
        return self


def decode_for(spec: InputSpec, data: bytes, name: str) -> Image:
    """Decode the bytes of an image file that a recipe is to judge, if it is no larger than the recipe takes.

    That is seen in its header: a few KB may unpack to many GB.

    Raises:
        UnreadableImageError: as `decode_image`.
        UnexpectedImageError: it has more pixels than any image that the recipe takes.
    """
    size = size_in(io.BytesIO(data), spec.camera)
    if size is not None and size[0] * size[1] > spec.width.max * spec.height.max:
        raise _unexpected_size(*size, spec, name)
    return decode_image(data, name, spec.camera)


def _unexpected_size(width: int, height: int, spec: InputSpec, name: str) -> UnexpectedImageError:
    return UnexpectedImageError(
        f"{name}: {width}×{height} px; this recipe takes {spec.width}×{spec.height} px; "
        "check the camera's format or train a recipe for this size"
    )


def conform(image: Image, spec: InputSpec, name: str = "image") -> Image:
    """Check an image against the spec and bring it to the spec's channels: (H, W) gray or (H, W, 3) RGB.

    Raises:
        UnexpectedImageError: another size, depth or colour than the recipe was made for.
    """
    height, width = image.shape[:2]
    if width not in spec.width or height not in spec.height:
        raise _unexpected_size(width, height, spec, name)
    if image.dtype != np.dtype(spec.dtype):
        raise UnexpectedImageError(
            f"{name}: pixels are {image.dtype}; this recipe takes {spec.dtype}; check the camera's pixel format"
        )
    if spec.channels == 3:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image
    if image.ndim == 3:
        if not holds_gray(image):
            raise UnexpectedImageError(f"{name}: a colour image; this recipe takes gray; check the camera's format")
        return np.ascontiguousarray(image[..., 1])
    return image


def holds_gray(image: Image) -> bool:
    """Whether an image is gray, be it stored as RGB or not."""
    if image.ndim == 2:
        return True
    tolerance = GRAY_TOLERANCE if image.dtype == np.uint8 else GRAY_TOLERANCE * 257
    r, g, b = (np.ascontiguousarray(image[..., c]) for c in range(3))
    return int(cv2.absdiff(r, g).max()) <= tolerance and int(cv2.absdiff(g, b).max()) <= tolerance


def resized(image: Image, spec: InputSpec) -> Image:
    """A conforming image at working resolution, in its own dtype."""
    if spec.scale == 1.0:
        return image
    size = (max(1, round(image.shape[1] * spec.scale)), max(1, round(image.shape[0] * spec.scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if spec.scale < 1 else cv2.INTER_LINEAR)


def statistics(working: Image, spec: InputSpec) -> tuple[float, float]:
    """Offset and divisor that the spec's normalisation applies to values in -1…1: (0, 1) for `range`."""
    if spec.normalise == "range":
        return 0.0, 1.0
    half = float(np.iinfo(working.dtype).max) / 2.0
    mean, deviation = cv2.meanStdDev(working.reshape(-1, 1))
    # One gray step is the least deviation: a flat image stays flat instead of becoming noise.
    return float(mean[0, 0]) / half - 1.0, max(float(deviation[0, 0]), 1.0) / half


def to_tensor(working: Image, spec: InputSpec, stats: tuple[float, float]) -> Tensor:
    """Values → float32 (C, H, W): x / (max / 2) - 1 (the 2018 talk's x / 127.5 - 1 for 8 bit), then `stats`."""
    planes = working[None] if working.ndim == 2 else np.moveaxis(working, 2, 0)
    tensor = np.ascontiguousarray(planes, np.float32)
    offset, divisor = stats
    half = float(np.iinfo(np.dtype(spec.dtype)).max) / 2.0
    tensor *= np.float32(1.0 / (half * divisor))
    tensor -= np.float32((1.0 + offset) / divisor)
    return tensor


def normalised(image: Image, spec: InputSpec) -> Tensor:
    """A conforming image as float32 (C, H, W) at working resolution, not padded."""
    working = resized(image, spec)
    return to_tensor(working, spec, statistics(working, spec))


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image at working resolution with what it takes to make network input of it and to bring the output back.

    It stays in its own dtype, a fourth of the float32 input's memory or less, and becomes input piece by piece. Sizes
    are (height, width); `image` is the image as it came.
    """

    image: Image
    pixels: Image
    stats: tuple[float, float]
    spec: InputSpec

    @property
    def original(self) -> tuple[int, int]:
        """The size of the image as it came."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def working(self) -> tuple[int, int]:
        """The size of the image."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def cell(self) -> int:
        """Side of the square that one value of the output speaks for."""
        return self.spec.cell

    @property
    def padded(self) -> tuple[int, int]:
        """The size of the network input: multiples of the stride."""
        height, width = self.working
        return height + -height % self.spec.stride, width + -width % self.spec.stride

    @property
    def tensor(self) -> Tensor:
        """The whole network input, padded, float32 (C, H, W)."""
        return self.piece(slice(0, self.padded[0]), slice(0, self.padded[1]))

    def piece(self, rows: slice, columns: slice) -> Tensor:
        """These rows and columns of `tensor`, which is not made as a whole for that."""
        tensor = to_tensor(self.pixels[rows, columns], self.spec, self.stats)
        down, right = rows.stop - rows.start - tensor.shape[1], columns.stop - columns.start - tensor.shape[2]
        return _padded(tensor, down, right)

    @property
    def cells(self) -> tuple[int, int]:
        """How many cells it takes to cover the image, (down, across)."""
        return -(-self.working[0] // self.cell), -(-self.working[1] // self.cell)


def prepare(image: Image, spec: InputSpec, name: str = "image") -> Prepared:
    """Image → what network input is made of.

    Raises:
        UnexpectedImageError: see `conform`.
    """
    working = resized(conform(image, spec, name), spec)
    return Prepared(image, working, statistics(working, spec), spec)


def pad_to_stride(tensor: Tensor, stride: int) -> Tensor:
    """Zeros right and below until (C, H, W) has sides that are multiples of `stride`: what convolutions see beyond the
    other borders, too."""
    _, height, width = tensor.shape
    return _padded(tensor, -height % stride, -width % stride)


def _padded(tensor: Tensor, down: int, right: int) -> Tensor:
    return np.pad(tensor, ((0, 0), (0, down), (0, right))) if down or right else tensor


def restore(output: Tensor, prepared: Prepared, classes: tuple[str, ...]) -> tuple[ScoreMap, ...]:
    """Score planes (K, H/c, W/c) of the padded input → one score map a class in the original's pixels."""
    return tuple(_to_original(plane, cls, prepared) for cls, plane in zip(classes, output, strict=True))


def _to_original(plane: Tensor, cls: str, prepared: Prepared) -> ScoreMap:
    height, width = prepared.working
    (down, across), cell = prepared.cells, prepared.cell
    values = plane[:down, :across]
    if cell > 1:  # whole cells first: the last ones may reach beyond the image
        values = _resized(values, (down * cell, across * cell))[:height, :width]
    if prepared.working != prepared.original:
        values = _resized(values, prepared.original)
    values = np.ascontiguousarray(values, np.float32)
    try:
        return ScoreMap(values, cls)
    except ValueError:  # outside by rounding; what is no score is still none
        return ScoreMap(np.clip(values, 0.0, 1.0), cls)


def _resized(plane: Tensor, size: tuple[int, int]) -> Tensor:
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def predict(
    image: Image, spec: InputSpec, classes: tuple[str, ...], task: Task, separate: bool, infer: Infer
) -> Prediction:
    """Image → prediction through `infer`, in tiles where the image is larger than `spec.tile`.

    Raises:
        UnexpectedImageError: see `conform`.
    """
    prepared = prepare(image, spec)
    return interpret(run(prepared, infer), prepared, classes, task, separate)


def planes_of(task: Task, classes: int, separate: bool) -> int:
    """How many planes a network has to give, see `Infer`."""
    return classes + {Task.SEGMENT: int(separate), Task.DETECT: 4, Task.CLASSIFY: 0}[task]


def interpret(output: Tensor, prepared: Prepared, classes: tuple[str, ...], task: Task, separate: bool) -> Prediction:
    """Network output (P, H/c, W/c) → the prediction in the original's pixels. Its class scores are changed in place: of
    a large image there is no room for them twice."""
    scores = output[: len(classes)]
    if len(classes) > 1:
        _exclude(scores)
    maps = restore(scores, prepared, classes)
    if task == Task.DETECT:
        down, across = prepared.cells
        boxes = decode_boxes(output[:, :down, :across], classes, prepared.cell, prepared.working, prepared.original)
        return Prediction(maps, boxes)
    return Prediction(maps, cores=_to_original(output[len(classes)], "cores", prepared) if separate else None)


def _exclude(scores: Tensor) -> None:
    """Scale class scores (K, H, W) down in place where they add up to more than 1: what `Prediction` promises."""
    for top in range(0, scores.shape[1], _ROWS):
        rows = scores[:, top : top + _ROWS]
        np.clip(rows, 0.0, 1.0, out=rows)
        rows /= np.maximum(rows.sum(axis=0, dtype=np.float32), np.float32(1.0))


def run(prepared: Prepared, infer: Infer) -> Tensor:
    """The network's output (P, *cells) for an image, which is made input tile by tile; otherwise as `run_tiled`."""
    return _stitched(prepared.piece, prepared.padded, prepared.cells, prepared.spec, infer)


def run_tiled(tensor: Tensor, spec: InputSpec, infer: Infer) -> Tensor:
    """Run (C, H, W) in one piece if it fits `spec.tile`, else in tiles that overlap by the halo; (P, H/c, W/c).

    Tiles start on the stride's grid and only their inner part is kept, so with a halo that covers the network's
    reach the result is that of one pass.
    """
    _, height, width = tensor.shape
    cells = (height // spec.cell, width // spec.cell)
    return _stitched(lambda rows, columns: tensor[:, rows, columns], (height, width), cells, spec, infer)


def _stitched(
    piece: Callable[[slice, slice], Tensor],
    size: tuple[int, int],
    cells: tuple[int, int],
    spec: InputSpec,
    infer: Infer,
) -> Tensor:
    """The output of all pieces of an input of this size, of the first `cells` down and across: an array of its own."""
    result: Tensor | None = None
    c = spec.cell
    for rows, (y0, y1) in _spans(size[0], spec, whole=max(size) <= spec.tile):
        for columns, (x0, x1) in _spans(size[1], spec, whole=max(size) <= spec.tile):
            out: Tensor = infer(np.ascontiguousarray(piece(rows, columns)[None]))[0]
            if out.shape[1:] == cells:  # one piece, all of it wanted: the engine gave it away
                return out
            if result is None:
                result = np.empty((out.shape[0], *cells), np.float32)
            target = result[:, y0 // c : y1 // c, x0 // c : x1 // c]
            top, left = (y0 - rows.start) // c, (x0 - columns.start) // c
            target[...] = out[:, top : top + target.shape[1], left : left + target.shape[2]]
    assert result is not None
    return result


def _spans(length: int, spec: InputSpec, *, whole: bool) -> list[tuple[slice, tuple[int, int]]]:
    """What is run along one side, and the ends of the inner part of it that is kept."""
    if whole:
        return [(slice(0, length), (0, length))]
    step, halo = spec.tile - 2 * spec.halo, spec.halo
    inner = [(start, min(length, start + step)) for start in range(0, length, step)]
    return [(slice(max(0, start - halo), min(length, end + halo)), (start, end)) for start, end in inner]

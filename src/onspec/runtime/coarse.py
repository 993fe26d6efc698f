"""The coarse network of a hastened recipe: image → the blocks that the fine network has to look at.

It reckons in whole numbers that float32 holds exactly, in whatever order they are summed, and always on ONNX Runtime
on the CPU, which every installation has. So where the fine network looks never depends on the engine, the machine,
the number of threads or the rows that are taken at a time. Only what it then sees is rounded, as without a coarse one.
"""

import hashlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import EngineError
from onspec.imaging.blocks import MOST, Levels, Scale
from onspec.imaging.preparation import Prepared, Tensor
from onspec.recipe.package import Package
from onspec.runtime.engines import REFERENCE, Engine, open_engine
from onspec.runtime.lanes import Lanes

HALO = 128
"""What the coarse network looks at around a block at most, px; a multiple of the block's side."""

_PIXELS = 1 << 22
"""Taken at a time, about: a large image has no room for all as float32."""

_GRAINS, _FACTOR = (1, 8, 40), np.uint64(6364136223846793005)
"""Of a made-up image: sides of its grains, px, and the factor of a congruential generator (Knuth's MMIX)."""

Answers = NDArray[np.uint8]
"""uint8 (down, across): one a block, 0…255."""

Blocks = NDArray[np.bool_]
"""bool (down, across): one a block."""


class CoarseNetwork:
    """A network that answers a whole number a block; may be called from several threads.

    Raises at construction:
        EngineError: it does not load.
    """

    def __init__(self, model: bytes, block: int, lanes: int = 1) -> None:
        """`lanes`: how many images it may be asked about at a time, each in one thread."""
        self._block = block
        self._lanes = Lanes([open_engine(REFERENCE, model, 1) for _ in range(lanes)])

    def answers(self, levels: Levels) -> Answers:
        """One a block.

        Raises:
            EngineError: the network failed or gave what cannot be its answer.
        """
        with self._lanes.free() as engine:
            strips = [self._strip(engine, levels, *ends) for ends in _strips(levels.shape, self._block)]
        return strips[0] if len(strips) == 1 else np.concatenate(strips)

    def made_up(self, channels: int) -> str:
        """sha256 of the answers to noise of several sizes; raises EngineError as `answers`."""
        image = made_up_levels((channels, 5 * self._block, 7 * self._block))
        return hashlib.sha256(self.answers(image).tobytes()).hexdigest()

    def close(self) -> None:
        """Give back memory."""
        self._lanes.close()

    def _strip(self, engine: Engine, levels: Levels, taken: slice, wanted: slice) -> Answers:
        block = self._block
        batch: Tensor = levels[None, :, taken].astype(np.float32)
        expected = (1, 1, batch.shape[2] // block, batch.shape[3] // block)
        out = engine.infer(batch)
        if out.shape != expected or out.dtype != np.float32:
            raise EngineError(f"the coarse network gave {out.dtype} {out.shape}; this recipe takes float32 {expected}")
        low, high = float(out.min()), float(out.max())
        if not (low >= 0 and high <= MOST and np.array_equal(out, np.rint(out))):  # false for NaN, too
            raise EngineError(
                f"the coarse network gave answers from {low} to {high}; allowed: whole numbers from 0 to {MOST}; "
                "the part was not judged"
            )
        answers = out[0, 0].astype(np.uint8)
        return np.asarray(answers[(wanted.start - taken.start) // block : (wanted.stop - taken.start) // block])


class Coarse:
    """The coarse network of a hastened recipe; may be called from several threads.

    Raises at construction:
        EngineError: it does not load, or does not answer the made-up image as its recipe says.
    """

    def __init__(self, package: Package, lanes: int = 1) -> None:
        """`lanes` as of `CoarseNetwork`."""
        hastened = package.recipe.hastened
        if hastened is None or package.coarse is None:
            raise AssertionError(f"recipe {package.recipe.name} is not hastened")
        self.block, self._limit = hastened.block, hastened.limit
        self._scale = Scale(hastened.low, hastened.high)
        self._network = CoarseNetwork(package.coarse, hastened.block, lanes)
        try:
            same = self._network.made_up(package.recipe.input.channels) == hastened.answer
        except EngineError:
            self.close()
            raise
        if not same:
            self.close()
            raise EngineError(
                "the coarse network does not answer a made-up image as it did when the recipe was made; take the "
                "recipe that it was hastened from, and please report it"
            )

    def looks_at(self, prepared: Prepared) -> Blocks:
        """The blocks that the fine network has to look at: of an answer of the limit and more, and their neighbours.

        Raises:
            EngineError: as `CoarseNetwork.answers`.
        """
        return around(self._network.answers(self._scale.levels(prepared, self.block)) >= self._limit)

    def close(self) -> None:
        """Give back memory."""
        self._network.close()


def made_up_levels(shape: tuple[int, int, int]) -> Levels:
    """Noise of three sizes of grain, uint8 of this shape, the same every time and with every version of a library."""
    image = np.zeros(shape, np.uint64)
    for seed, grain in enumerate(_GRAINS):
        channels, down, across = shape[0], -(-shape[1] // grain), -(-shape[2] // grain)
        numbers = np.arange(1, channels * down * across + 1, dtype=np.uint64) + np.uint64(seed << 32)
        rough = ((numbers * _FACTOR) >> np.uint64(33)) * _FACTOR >> np.uint64(56)  # the top bits of a product are noise
        fine = rough.reshape(channels, down, across).repeat(grain, axis=1).repeat(grain, axis=2)
        image += fine[:, : shape[1], : shape[2]]
    return (image // np.uint64(len(_GRAINS))).astype(np.uint8)


def around(blocks: Blocks) -> Blocks:
    """The blocks and their eight neighbours."""
    return np.asarray(cv2.dilate(blocks.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0, np.bool_)


def _strips(shape: tuple[int, ...], block: int) -> Iterator[tuple[slice, slice]]:
    """The rows that are taken at a time, and those of them whose answers are wanted."""
    _, height, width = shape
    step = max(1, _PIXELS // (width * block)) * block
    for top in range(0, height, step):
        wanted = slice(top, min(height, top + step))
        yield slice(max(0, wanted.start - HALO), min(height, wanted.stop + HALO)), wanted

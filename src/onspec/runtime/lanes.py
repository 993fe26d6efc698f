"""Several engines with one model side by side, each with threads of its own.

Two inferences of one thread each judge more images a second than one of two threads: the threads of one inference
wait for each other after each of its layers, those of two never do. What each of them waits for (a file, the decision)
the other fills. A single image is judged soonest by one engine with all threads.
"""

import queue
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from onspec.imaging.preparation import InputSpec
from onspec.recipe.schema import Recipe
from onspec.runtime.engines import Engine
from onspec.runtime.machine import usable_cores

SIDE_BY_SIDE = frozenset({"onnxruntime", "openvino"})
"""Engines of the CPU of which several run at a time. A GPU's hold the whole device, torch's threads are everyone's."""

FOLDER = 8
"""From so many images on, more lanes earn back the time that it takes to open them."""

_MOST = 8
_LANE_BYTES, _BYTES_A_PIXEL = 4 << 30, 256
"""What all lanes may take, and what the activations of a network take of each pixel of its input, about."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many inferences run at a time, and the CPU threads of each (`None`: the engine's own choice, all cores)."""

    lanes: int = 1
    threads: int | None = None


def plan_lanes(engine: str, images: int | None, spec: InputSpec, cores: int | None = None) -> Plan:
    """The lanes for so many images (`None`: they come one by one, and each is waited for) on an engine.

    `cores` are those that this process may use, unless they are given.
    """
    cores = usable_cores() if cores is None else cores
    if engine not in SIDE_BY_SIDE or images is None or images < FOLDER or cores < 2:
        return Plan()
    most = max(1, _LANE_BYTES // (_BYTES_A_PIXEL * _pixels_at_a_time(spec)))
    lanes = min(cores, most, _MOST)
    return Plan(lanes, cores // lanes) if lanes > 1 else Plan()


def images_in(room: int, recipe: Recipe) -> int:
    """How many judged images fit into so many bytes: their pixels, and their maps in float32; at least one."""
    spec = recipe.input
    each = spec.channels * (1 if spec.dtype == "uint8" else 2) + 4 * recipe.planes
    return max(1, room // (spec.width.max * spec.height.max * each))


class Lanes:
    """Lends each engine to one thread at a time."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.count = len(engines)
        self._free: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        self._closing = threading.Lock()
        for engine in engines:
            self._free.put(engine)

    @contextmanager
    def free(self) -> Generator[Engine, None, None]:
        """An engine that nobody else uses meanwhile; waits for one."""
        engine = self._free.get()
        try:
            yield engine
        finally:
            self._free.put(engine)

    def close(self) -> None:
        """Wait for what runs, then close every engine; they stay in turn and say themselves that they are closed."""
        with self._closing:
            held = [self._free.get() for _ in range(self.count)]
            for engine in held:
                engine.close()
                self._free.put(engine)


def _pixels_at_a_time(spec: InputSpec) -> int:
    """The most pixels that a network is given at a time."""
    height, width = (min(spec.tile, round(side.max * spec.scale) + spec.stride) for side in (spec.height, spec.width))
    return height * width

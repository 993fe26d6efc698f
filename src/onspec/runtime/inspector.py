"""Image → verdict with one recipe on one engine.

A part is OK only if this recipe's model ran on this image, completely, and every rule was applied. Whatever goes wrong
here ends as ERROR with its sentence.
"""

import logging
import math
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onspec.decision.inspectability import Gate
from onspec.decision.judge import judge
from onspec.domain import EngineError, Inspection, OnspecError, Prediction, ScoreMap, Task, Verdict
from onspec.domain.look import Look
from onspec.domain.placement import Placement
from onspec.imaging.look import look_at
from onspec.imaging.preparation import (
    Infer,
    Prepared,
    Tensor,
    decode_for,
    interpret,
    pad_to_stride,
    prepare,
    run,
    run_tiled,
)  # fmt: skip
from onspec.imaging.reading import Image, read_bytes
from onspec.recipe.package import Package
from onspec.recipe.reference import picture_in
from onspec.recipe.taught import locator_of
from onspec.runtime.ahead import run_ahead
from onspec.runtime.choosing import choose
from onspec.runtime.coarse import Coarse
from onspec.runtime.engines import AUTO, Engine, open_engine
from onspec.runtime.hastened import run_where
from onspec.runtime.lanes import Lanes, images_in
from onspec.runtime.machine import usable_cores

_log = logging.getLogger(__name__)

_RANGE_TOLERANCE = 1e-3
"""What a score may lie outside [0, 1] or a distance under 0 by an engine's rounding; it is clipped. More is a fault."""

_BESIDE = 4
"""Most threads that decode and decide while others wait for a lane."""

_AHEAD_BYTES = 512 << 20
"""What images and maps may take that are judged ahead of whoever takes the results."""


@dataclass(frozen=True, slots=True)
class Result:
    """One inspected image, with the image and what the model said of it for whoever draws them (`None` on ERROR).

    `cause` is what made it an ERROR: an `ImageError` is the image's fault, anything else is ours.
    `placement` says where the part lies, where the recipe locates it.
    """

    inspection: Inspection
    image: Image | None = None
    prediction: Prediction | None = None
    cause: Exception | None = None
    placement: Placement | None = None

    @property
    def maps(self) -> tuple[ScoreMap, ...]:
        """The score maps, one a class; empty on ERROR."""
        return () if self.prediction is None else self.prediction.maps


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image that was read, or the error that prevented it; `read_ms` wall time."""

    image: Image | None
    read_ms: float
    error: Exception | None = None

    def unwrap(self) -> Image:
        """The image; raises the error that prevented it."""
        if self.error is not None:
            raise self.error
        if self.image is None:
            raise AssertionError("neither image nor error")
        return self.image


class Inspector:
    """Judges images; may be called from several threads. As many inferences run at a time as there are lanes.

    Raises at construction:
        EngineError: unknown engine, or a model that does not fit its recipe.
        MissingExtraError: the engine is not installed.
        RecipeError, RulesError: the part cannot be located by what the recipe holds of it.
    """

    def __init__(self, package: Package, engine: str = "auto", threads: int | None = None, lanes: int = 1) -> None:
        """`threads` and `lanes` as of `lanes.Plan`."""
        self.package = package
        self.recipe = package.recipe
        self.identity = package.identity
        self._locator = locator_of(package)
        self._gate = Gate(self.recipe.reference, self.recipe.rules.inspectable)
        self._picture = picture_in(self.recipe.reference)
        engine = choose(package, threads).engine if engine == AUTO else engine
        self._engine = open_engine(engine, package.model, threads)
        self.engine_name = self._engine.name
        self._coarse: Coarse | None = None
        self._probe(lanes)
        others = [open_engine(engine, package.model, threads) for _ in range(1, lanes)]
        self.lanes = Lanes([self._engine, *others])

    def predict(self, image: Image, name: str = "image") -> Prediction:
        """What the model says of one image, in the image's own pixels.

        Raises:
            UnexpectedImageError: not an image this recipe takes.
            EngineError: the model failed or gave what cannot be its answer.
        """
        return self._run(prepare(image, self.recipe.input, name))

    def maps(self, image: Image, name: str = "image") -> tuple[ScoreMap, ...]:
        """The score maps of `predict`, one a class."""
        return self.predict(image, name).maps

    def locate(self, image: Image, name: str = "image") -> Placement | None:
        """Where the part lies, `None` where the recipe's rules do not ask.

        Raises:
            PartNotFoundError: it is not there, or not where and as it may be.
        """
        return None if self._locator is None else self._locator.find(image, name).placement

    def inspect_bytes(self, data: bytes, name: str, part_id: str | None = None) -> Result:
        """Judge the bytes of an image file; never raises for the image."""
        return self._judge(self.decode(data, name), name, part_id)

    def decode(self, data: bytes, name: str) -> Decoded:
        """The pixels of an image file, or what prevented them, for `inspect_decoded`; never raises for the image."""
        return _timed(lambda: decode_for(self.recipe.input, data, name))

    def inspect_decoded(self, decoded: Decoded, name: str, part_id: str | None = None) -> Result:
        """Judge an image that was read elsewhere, beside the model or by a camera; never raises for the image."""
        return self._judge(decoded, name, part_id)

    def inspect_file(self, path: Path, part_id: str | None = None) -> Result:
        """Judge an image file; never raises for the image."""
        return self._inspect(path, lambda: read_bytes(path), part_id)

    def inspect_files(self, paths: Iterable[Path], workers: int = 2) -> Generator[Result, None, None]:
        """Judge many files in order, some of them at a time: one a lane, and some more where cores are left for them.
        `workers` threads read the files ahead: they wait for a drive, and take a core from nobody.

        `paths` may be slow or endless: each result is yielded as soon as it is there. So few are judged ahead of the
        consumer that their images and maps fit into some hundred MB, or there is only one.
        """
        lanes = self.lanes.count
        threads = lanes + min(_BESIDE, max(0, usable_cores() - lanes))
        ahead = min(2 * max(threads, lanes + workers), images_in(_AHEAD_BYTES, self.recipe))
        with ThreadPoolExecutor(workers, "onspec-read") as readers:
            reading = ((path, readers.submit(read_bytes, path)) for path in paths)
            judged = run_ahead(lambda file: self._inspect(file[0], file[1].result), reading, min(threads, ahead), ahead)
            with closing(judged) as results:
                yield from results

    def close(self) -> None:
        """Give back the engine's memory and threads."""
        self.lanes.close()
        if self._coarse is not None:
            self._coarse.close()

    def _inspect(self, path: Path, read: Callable[[], bytes], part_id: str | None = None) -> Result:
        decoded = _timed(lambda: decode_for(self.recipe.input, read(), str(path)))
        return self._judge(decoded, str(path), part_id)

    def _judge(self, decoded: Decoded, name: str, part_id: str | None) -> Result:
        """The one place where whatever went wrong becomes ERROR."""
        name, ms = _printable(name), {"read": decoded.read_ms}
        look: Look | None = None
        try:
            image, start = decoded.unwrap(), time.perf_counter()
            prediction = self.predict(image, name)
            ms["infer"] = _since(start)
            look = self._look(image, ms)
            return self._decide(image, prediction, look, name, part_id, ms)
        except OnspecError as error:
            cause: Exception = error
            sentence = str(error)
        except Exception as error:  # the one law: no fault may end as anything but ERROR
            cause = error
            _log.exception("unexpected fault while judging %s", name)
            sentence = f"{name}: unexpected fault ({type(error).__name__}: {error}); please report it"
        sentence = _printable(sentence)
        size = None if decoded.image is None else (decoded.image.shape[1], decoded.image.shape[0])
        inspection = Inspection(
            image=name, part_id=part_id, verdict=Verdict.ERROR, size=size, look=look,
            recipe=self.identity, engine=self.engine_name, ms=ms, error=sentence,
        )  # fmt: skip
        return Result(inspection, decoded.image, cause=cause)

    def _look(self, image: Image, ms: dict[str, float]) -> Look | None:
        """How the image looks as a whole, where the recipe knows how it should."""
        if not self._gate.looks:
            return None
        start = time.perf_counter()
        look = look_at(image, self._picture)
        ms["look"] = _since(start)
        return look

    def _decide(
        self, image: Image, prediction: Prediction, look: Look | None, name: str, part_id: str | None,
        ms: dict[str, float],
    ) -> Result:  # fmt: skip
        recipe = self.recipe
        placement = self._located(image, name, ms)
        start = time.perf_counter()
        decision = judge(
            prediction, recipe.thresholds, recipe.rules, recipe.pixel_size_mm, recipe.task, image=image,
            placement=placement,
        )  # fmt: skip
        decision = self._gate.judge(decision, look, name)
        ms["decide"] = _since(start)
        inspection = Inspection(
            image=name, part_id=part_id, verdict=decision.verdict, score=decision.score,
            class_scores=decision.class_scores, cls=decision.cls, reasons=decision.reasons,
            fired=decision.fired, defects=decision.defects,
            size=(image.shape[1], image.shape[0]), placement=None if placement is None else placement.place(),
            look=look, recipe=self.identity, engine=self.engine_name, ms=ms,
        )  # fmt: skip
        return Result(inspection, image, prediction, placement=placement)

    def _located(self, image: Image, name: str, ms: dict[str, float]) -> Placement | None:
        if self._locator is None:
            return None
        start = time.perf_counter()
        placement = self.locate(image, name)
        ms["locate"] = _since(start)
        return placement

    def _run(self, prepared: Prepared) -> Prediction:
        recipe = self.recipe
        with self.lanes.free() as engine:
            output = self._networks(prepared, lambda batch: self._infer(engine, batch))
        return interpret(output, prepared, recipe.classes, recipe.task, recipe.separate)

    def _networks(self, prepared: Prepared, infer: Infer) -> Tensor:
        """The network's output; of a hastened recipe, 0 where its coarse network says that there is nothing."""
        if self._coarse is None:
            return run(prepared, infer)
        return run_where(self._coarse.looks_at(prepared), prepared, self._coarse.block, self.recipe.planes, infer)

    def _infer(self, engine: Engine, batch: Tensor) -> Tensor:
        """Run an engine and refuse whatever cannot be its answer: a fault must not be clipped into a good part."""
        output = engine.infer(batch)
        cells = [side // self.recipe.input.cell for side in batch.shape[2:]]
        expected = (batch.shape[0], self.recipe.planes, *cells)
        if output.shape != expected or output.dtype != np.float32:
            raise EngineError(
                f"the model gave {output.dtype} {output.shape}; this recipe takes float32 {expected}; pack it again"
            )
        scored = len(self.recipe.classes) if self.recipe.task == Task.DETECT else self.recipe.planes
        _check_range(output[:, :scored], "scores", 1.0)
        if scored < self.recipe.planes:
            _check_range(output[:, scored:], "distances", math.inf)
        return output

    def _probe(self, lanes: int) -> None:
        """Run the smallest allowed image once: a model that does not fit its recipe is found before the first part."""
        spec = self.recipe.input
        sides = [max(1, round(side.min * spec.scale)) for side in (spec.height, spec.width)]
        tensor = pad_to_stride(np.zeros((spec.channels, *sides), np.float32), spec.stride)
        try:
            run_tiled(tensor[:, : spec.tile, : spec.tile], spec, lambda batch: self._infer(self._engine, batch))
            self._coarse = None if self.recipe.hastened is None else Coarse(self.package, lanes)
        except EngineError as error:
            self._engine.close()
            raise EngineError(f"recipe {self.recipe.name}: {error}") from error


def _check_range(planes: Tensor, what: str, most: float) -> None:
    """Refuse values under 0, over `most` or not finite, but for rounding."""
    low, high = float(planes.min()), float(planes.max())
    if not (low >= -_RANGE_TOLERANCE and high <= most + _RANGE_TOLERANCE and math.isfinite(high)):  # NaN: false
        allowed = "0 to 1" if most == 1.0 else "0 and more, finite"
        raise EngineError(f"the model gave {what} from {low} to {high}; allowed: {allowed}; the part was not judged")


def _timed(decode: Callable[[], Image]) -> Decoded:
    start = time.perf_counter()
    try:
        image = decode()
    except Exception as error:  # carried to the one place that makes it an ERROR
        return Decoded(None, _since(start), error)
    return Decoded(image, _since(start))


def _printable(text: str) -> str:
    """File names may hold bytes that are not UTF-8; JSON may not."""
    return text.encode("utf-8", "backslashreplace").decode()


def _since(start: float) -> float:
    return round((time.perf_counter() - start) * 1000.0, 3)

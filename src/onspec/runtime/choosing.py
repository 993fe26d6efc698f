"""`--engine auto`: the fastest engine that is installed and agrees with the reference, found once and remembered.

The reference is ONNX Runtime with the network as it is packed. An engine agrees if on known images its scores differ
by less than 1e-4 from the reference's and every verdict is the same. How fast each is, only this machine can tell, so
it is measured for a second or two and kept in the cache under everything that could change the answer.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from onspec import __version__
from onspec.decision.judge import judge
from onspec.domain import ImageError, OnspecError, PartNotFoundError, RulesError, Verdict
from onspec.imaging.preparation import Infer, InputSpec, Prepared, Tensor, interpret, prepare, run
from onspec.imaging.reading import Image, decode_image
from onspec.recipe.package import Package
from onspec.recipe.taught import locator_of
from onspec.runtime import cuda
from onspec.runtime.cache import keep, read_cached
from onspec.runtime.engines import AUTO, ENGINES, REFERENCE, Engine, obstacle, open_engine
from onspec.runtime.machine import processor, usable_cores

MANY = 64
"""From so many images on, a quicker engine earns back the half second that it takes longer to start."""

TOLERANCE, QUANTIZED_TOLERANCE = 1e-4, 0.05
"""What scores may differ by from the reference's. Engines round whole numbers differently, and the scores of a
quantised network show it; there the verdicts must agree, and the golden samples have their own tolerance."""

_SAMPLES, _BUDGET_S, _ROUNDS, _MARGIN = 4, 1.5, 3, 0.97
_FOLDER = "engines"


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine that was chosen, and the sentence that says why."""

    engine: str
    why: str


def resolve(engine: str, package: Package, threads: int | None, images: int | None, tell: Callable[[str], None]) -> str:
    """The name of the engine to open: what was asked for, or for `auto` the best for so many images (`None`: no end).

    A few images go to the reference, which starts soonest. More are worth a measurement, unless one is remembered.
    What was chosen is told.

    Raises:
        OnspecError: the reference itself fails on this recipe.
    """
    if engine != AUTO or (images is not None and images < MANY):
        return REFERENCE if engine == AUTO else engine
    choice = choose(package, threads, measure=True)
    tell(choice.why)
    return choice.engine


def choose(package: Package, threads: int | None = None, *, measure: bool = False) -> Choice:
    """The engine for a recipe: the only one there is, the remembered one, or with `measure` the one found best now.

    Raises:
        OnspecError: with `measure`, when the reference itself fails on this recipe.
    """
    names = candidates()
    if len(names) == 1:
        return Choice(REFERENCE, f"engine {REFERENCE}: the only one installed")
    key = _key(package, names, threads)
    known = _remembered(key, names)
    if known is not None:
        return Choice(known.engine, f"{known.why} (measured before)")
    if not measure:
        return Choice(REFERENCE, f"engine {REFERENCE}: not measured yet which one is the fastest here")
    choice = _measured(package, names, threads)
    keep(_FOLDER, key, json.dumps({"engine": choice.engine, "why": choice.why}).encode())
    return choice


def candidates() -> list[str]:
    """The engines that `auto` may choose from here, the reference first."""
    gpu = cuda.device_count() > 0
    return [name for name, e in ENGINES.items() if (gpu or e.auto == "always") and obstacle(name) is None]


def _key(package: Package, names: Sequence[str], threads: int | None) -> str:
    """A name for everything that could change which engine is best."""
    recipe = package.recipe
    facts = {
        "model": hashlib.sha256(package.model).hexdigest(),
        "input": recipe.input.model_dump_json(),
        "judged by": [recipe.thresholds.model_dump_json(), recipe.rules.model_dump_json(), str(recipe.pixel_size_mm)],
        "judged": [hashlib.sha256(golden.data).hexdigest() for golden in package.golden[:_SAMPLES]],
        "engines": {name: [_version(p) for p in ENGINES[name].packages] for name in names},
        "onspec": __version__,
        "cpu": processor(),
        "cores": usable_cores(),
        "gpu": cuda.description(),
        "threads": threads,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest() + ".json"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _remembered(key: str, names: Sequence[str]) -> Choice | None:
    """What was found before; a file that says anything strange is as good as none."""
    try:
        kept = json.loads(read_cached(_FOLDER, key) or b"null")
    except ValueError:
        return None
    if not isinstance(kept, dict) or kept.get("engine") not in names or not isinstance(kept.get("why"), str):
        return None
    return Choice(kept["engine"], kept["why"])


def _measured(package: Package, names: Sequence[str], threads: int | None) -> Choice:
    """Compare every engine with the reference, then time those that agree, in turn."""
    inputs = known_inputs(package)
    with ExitStack() as stack:
        reference = stack.enter_context(closing(open_engine(REFERENCE, package.model, threads)))
        expected = [_known(package, reference.infer, prepared) for prepared in inputs]
        engines: dict[str, Engine] = {REFERENCE: reference}
        apart: list[str] = []
        for name in names[1:]:
            try:
                engine = stack.enter_context(closing(open_engine(name, package.model, threads)))
                reason = _difference(package, engine.infer, inputs, expected)
            except OnspecError as error:
                reason = str(error)
            if reason is None:
                engines[name] = engine
            else:
                apart.append(f"{name} is left out: {reason}")
        times = measure_times(engines, first_piece(inputs[0]))
    best = _fastest(times)
    shown = ", ".join(f"{name} {ms:.1f} ms" for name, ms in times.items())
    return Choice(best, "; ".join([f"engine {best}: the network takes {shown}", *apart]))


def _fastest(times: Mapping[str, float]) -> str:
    """The quickest by more than what is noise; the earlier in the table otherwise."""
    best = next(iter(times))
    for name, ms in times.items():
        if ms < times[best] * _MARGIN:
            best = name
    return best


def measure_times(engines: Mapping[str, Engine], batch: Tensor) -> dict[str, float]:
    """Engine → ms of its least disturbed inference; they take turns, so that a busy machine is busy for all of them."""
    taken: dict[str, list[float]] = {name: [] for name in engines}
    end = time.perf_counter() + _BUDGET_S
    while len(min(taken.values(), key=len)) < _ROUNDS or time.perf_counter() < end:
        for name, engine in engines.items():
            engine.infer(batch)  # the threads of the one before wait busily for a while
            start = time.perf_counter()
            engine.infer(batch)
            taken[name].append((time.perf_counter() - start) * 1e3)
    return {name: min(ms) for name, ms in taken.items()}


@dataclass(frozen=True, slots=True)
class Known:
    """What an engine made of a known image: all planes of the network, and the verdict."""

    planes: Tensor
    verdict: Verdict


def known_inputs(package: Package) -> list[Prepared]:
    """The golden samples, a few of them; a made-up image, the same every time, for a recipe without."""
    spec = package.recipe.input
    images = []
    for golden in package.golden[:_SAMPLES]:
        with suppress(ImageError):  # the golden samples have a test of their own
            images.append(prepare(decode_image(golden.data, golden.name, spec.camera), spec, golden.name))
    return images or [prepare(_made_up(spec), spec)]


def _made_up(spec: InputSpec) -> Image:
    """Blurred noise over the whole range of gray values, of the least size that the recipe takes."""
    size = (spec.height.min, spec.width.min, *([3] if spec.channels == 3 else []))
    most = np.iinfo(np.dtype(spec.dtype)).max
    noise = np.random.default_rng(0).integers(0, most, size, endpoint=True)
    return noise.astype(spec.dtype)


def _known(package: Package, infer: Infer, prepared: Prepared) -> Known:
    planes = run(prepared, infer)
    return Known(planes, verdict_of(package, planes, prepared))


def verdict_of(package: Package, planes: Tensor, prepared: Prepared) -> Verdict:
    """What a recipe decides on the planes that an engine gave for an image."""
    recipe = package.recipe
    prediction = interpret(planes.copy(), prepared, recipe.classes, recipe.task, recipe.separate)
    locator, image = locator_of(package), prepared.image
    try:
        decision = judge(
            prediction, recipe.thresholds, recipe.rules, recipe.pixel_size_mm, recipe.task, image=image,
            placement=None if locator is None else locator.find(image, "a known image").placement,
        )  # fmt: skip
    except (RulesError, PartNotFoundError):  # as of a zone that an image that was made up does not have
        decision = judge(prediction, recipe.thresholds, task=recipe.task)
    return decision.verdict


def _difference(package: Package, infer: Infer, inputs: Sequence[Prepared], expected: Sequence[Known]) -> str | None:
    """How an engine differs from the reference; `None` if it agrees."""
    allowed = TOLERANCE if package.recipe.provenance.quantized is None else QUANTIZED_TOLERANCE
    for prepared, known in zip(inputs, expected, strict=True):
        planes = run(prepared, infer)
        if planes.shape != known.planes.shape:
            return f"it gives {planes.shape}, not {known.planes.shape}"
        # Distances to a box's edges are px, not scores: there the difference counts against their size.
        apart = float((np.abs(planes - known.planes) / np.maximum(1.0, np.abs(known.planes))).max())
        if not apart < allowed:  # NaN, too
            return f"its scores differ by {apart:.2g} from those of {REFERENCE}; {allowed:g} is allowed"
        verdict = verdict_of(package, planes, prepared)
        if verdict is not known.verdict:
            return f"it judges a known image {verdict}, {REFERENCE} judges it {known.verdict}"
    return None


def first_piece(prepared: Prepared) -> Tensor:
    """What the network is given of an image at a time."""
    height, width = (min(side, prepared.spec.tile) for side in prepared.padded)
    return np.ascontiguousarray(prepared.piece(slice(0, height), slice(0, width))[None])

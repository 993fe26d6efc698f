"""Engines side by side on this machine: how fast each is, what memory it takes, and whether it judges alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from onspec.domain import EngineError, OnspecError
from onspec.imaging.preparation import Infer, Prepared, Tensor, run
from onspec.recipe.package import Package
from onspec.runtime.arithmetic import count_operations, square_product
from onspec.runtime.choosing import first_piece, verdict_of
from onspec.runtime.engines import REFERENCE, Engine, open_engine
from onspec.runtime.footprint import measure_footprint
from onspec.runtime.precision import LOWERINGS

PACKED = "as packed"
"""The precision of a network that is not changed."""

_SIDE = 1024
"""Of the matrices whose product tells what the machine can do: larger ones are no faster."""

Rounds = NDArray[np.float64]
"""float64 (R,): a figure a round."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row: an engine, a precision, how many images at a time, and the CPU threads of an inference."""

    engine: str
    precision: str = PACKED
    batch: int = 1
    threads: int | None = None

    def __str__(self) -> str:
        """As a picture names it."""
        threads = "" if self.threads is None else f", {self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"{self.engine}, {self.precision}, batch {self.batch}{threads}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a case judges `images` compared with the reference: so many `same` verdicts, and the `largest` difference of
    a score (of the distance to a box's edge, where there are some, against the distance)."""

    images: int
    same: int
    largest: float


@dataclass(slots=True)
class Measured:
    """A case with what it took. `fault` says why there is nothing; `ms` are the times of a batch, one a round.

    `mb` is the memory of a fresh process, `operations` those of a batch, `ceiling` the operations a second, each round,
    of a product of matrices with as many threads.
    """

    case: Case
    fault: str | None = None
    agreement: Agreement | None = None
    mb: float | None = None
    operations: float = 0.0
    ms: Rounds = field(default_factory=lambda: np.zeros(0))
    ceiling: Rounds = field(default_factory=lambda: np.zeros(0))

    def latency(self, percent: float) -> float:
        """A percentile of the time of a batch, ms."""
        return float(np.percentile(self.ms, percent))

    @property
    def images_a_second(self) -> float:
        """By the median time of a batch."""
        return self.case.batch * 1e3 / self.latency(50)

    @property
    def share(self) -> tuple[float, float, float]:
        """Quartiles and median, in the middle, of the share of the ceiling that is reached."""
        return _spread(self.operations / (self.ms / 1e3) / self.ceiling)

    def ratio(self, first: "Measured") -> tuple[float, float, float]:
        """Quartiles and median of images a second against those of another case, round by round: over 1 is faster."""
        return _spread((self.case.batch / self.ms) / (first.case.batch / first.ms))


def _spread(values: Rounds) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
    return low, middle, high


def compare_engines(
    package: Package,
    cases: Sequence[Case],
    images: Sequence[Prepared],
    rounds: int,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Measured]:
    """Check and time cases in turn, in one process; the memory of each in one of its own. `images` are one or more.

    A case that cannot run, as for want of a library, has its `fault` and does not keep the others from running. The
    reference is ONNX Runtime with the network as it is packed, one image at a time.

    Raises:
        OnspecError: the reference itself fails.
    """
    measured = [Measured(case) for case in cases]
    models: dict[str, bytes | OnspecError] = {}
    with ExitStack() as stack:
        reference = stack.enter_context(closing(open_engine(REFERENCE, package.model)))
        expected = [_judged(package, reference.infer, image) for image in images]
        engines: dict[Case, Engine] = {}
        for row in measured:
            case = row.case
            progress(f"checking {case}")
            batch = _batch(images, case.batch)
            try:
                model = _lowered(package, case.precision, images, models)
                engines[case] = stack.enter_context(closing(open_engine(case.engine, model, case.threads)))
                row.agreement = _agreement(package, engines[case], case.batch, images, expected)
                row.mb = measure_footprint(case.engine, model, case.threads, batch.shape)
            except OnspecError as error:
                row.fault = str(error)
        running = [row for row in measured if row.fault is None]
        for row in running:
            row.operations = count_operations(package.model, _batch(images, row.case.batch))
        progress("timing")
        _time(running, engines, images, rounds)
    return measured


def _time(rows: Sequence[Measured], engines: Mapping[Case, Engine], images: Sequence[Prepared], rounds: int) -> None:
    """Rounds in which every case takes its turn, in another order each time, and the products of matrices, too."""
    batches = {row.case.batch: _batch(images, row.case.batch) for row in rows}
    products = {threads: _Product(threads) for threads in {row.case.threads for row in rows}}
    order = np.random.default_rng(0)
    taken: dict[Case, list[float]] = {row.case: [] for row in rows}
    rates: dict[int | None, list[float]] = {threads: [] for threads in products}
    for _ in range(rounds):
        for threads, product in products.items():
            rates[threads].append(2.0 * _SIDE**3 / _timed(product))
        for place in order.permutation(len(rows)):
            case = rows[place].case
            engine, batch = engines[case], batches[case.batch]
            taken[case].append(_timed(lambda engine=engine, batch=batch: engine.infer(batch)) * 1e3)  # type: ignore[misc]
    for row in rows:
        row.ms, row.ceiling = np.array(taken[row.case]), np.array(rates[row.case.threads])


def _timed(work: Callable[[], object]) -> float:
    """Seconds of the second of two runs: in the first, the threads of what ran before still wait busily."""
    work()
    start = perf_counter()
    work()
    return perf_counter() - start


class _Product:
    """A product of two matrices on the engine of the base install: what its kernels make of this machine."""

    def __init__(self, threads: int | None) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(square_product(_SIDE), options, providers=["CPUExecutionProvider"])
        values = np.random.default_rng(0).standard_normal((2, _SIDE, _SIDE)).astype(np.float32)
        self._inputs = {"a": values[0], "b": values[1]}

    def __call__(self) -> object:
        return self._session.run(None, self._inputs)


def _lowered(
    package: Package, precision: str, images: Sequence[Prepared], made: dict[str, bytes | OnspecError]
) -> bytes:
    """The network in another precision, made once; a failure is remembered, too."""
    if precision not in made:
        try:
            lower = LOWERINGS.get(precision)
            made[precision] = package.model if lower is None else lower(package.model, _pieces(images))
        except OnspecError as error:
            made[precision] = error
    model = made[precision]
    if isinstance(model, OnspecError):
        raise model
    return model


def _pieces(images: Sequence[Prepared]) -> Iterator[Tensor]:
    return (first_piece(image) for image in images)


def _batch(images: Sequence[Prepared], size: int) -> Tensor:
    """So many inputs of the size of the first image's, float32 (N, C, H, W)."""
    first = first_piece(images[0])
    alike = [piece for piece in _pieces(images[:size]) if piece.shape == first.shape]
    return np.concatenate([alike[n % len(alike)] for n in range(size)])


def _judged(package: Package, infer: Infer, image: Prepared) -> tuple[Tensor, str]:
    planes = run(image, infer)
    if not np.isfinite(planes).all():
        raise EngineError("it gives scores that are no numbers")
    return planes, verdict_of(package, planes, image)


def _agreement(
    package: Package, engine: Engine, batch: int, images: Sequence[Prepared], expected: Sequence[tuple[Tensor, str]]
) -> Agreement:
    same, largest = 0, 0.0
    for image, (planes, verdict) in zip(images, expected, strict=True):
        got, decided = _judged(package, among_others(engine.infer, batch), image)
        same += decided == verdict
        largest = max(largest, float((np.abs(got - planes) / np.maximum(1.0, np.abs(planes))).max()))
    return Agreement(len(images), same, largest)


def among_others(infer: Infer, batch: int) -> Infer:
    """Runs an input as the last of a batch; the others are it upside down."""

    def run_last(piece: Tensor) -> Tensor:
        others = np.repeat(piece[:, :, ::-1], batch - 1, axis=0)
        return infer(np.ascontiguousarray(np.concatenate([others, piece])))[-1:]

    return infer if batch == 1 else run_last

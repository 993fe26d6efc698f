"""A recipe's network → a TensorRT-RTX engine, built ahead of time; no GPU is needed for it.

The engine runs on NVIDIA GPUs of compute capability 8.0 (Ampere) and later, or on the named ones, and is finished for
the very GPU when it is first loaded there (TensorRT-RTX documentation, "CPU-Only AOT and TensorRT-RTX Engines").
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from onspec.domain import EngineError, MissingExtraError, UsageError
from onspec.imaging.preparation import Extent, InputSpec
from onspec.recipe.package import Package
from onspec.runtime.engines import INPUT
from onspec.runtime.precision import with_signed_activations

if TYPE_CHECKING:
    import tensorrt_rtx

_log = logging.getLogger(__name__)

Shape = tuple[int, int, int, int]


def build_engine(package: Package, max_batch: int = 8, targets: Sequence[str] = ()) -> bytes:
    """The serialised engine for every input that the recipe allows, in batches of 1 to `max_batch`.

    It runs on the GPUs named in `targets`, as `sm89`; without any, on all from `sm80` on.

    Raises:
        MissingExtraError: without the extra `tensorrt`.
        UsageError: a target that TensorRT-RTX does not know.
        EngineError: TensorRT-RTX cannot read the network or build the engine.
    """
    return build(package.model, profile_shapes(package.recipe.input, max_batch), targets, package.recipe.name)


def build(model: bytes, shapes: tuple[Shape, Shape, Shape], targets: Sequence[str], name: str) -> bytes:
    """The serialised engine of an ONNX network for inputs between the first and the last of these shapes.

    Raises:
        MissingExtraError, UsageError, EngineError: see `build_engine`.
    """
    try:
        import tensorrt_rtx as trt
    except ImportError:
        raise MissingExtraError("Building a TensorRT-RTX engine", "tensorrt") from None
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(with_signed_activations(model)):
        faults = "; ".join(str(parser.get_error(i).desc()) for i in range(parser.num_errors))
        raise EngineError(f"TensorRT-RTX {trt.__version__} cannot read the network of {name}: {faults}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # it rounds to 10 bits, and is on by default
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, *shapes)
    config.add_optimization_profile(profile)
    _aim(trt, config, targets)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineError(f"TensorRT-RTX {trt.__version__} cannot build an engine of {name}: {_last_fault(logger)}")
    return bytes(engine)


def known_targets(trt: "type[tensorrt_rtx]") -> dict[str, object]:
    """`sm89` and so on → what TensorRT-RTX calls it."""
    members = trt.ComputeCapability.__members__
    return {name.lower(): member for name, member in members.items() if name.startswith("SM")}


def _aim(trt: "type[tensorrt_rtx]", config: "tensorrt_rtx.IBuilderConfig", targets: Sequence[str]) -> None:
    known = known_targets(trt)
    unknown = [target for target in targets if target not in known]
    if unknown:
        raise UsageError(
            f"TensorRT-RTX {trt.__version__} builds no engine for {unknown[0]!r}; choose among {', '.join(known)} "
            "(the GPU's compute capability: sm89 is 8.9)"
        )
    if targets:
        config.num_compute_capabilities = len(targets)
    for place, target in enumerate(targets):
        config.set_compute_capability(known[target], place)


def profile_shapes(spec: InputSpec, max_batch: int) -> tuple[Shape, Shape, Shape]:
    """Least, usual and largest input (N, C, H, W) that inspection passes to the network, tiles included."""
    low_h, high_h = _sides(spec.height, spec)
    low_w, high_w = _sides(spec.width, spec)
    if max(_padded(spec.height.max, spec), _padded(spec.width.max, spec)) > spec.tile:
        # The last tile of a row may hold one step of the grid and its halo only.
        low_h, low_w = min(low_h, spec.halo + spec.stride), min(low_w, spec.halo + spec.stride)
    usual = (1, spec.channels, _between(low_h, high_h, spec), _between(low_w, high_w, spec))
    return (1, spec.channels, low_h, low_w), usual, (max_batch, spec.channels, high_h, high_w)


def _sides(extent: Extent, spec: InputSpec) -> tuple[int, int]:
    return min(_padded(extent.min, spec), spec.tile), min(_padded(extent.max, spec), spec.tile)


def _padded(side: int, spec: InputSpec) -> int:
    working = max(1, round(side * spec.scale))
    return -(-working // spec.stride) * spec.stride


def _between(low: int, high: int, spec: InputSpec) -> int:
    return (low + high) // 2 // spec.stride * spec.stride if high - low >= 2 * spec.stride else high


def make_logger(trt: "type[tensorrt_rtx]") -> "tensorrt_rtx.ILogger":
    """TensorRT's messages into Python's log, where `--debug` shows them, instead of to stdout."""

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.faults: list[str] = []

        def log(self, severity: object, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.faults.append(message)
            _log.debug("%s", message)

    return Logger()


def _last_fault(logger: object) -> str:
    faults = cast("list[str]", getattr(logger, "faults", []))
    return faults[-1] if faults else "it gives no reason"

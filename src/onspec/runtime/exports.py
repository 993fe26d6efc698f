"""A recipe's network as other runtimes want it: format → the files that hold it."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from onspec.domain import MissingExtraError, UsageError
from onspec.recipe.package import Package
from onspec.runtime.engines import INPUT, OUTPUT

Files = dict[Path, bytes]
Export = Callable[[Package, Path, Sequence[str]], Files]
"""The recipe, where it is to go, and the GPUs that it is for → the files to write."""

MAX_BATCH = 8


def onnx_files(package: Package, out: Path, targets: Sequence[str]) -> Files:  # for any machine
    """The network as it is packed."""
    return {out: package.model}


def tensorrt_files(package: Package, out: Path, targets: Sequence[str]) -> Files:
    """An engine of TensorRT-RTX; raises as `tensorrt_export.build_engine` does."""
    from onspec.runtime.tensorrt_export import build_engine

    return {out: build_engine(package, MAX_BATCH, targets)}


def openvino_files(package: Package, out: Path, targets: Sequence[str]) -> Files:  # for any CPU
    """OpenVINO's own pair of files, with the network rewritten as the engine `openvino` runs it.

    Raises:
        UsageError: a name that does not end in .xml.
        MissingExtraError: without the extra `openvino`.
        EngineError: OpenVINO cannot read the network.
    """
    from onspec.runtime import openvino_engine

    if out.suffix != ".xml":
        raise UsageError(f"OpenVINO's format is a pair of files NAME.xml and NAME.bin; name it so, got {out}")
    fault = openvino_engine.obstacle()
    if isinstance(fault, MissingExtraError):
        raise fault
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / out.name
        openvino_engine.save(package.model, made)
        return {out: made.read_bytes(), out.with_suffix(".bin"): made.with_suffix(".bin").read_bytes()}


def triton_files(package: Package, out: Path, targets: Sequence[str]) -> Files:  # any of the server's
    """A model repository of the Triton Inference Server, to be served by its ONNX Runtime backend."""
    folder = out / package.recipe.name
    return {folder / "config.pbtxt": _triton_config(package).encode(), folder / "1" / "model.onnx": package.model}


def _triton_config(package: Package) -> str:
    spec = package.recipe.input

    def tensor(kind: str, name: str, planes: int) -> str:
        return f'{kind} [\n  {{ name: "{name}" data_type: TYPE_FP32 dims: [ {planes}, -1, -1 ] }}\n]\n'

    return (
        f"# {package.identity}\n"
        f'name: "{package.recipe.name}"\nbackend: "onnxruntime"\nmax_batch_size: {MAX_BATCH}\n'
        + tensor("input", INPUT, spec.channels)
        + tensor("output", OUTPUT, package.recipe.planes)
        + "dynamic_batching { }\n"
    )


EXPORTS: Mapping[str, Export] = {
    "onnx": onnx_files,
    "openvino": openvino_files,
    "tensorrt": tensorrt_files,
    "triton": triton_files,
}
"""Format → what makes its files."""

"""ONNX Runtime's TensorRT provider: engines are built for the GPU when a size is first seen, and kept in the cache."""

import hashlib
import os
from importlib.util import find_spec

from onspec import __version__
from onspec.domain import MissingExtraError, OnspecError
from onspec.runtime.cache import cache_folder
from onspec.runtime.graph import Graph
from onspec.runtime.onnxruntime_cuda_engine import CUDA
from onspec.runtime.onnxruntime_engine import CPU, OnnxRuntimeEngine, Provider, open_session, provider_obstacle
from onspec.runtime.precision import with_signed_activations

NAME, PROVIDER = "onnxruntime-tensorrt", "TensorrtExecutionProvider"


def obstacle() -> OnspecError | None:
    """What keeps it from running here."""
    missing = MissingExtraError(f"Engine {NAME}", "tensorrt") if find_spec("onnx") is None else None
    return provider_obstacle(NAME, PROVIDER) or missing


def open_model(model: bytes, threads: int | None) -> OnnxRuntimeEngine:
    """Load ONNX bytes.

    Raises:
        EngineError: see `open_session`.
    """
    # TF32 rounds to 10 bits: precision is the recipe's affair, not the engine's. The provider has no option for it.
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    taken = with_signed_activations(model)
    return open_session(NAME, taken, threads, [provider(taken), CUDA, CPU])


def provider(model: bytes) -> Provider:
    """The provider, allowed the precision that the network has and no less.

    Each network keeps its engines in a folder of its own: the names that the provider gives them hold the version of
    TensorRT and the GPU's compute capability, but nothing of the weights. Without a folder to write to, engines are
    built anew at every start.

    Raises:
        EngineError: not an ONNX network.
    """
    folder = cache_folder(f"tensorrt/{__version__}-{hashlib.sha256(model).hexdigest()}")
    kept = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)} if folder is not None else {}
    graph = Graph(model)
    return PROVIDER, {
        "trt_fp16_enable": str(int(graph.has_half)),
        "trt_int8_enable": str(int(any(node.op_type == "QuantizeLinear" for node in graph.nodes))),
        **kept,
    }

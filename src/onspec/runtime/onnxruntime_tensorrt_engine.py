"""ONNX Runtime's TensorRT provider: engines are built for the GPU when a size is first seen, and kept in the cache."""

from onspec.domain import OnspecError
from onspec.runtime.cache import cache_folder
from onspec.runtime.onnxruntime_cuda_engine import CUDA
from onspec.runtime.onnxruntime_engine import CPU, OnnxRuntimeEngine, Provider, open_session, provider_obstacle

NAME, PROVIDER = "onnxruntime-tensorrt", "TensorrtExecutionProvider"


def obstacle() -> OnspecError | None:
    """What keeps it from running here."""
    return provider_obstacle(NAME, PROVIDER)


def open_model(model: bytes, threads: int | None) -> OnnxRuntimeEngine:
    """Load ONNX bytes.

    Raises:
        EngineError: see `open_session`.
    """
    return open_session(NAME, model, threads, [_provider(), CUDA, CPU])


def _provider() -> Provider:
    """Without a folder to write to, engines are built anew at every start. The names of what is kept hold TensorRT's
    version and the GPU's compute capability."""
    folder = cache_folder("tensorrt")
    kept = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)} if folder is not None else {}
    return PROVIDER, {"trt_fp16_enable": "0", **kept}

"""ONNX Runtime's CUDA provider: an NVIDIA GPU, with convolutions in true float32."""

from onspec.domain import OnspecError
from onspec.runtime.onnxruntime_engine import CPU, OnnxRuntimeEngine, Provider, open_session, provider_obstacle

NAME, PROVIDER = "onnxruntime-cuda", "CUDAExecutionProvider"
CUDA: Provider = (PROVIDER, {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
"""TF32 rounds to 10 bits: precision is the recipe's affair, not the engine's. Trying every algorithm (the default)
would stop at each new size."""


def obstacle() -> OnspecError | None:
    """What keeps it from running here."""
    return provider_obstacle(NAME, PROVIDER)


def open_model(model: bytes, threads: int | None) -> OnnxRuntimeEngine:
    """Load ONNX bytes.

    Raises:
        EngineError: see `open_session`.
    """
    return open_session(NAME, model, threads, [CUDA, CPU])

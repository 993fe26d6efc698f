"""PyTorch: CUDA graphs and channels-last on an NVIDIA GPU, in half precision where the recipe is; float32 on a CPU."""

import threading
from collections import OrderedDict
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from onspec.domain import EngineError, MissingExtraError, OnspecError
from onspec.imaging.preparation import Tensor
from onspec.runtime.engines import first_line

if TYPE_CHECKING:
    import torch

    from onspec.runtime.torch_graph import TorchGraph

NAME = "torch"
_GRAPHS = 8
"""So many sizes keep a CUDA graph; each holds the memory of one inference."""

_ONE_AT_A_TIME = threading.Lock()
"""While one graph is recorded, no other engine of this process may work on the GPU: that would spoil the recording."""


def obstacle() -> OnspecError | None:
    """A package that is not installed."""
    if any(find_spec(name) is None for name in ("torch", "onnx")):
        return MissingExtraError(f"Engine {NAME}", "train")
    return None


def open_model(model: bytes, threads: int | None) -> "TorchEngine":
    """Load ONNX bytes. `threads` holds for all that torch does in this process.

    Raises:
        EngineError: not a model of a recipe, or one with an operator that is not translated.
    """
    import torch

    from onspec.runtime.torch_graph import TorchGraph

    gpu = torch.cuda.is_available()
    if threads is not None and not gpu:
        torch.set_num_threads(threads)
    network = TorchGraph(model, half=gpu).eval()
    try:
        return TorchEngine(network, torch.device("cuda" if gpu else "cpu"))
    except RuntimeError as error:  # as of a GPU whose memory is full
        raise EngineError(f"the model cannot be loaded by PyTorch: {first_line(error)}") from error


class TorchEngine:
    """A loaded model on one device."""

    name = NAME

    def __init__(self, network: "TorchGraph", device: "torch.device") -> None:
        import torch

        self._network: TorchGraph | None = network.to(device)
        for stored in network.buffers():
            if stored.dim() == 4:
                stored.data = stored.data.contiguous(memory_format=torch.channels_last)
        self._device = device
        self._graphs: OrderedDict[tuple[int, ...], _CudaGraph] = OrderedDict()
        if device.type == "cuda":
            # TF32 rounds to 10 bits: precision is the recipe's affair, not the engine's.
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def infer(self, batch: Tensor) -> Tensor:
        """float32 (N, C, H, W) → float32 (N, P, H/c, W/c).

        Raises:
            EngineError: the model fails on this input, or the engine is closed.
        """
        import torch

        if self._network is None:
            raise EngineError("the engine is closed; make a new Inspector")
        try:
            with torch.inference_mode():
                x = torch.from_numpy(np.ascontiguousarray(batch))
                scores = (
                    self._on_cpu(self._network, x) if self._device.type == "cpu" else self._on_gpu(self._network, x)
                )
                return np.array(scores.contiguous().numpy(), np.float32)
        except (RuntimeError, TypeError) as error:
            raise EngineError(f"PyTorch failed on an input of shape {batch.shape}: {first_line(error)}") from error

    def close(self) -> None:
        """Give back memory; closing twice is allowed."""
        self._network = None
        self._graphs.clear()

    def _on_cpu(self, network: "TorchGraph", batch: "torch.Tensor") -> "torch.Tensor":
        import torch

        scores: torch.Tensor = network(batch.contiguous(memory_format=torch.channels_last))
        return scores

    def _on_gpu(self, network: "TorchGraph", batch: "torch.Tensor") -> "torch.Tensor":
        shape = tuple(batch.shape)
        with _ONE_AT_A_TIME:
            if shape not in self._graphs:
                self._graphs[shape] = _CudaGraph(network, batch, self._device)
                if len(self._graphs) > _GRAPHS:
                    self._graphs.popitem(last=False)
            self._graphs.move_to_end(shape)
            return self._graphs[shape].run(batch)


class _CudaGraph:
    """All kernels of one inference, recorded once and started as one."""

    def __init__(self, network: "TorchGraph", batch: "torch.Tensor", device: "torch.device") -> None:
        import torch

        self._input = batch.to(device, memory_format=torch.channels_last)
        apart = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        apart.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(apart):  # cuDNN chooses its algorithms before anything is recorded
            for _ in range(3):
                network(self._input)
        torch.cuda.current_stream().wait_stream(apart)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._output: torch.Tensor = network(self._input)

    def run(self, batch: "torch.Tensor") -> "torch.Tensor":
        """The scores on the CPU."""
        self._input.copy_(batch)
        self._graph.replay()
        return self._output.cpu()

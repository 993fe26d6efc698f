"""A trained network → ONNX with scores as output and free batch and size."""

import io
import warnings

import torch
from torch import Tensor, nn

from onspec.domain import EngineError
from onspec.training.objectives import Objective

INPUT, OUTPUT = "image", "scores"


class Scoring(nn.Module):
    """A network followed by what makes scores of its logits: float32 (N, C, H, W) → (N, P, H/c, W/c)."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network, self.objective = network, objective

    def forward(self, image: Tensor) -> Tensor:
        """The recipe's output planes."""
        return self.objective.scores(self.network(image))


def to_onnx(network: nn.Module, objective: Objective, channels: int, stride: int) -> bytes:
    """Export in evaluation mode; input `image`, output `scores`, batch, height and width free.

    Raises:
        EngineError: the exported graph is not valid.
    """
    import onnx

    model = Scoring(network, objective).eval().cpu()
    example = torch.zeros(2, channels, 4 * stride, 5 * stride)
    free = {0: "batch", 2: "height", 3: "width"}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is marked as legacy; its graphs are smaller and run on every engine.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example,),
            buffer,  # type: ignore[arg-type] # a file object works and leaves nothing on disk
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: free, OUTPUT: free},
            opset_version=17,
            dynamo=False,
        )
    data = buffer.getvalue()
    try:
        onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    except onnx.checker.ValidationError as error:
        raise EngineError(f"the exported network is not valid ONNX: {error}") from error
    return data

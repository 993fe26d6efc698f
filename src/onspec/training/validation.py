"""How good a network is on held-out parts while it trains, and the operating point when it is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from onspec.datasets.labels import load_mask
from onspec.domain import Sample, ScoreMap
from onspec.evaluation.ranking import average_precision
from onspec.imaging.preparation import Infer, InputSpec, Tensor, pad_to_stride, run_tiled, score_maps, to_tensor
from onspec.imaging.reading import read_image
from onspec.imaging.regions import image_score
from onspec.training.pool import Labelled

_WINDOW = 5
"""Working px over which image scores are averaged while training; the final window is chosen at the end."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Figures on held-out parts: `dice` is the mean over defective images at a score of 0.5, `ap` over images."""

    dice: float | None
    ap: float | None

    @property
    def fitness(self) -> float:
        """By what the best network is chosen: both figures weigh the same; one that is not defined counts nothing."""
        return (self.dice or 0.0) + (self.ap or 0.0)


def torch_infer(network: nn.Module, device: torch.device | str = "cpu") -> Infer:
    """The network as production's `Infer`: float32 (N, C, H, W) → scores (N, K, H, W)."""

    def infer(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            x = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
            return network(x).float().sigmoid().cpu().numpy()  # type: ignore[no-any-return]

    return infer


def validate(pool: Sequence[Labelled], spec: InputSpec, infer: Infer) -> Validation:
    """Run over a pool at working resolution."""
    truth, scores, dices = [], [], []
    for item in pool:
        tensor = to_tensor(item.image, spec, item.stats)
        height, width = tensor.shape[1:]
        maps = run_tiled(pad_to_stride(tensor, spec.stride), spec, infer)[:, :height, :width]
        truth.append(item.sample.defective)
        scores.append(max(image_score(ScoreMap(np.ascontiguousarray(m)), _WINDOW) for m in maps))
        if item.mask is not None and item.mask.any():
            marked = maps >= 0.5
            overlap = np.logical_and(marked, item.mask).sum()
            dices.append(2.0 * overlap / (marked.sum() + item.mask.sum()))
    ap = average_precision(np.array(truth), np.array(scores, np.float64))
    return Validation(float(np.mean(dices)) if dices else None, ap)


def original_maps(
    samples: Sequence[Sample], spec: InputSpec, classes: tuple[str, ...], infer: Infer, use: Callable[..., None]
) -> None:
    """Give `use(defective, maps, truth)` each sample's maps in original pixels, made as production makes them."""
    for sample in samples:
        image = read_image(sample.image)
        truth = None
        if sample.annotations or not sample.defective:
            truth = load_mask(sample, (image.shape[1], image.shape[0]), classes)
        use(sample.defective, score_maps(image, spec, classes, infer), truth)

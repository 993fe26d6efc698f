"""Boxes around defects, without anchors: each object is the cell at its centre, which tells how far its edges are.

Centres as peaks of a heat map (Zhou et al. 2019, Objects as Points), edges as distances that every cell near the
centre learns (Tian et al. 2019, FCOS; Liu et al. 2020, Training-time-friendly network).
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from onspec.imaging import preparation
from onspec.training import crosswise
from onspec.training.crops import Truth

_SPREAD = 0.54 / 3
"""Deviation of a heat peak against the box's side: TTFNet's, 54 % of the box within three deviations."""

_TEACHES = 0.3
"""Heat from which a cell learns the distances to the box's edges."""

_SEEN = 0.6
"""Share of a box that must lie in the crop and image for it to be taught; one that shows less is neither defect nor
good surface."""

_BOX_WEIGHT = 2.0


class Detection:
    """The target is, per cell: K planes of heat, 4 distances in px, the weight of the distances, and what to ignore."""

    figure = "recall"

    def __init__(self, classes: int, cell: int) -> None:
        self.classes, self.planes, self._cell = classes, classes + 4, cell

    def target(self, truth: Truth) -> preparation.Tensor:
        """float32 (K + 6, H/c, W/c)."""
        down, across = (side // self._cell for side in truth.valid.shape[1:])
        planes = np.zeros((self.classes + 6, down, across), np.float32)
        areas = np.prod(truth.boxes[:, 2:] - truth.boxes[:, :2], axis=1)
        for i in np.argsort(-areas, kind="stable"):  # the smaller box wins a cell
            self._draw(planes, truth.boxes[i], int(truth.kinds[i]), truth.valid[0])
        return planes

    def _draw(self, planes: preparation.Tensor, box: NDArray[np.float32], cls: int, valid: preparation.Tensor) -> None:
        left, top, right, bottom = (float(v) for v in box)
        (height, width), k = valid.shape, self.classes
        x0, x1 = (min(max(round(v), 0), width) for v in (left, right))
        y0, y1 = (min(max(round(v), 0), height) for v in (top, bottom))
        if x0 >= x1 or y0 >= y1:
            return
        y, x = ((np.arange(cells, dtype=np.float32) + 0.5) * self._cell for cells in planes.shape[1:])
        seen = float(valid[y0:y1, x0:x1].sum()) / max((right - left) * (bottom - top), 1.0)
        if seen < _SEEN:
            rows, columns = (y > top) & (y < bottom), (x > left) & (x < right)
            planes[k + 5][np.ix_(rows, columns)] = 1.0
            return
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        across, down = (max(side * _SPREAD, self._cell / 2) for side in (right - left, bottom - top))
        column = min(max(int(middle_x // self._cell), 0), len(x) - 1)
        row = min(max(int(middle_y // self._cell), 0), len(y) - 1)
        heat = np.exp(-((x[None, :] - x[column]) ** 2) / (2 * across**2) - ((y[:, None] - y[row]) ** 2) / (2 * down**2))
        np.maximum(planes[cls], heat, out=planes[cls])
        near = heat >= _TEACHES
        distances = (x[None, :] - left, y[:, None] - top, right - x[None, :], bottom - y[:, None])
        grid = np.stack([np.broadcast_to(d, near.shape) for d in distances])
        near &= (grid > 0).all(axis=0)
        planes[k : k + 4, near] = grid[:, near]
        planes[k + 4, near] = heat[near] / max(float(heat[near].sum()), 1e-6)

    def loss(self, outputs: Sequence[Tensor], target: Tensor, valid: Tensor, bags: Tensor) -> Tensor:
        """Focal loss of the heat, and 1 − generalised IoU of the boxes (Rezatofighi et al. 2019)."""
        k, logits = self.classes, outputs[0]
        counts = F.max_pool2d(valid, self._cell) * (1.0 - target[:, k + 5 : k + 6])
        counts = counts * (bags < 0).to(valid.dtype)[:, None, None, None]
        heat, objects = _heat_loss(logits[:, :k], target[:, :k], counts)
        weight = target[:, k + 4] * counts[:, 0]
        overlap = _generalised_iou(self._distances(logits[:, k:]), target[:, k : k + 4])
        boxes = ((1.0 - overlap) * weight).sum()
        return crosswise.mean(heat, objects) + _BOX_WEIGHT * crosswise.mean(boxes, weight.sum())

    def scores(self, logits: Tensor) -> Tensor:
        """Class scores, then distances left, top, right, bottom in px."""
        return torch.cat([logits[:, : self.classes].sigmoid(), self._distances(logits[:, self.classes :])], dim=1)

    def quality(self, logits: Tensor, target: Tensor, valid: Tensor) -> float:
        """Share of the objects' centres with a score of at least 0.5 in the right class; 1 where there is none."""
        centres = target[:, : self.classes] >= 1.0
        if not centres.any():
            return 1.0
        return float((logits[:, : self.classes][centres] > 0).float().mean())

    def _distances(self, logits: Tensor) -> Tensor:
        return F.softplus(logits) * (4.0 * self._cell)


def _heat_loss(logits: Tensor, heat: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the focal loss of centres (Zhou et al. 2019, α = 2, β = 4), and the number of objects."""
    centre = (heat >= 1.0).to(logits.dtype) * counts
    score = logits.sigmoid()
    hit = -F.logsigmoid(logits) * (1.0 - score).square() * centre
    wrong = -F.logsigmoid(-logits) * score.square() * (1.0 - heat).pow(4) * counts * (heat < 1.0)
    return (hit + wrong).sum(), centre.sum()


def _generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """(N, 4, h, w) distances of two boxes around the same cells → (N, h, w)."""
    left, top, right, bottom = torch.minimum(a, b).unbind(dim=1)
    overlap = (left + right) * (top + bottom)
    area = (a[:, 0] + a[:, 2]) * (a[:, 1] + a[:, 3]) + (b[:, 0] + b[:, 2]) * (b[:, 1] + b[:, 3])
    union = (area - overlap).clamp(min=1e-6)
    left, top, right, bottom = torch.maximum(a, b).unbind(dim=1)
    hull = ((left + right) * (top + bottom)).clamp(min=1e-6)
    return overlap / union - (hull - union) / hull

"""What a model says about every pixel of one image."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ScoreMap:
    """Defect scores in [0, 1] of one class, float32 (H, W), in the pixels of the original image; `highest` is known."""

    values: NDArray[np.float32]
    cls: str = "defect"
    highest: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse another type or shape, and any value that is not a score: NaN must never become a verdict."""
        v = self.values
        if v.dtype != np.float32 or v.ndim != 2 or v.size == 0:
            raise ValueError(f"ScoreMap must be float32 (H, W); got {v.dtype} {v.shape}")
        low, high = float(v.min()), float(v.max())
        if not (low >= 0.0 and high <= 1.0):  # false for NaN, too
            raise ValueError(f"ScoreMap values must lie in [0, 1]; got {low} … {high}")
        object.__setattr__(self, "highest", high)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.values.shape[1], self.values.shape[0]

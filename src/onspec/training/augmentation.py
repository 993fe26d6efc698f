"""How crops may differ from the images: geometry and light."""

import numpy as np
from numpy.random import Generator
from pydantic import BaseModel, ConfigDict, Field

from onspec.imaging.preparation import Tensor


class Augmentation(BaseModel):
    """How much crops may differ from the images. Part of the plan.

    Light is in the unit of the normalised tensor: the image's own deviation, or half of the dtype's range.

    Attributes:
        flip: mirror left-right and top-bottom.
        quarter_turns: rotate by 90, 180, 270 degrees, for materials without a direction.
        rotation_deg, zoom: random rotation up to ± degrees and scale change up to ± share, for half of the crops.
        contrast, brightness: up to ± share of the contrast, ± shift.
        noise: deviation of added Gaussian noise, up to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = True
    quarter_turns: bool = True
    rotation_deg: float = Field(10.0, ge=0, le=180)
    zoom: float = Field(0.15, ge=0, lt=1)
    contrast: float = Field(0.2, ge=0, lt=1)
    brightness: float = Field(0.1, ge=0)
    noise: float = Field(0.03, ge=0)


_NOISY = 0.3
"""Share of the crops that get noise."""


def relit(tensor: Tensor, how: Augmentation, rng: Generator) -> Tensor:
    """The crop, float32 (C, S, S), under another light: contrast, brightness and noise."""
    mean = np.float32(tensor.mean())
    gain = np.float32(1.0 + rng.uniform(-how.contrast, how.contrast))
    changed = (tensor - mean) * gain + np.float32(mean + rng.uniform(-how.brightness, how.brightness))
    if how.noise and rng.random() < _NOISY:
        changed += rng.standard_normal(changed.shape, dtype=np.float32) * np.float32(rng.uniform(0, how.noise))
    return np.asarray(changed, np.float32)

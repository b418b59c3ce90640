"""What the cascade gives back."""

from dataclasses import dataclass

import numpy as np
import torch
from diffusers.utils import BaseOutput


@dataclass
class EchoCascadeOutput(BaseOutput):
    """Generated clips.

    Attributes:
        clips: uint8 numpy (B, T, H, W) for output_type "np", float (B, 1, T, H, W) in [-1, 1] for "pt".
        fps: Hz.
    """

    clips: np.ndarray | torch.Tensor
    fps: float

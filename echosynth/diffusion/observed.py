"""Frames of a clip that are observed: they are kept, and the others are generated to fit them.

At every noise level the sampler's answer is replaced by the truth in the observed frames, as in inpainting (Lugmayr et
al. 2022, RePaint), so the network sees them on its way.
"""

from dataclasses import dataclass

import torch

from echosynth.diffusion.cascade import StageSpec, resize_frame
from echosynth.diffusion.guidance import Denoise

OBSERVED_STEPS = 8
"""Steps of a base where frames are observed: a single step from nearly pure noise would see next to nothing of them."""


@dataclass(frozen=True, eq=False)
class ObservedFrames:
    """Frames of the clip that are not to be generated but kept.

    Attributes:
        clip: (B, 1, T, S, S) in [-1, 1], at the cascade's own rate and size; whatever is not kept may hold anything.
        kept: bool (B, T).

    Raises:
        ValueError: the shapes do not fit together.
    """

    clip: torch.Tensor
    kept: torch.Tensor

    def __post_init__(self) -> None:
        if self.clip.ndim != 5 or self.kept.shape != (len(self.clip), self.clip.shape[2]):
            raise ValueError(
                f"observed frames must be (B, 1, T, S, S) with kept (B, T), got {tuple(self.clip.shape)} and "
                f"{tuple(self.kept.shape)}"
            )

    def fit(self, count: int, spec: StageSpec, device: torch.device) -> "ObservedFrames":
        """The same on a device.

        Raises:
            ValueError: they are not frames of so many of the clips that the stage makes.
        """
        shape = (count, 1, spec.frames, spec.size, spec.size)
        if self.clip.shape != shape:
            raise ValueError(f"observed frames must be {shape}, got {tuple(self.clip.shape)}")
        return ObservedFrames(self.clip.to(device, torch.float32), self.kept.to(device))

    def at(self, frames: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As a stage would see them: (B, 1, frames, size, size), and which are kept, bool (B, 1, frames, 1, 1)."""
        stride = self.clip.shape[2] // frames
        return resize_frame(self.clip[:, 0, ::stride], size)[:, None], self.kept[:, None, ::stride, None, None]


def hold_observed(
    denoise: Denoise, x: torch.Tensor, observed: ObservedFrames, reference: torch.Tensor
) -> tuple[Denoise, torch.Tensor]:
    """A denoiser that answers with the truth in the observed frames, and a start that lies around it.

    Args:
        denoise: D(x, sigma).
        x: start of the chain, (B, 1, T, S, S).
        observed: the frames.
        reference: what the stage's clips differ from, (B, 1, T, S, S).
    """
    clip, kept = observed.at(reference.shape[2], reference.shape[-1])
    truth = clip - reference

    def hold(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return torch.where(kept, truth, denoise(x, sigma))

    return hold, torch.where(kept, x + truth, x)

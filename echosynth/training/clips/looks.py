"""How pictures of one patient are shown in training: one view and one scanner for clip and conditioning frame."""

from dataclasses import dataclass

import torch
from einops import rearrange

from echosynth.training.clips.appearance import AppearanceConfig, randomise_appearance
from echosynth.training.clips.transforms import JitteredViews, ViewJitter
from echosynth.video.clip import to_network


@dataclass(frozen=True)
class Looks:
    """What differs from patient to patient beside what the clips show by themselves.

    Attributes:
        jitter: views, None for the clips' own.
        appearance: scanners, None for the clips' own.
    """

    jitter: ViewJitter | None = None
    appearance: AppearanceConfig | None = None

    def draw_views(self, count: int, generator: torch.Generator, device: torch.device) -> JitteredViews | None:
        """Views of so many patients; None for their own."""
        return None if self.jitter is None else JitteredViews.draw(count, self.jitter, generator).to(device)

    def show(
        self, frames: torch.Tensor, clips: torch.Tensor, views: JitteredViews | None, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A patient's frame and clip, changed alike.

        Args:
            frames: uint8 (B, S, S).
            clips: uint8 (B, T, S, S).
            views: what `draw_views` gave.
            generator: of the scanners.

        Returns:
            (B, 1, S, S) and (B, T, S, S) in [-1, 1].
        """
        pictures = to_network(torch.cat([rearrange(frames, "b h w -> b 1 h w"), clips], 1))
        if views is not None:
            pictures = views.show(pictures)
        if self.appearance is not None:
            pictures = 2 * randomise_appearance((pictures + 1) / 2, self.appearance, generator) - 1
        return pictures[:, :1], pictures[:, 1:]


UNCHANGED = Looks()
"""Of held-out clips."""

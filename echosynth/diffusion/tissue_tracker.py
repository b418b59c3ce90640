"""TissueTracker: where in the conditioning frame is the tissue that a clip's frames show?

    d = tracker(clip, frame)        tissue at (x, y) of a clip's frame is at (x, y) + d in the conditioning frame

It lets super-resolution carry the patient's own speckle along with the wall (`carry_detail`) instead of inventing new
speckle in every frame. It learns from simulated hearts, whose motion is known (phantom/maps.py).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

from echosynth.diffusion.cascade import resize_frame, upsample_space
from echosynth.diffusion.unet3d import UNet3D


class TissueTracker(ModelMixin, ConfigMixin):
    """A space-time U-Net that sees the clip beside the frame held still, and answers with a displacement per pixel.

    Args:
        patch: side of a patch, pixels of the clip.
        widths: channels per level, multiples of 32.
        blocks: space-time blocks per level.
        frame_patch: side of a conditioning-frame patch: frame side * patch / clip side.
        emb_dim: width of the noise-level vector.
    """

    @register_to_config
    def __init__(
        self,
        patch: int = 2,
        widths: Sequence[int] = (64, 128),
        blocks: Sequence[int] = (1, 1),
        frame_patch: int = 8,
        emb_dim: int = 128,
    ) -> None:
        super().__init__()
        nowhere = [False] * len(widths)
        self.network = UNet3D(
            patch=patch,
            widths=widths,
            blocks=blocks,
            space_attention=nowhere,
            time_attention=nowhere,
            emb_dim=emb_dim,
            scalars=(),
            frame_patch=frame_patch,
            lowres=True,
            outputs=2,
        )

    def forward(self, clip: torch.Tensor, level: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
        """Track.

        Args:
            clip: (B, 1, T, h, w) in [-1, 1].
            level: (B,), standard deviation of the noise on the clip.
            frame: conditioning frame (B, 1, S, S) in [-1, 1].

        Returns:
            Displacement (B, 2, T, h, w), x then y, in pixels of the clip.
        """
        still = resize_frame(frame, clip.shape[-1])[:, :, None].expand_as(clip)
        seen = torch.ones(len(clip), dtype=torch.bool, device=clip.device)
        return self.network(still, torch.zeros_like(level), {}, frame, seen, clip, level)


def carry_detail(frame: torch.Tensor, displacement: torch.Tensor, size: int) -> torch.Tensor:
    """What a low-resolution clip lacks, fetched from the conditioning frame to where its tissue has gone.

    Args:
        frame: (B, 1, S, S) in [-1, 1].
        displacement: see `TissueTracker.forward`, (B, 2, T, h, w).
        size: side of the result; S is a multiple of it, and it one of h.

    Returns:
        Detail (B, 1, T, size, size), to be added to the enlarged clip; nothing where tissue comes from outside.
    """
    batch, _, frames, low, _ = displacement.shape
    sharp = resize_frame(frame, size)
    detail = sharp - upsample_space(resize_frame(frame, low)[:, :, None], size)[:, :, 0]
    moved = F.interpolate(
        displacement.transpose(1, 2).flatten(0, 1).float(), size=(size, size), mode="bilinear", align_corners=False
    )
    moved = moved.unflatten(0, (batch, frames)).permute(0, 1, 3, 4, 2) * (size / low)  # (B, T, y, x, 2), pixels
    place = torch.arange(size, device=frame.device, dtype=torch.float32)
    y, x = torch.meshgrid(place, place, indexing="ij")
    grid = (torch.stack([x, y], -1) + moved + 0.5) * (2 / size) - 1
    carried = F.grid_sample(detail, grid.flatten(1, 2), align_corners=False)
    return carried.unflatten(2, (frames, size))

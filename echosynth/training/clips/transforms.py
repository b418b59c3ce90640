"""The same heart through a slightly different view: a cheap stand-in for more patients.

All pictures of one patient are changed alike, so a clip still begins at its conditioning frame.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from echosynth.config import StrictModel


class ViewJitter(StrictModel):
    """How far views may differ; 0 turns one change off.

    Attributes:
        rotate: largest angle, degrees.
        scale: largest relative change of size.
        shift: largest shift, share of the side.
        gamma: largest relative change of the grey map's exponent.
    """

    rotate: float = 12.0
    scale: float = 0.15
    shift: float = 0.08
    gamma: float = 0.4


@dataclass(frozen=True)
class JitteredViews:
    """One changed view per patient.

    Attributes:
        affine: (B, 2, 3), from a place in the new picture to one in the old, in half sides.
        exponent: (B,), of the grey map.
    """

    affine: torch.Tensor
    exponent: torch.Tensor

    @staticmethod
    def draw(count: int, config: ViewJitter, generator: torch.Generator) -> "JitteredViews":
        """Draw the views of some patients."""

        def within(reach: float) -> torch.Tensor:
            return reach * (2 * torch.rand(count, generator=generator) - 1)

        angle, scale = within(math.radians(config.rotate)), 1 + within(config.scale)
        cosine, sine = angle.cos() / scale, angle.sin() / scale
        # A picture is two half sides wide.
        first = torch.stack([cosine, -sine, within(2 * config.shift)], 1)
        second = torch.stack([sine, cosine, within(2 * config.shift)], 1)
        return JitteredViews(torch.stack([first, second], 1), torch.exp(within(config.gamma)))

    def to(self, device: torch.device) -> "JitteredViews":
        """The same views where the pictures are."""
        return JitteredViews(self.affine.to(device), self.exponent.to(device))

    def show(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (B, T, H, W) in [-1, 1] as these views show them; black stays black beyond the old picture."""
        grid = F.affine_grid(self.affine, [len(pictures), 1, *pictures.shape[-2:]], align_corners=False)
        light = F.grid_sample((pictures + 1) / 2, grid, align_corners=False).clamp(0, 1)
        return 2 * light ** self.exponent[:, None, None, None] - 1

    def carry(self, places: torch.Tensor) -> torch.Tensor:
        """Where places of the old pictures are in the new ones: (B, ..., 2), x and y in shares of the side."""
        matrix, shift = self.affine[..., :2], self.affine[..., 2]
        flat = (2 * places - 1).flatten(1, -2) - shift[:, None]
        return ((torch.linalg.solve(matrix, flat.mT).mT + 1) / 2).view_as(places)

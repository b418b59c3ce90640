"""CoReEcho: an encoder whose embeddings are ordered by EF, and a small regressor that reads EF off them.

    stage 1   encoder: Rank-N-Contrast on two windows of every clip;  regressor: smooth L1 on detached embeddings
    stage 2   encoder frozen, regressor trained further

The regressor's loss never changes the embedding, so clips of similar EF stay neighbours whatever the scanner. Encoder
and regressor are laid out as published, so their weights load. Published training starts from an encoder of everyday
videos (Kinetics-400). On phantoms the volume at every instant is known, and a linear layer beside the embedding can
learn it instead (`curve`).

Source: Maani et al. 2024, "CoReEcho: continuous representation learning for 2D+time echocardiography analysis".
"""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin  # noqa: F401  (diffusers looks for these names in a component's module)
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from torch import nn

from echosynth.regression.base import EF_MIDDLE, EF_UNIT, EFDetails, EFRegressor
from echosynth.regression.phases import find_phases
from echosynth.regression.uniformer import UniFormer

DROP = 0.4  # of the regressor, as published


class CoReEcho(EFRegressor):
    """UniFormer and a regressor of two layers; the defaults are as published.

    Args:
        fps: frame rate of its input, Hz; every fourth frame at 50 Hz.
        frames: frames of a window.
        size: side of the picture, pixels; a multiple of 32, or 112.
        channels: the grey picture is repeated so many times; published weights need 3.
        widths: channels per level of the encoder.
        blocks: per level.
        head_dim: width of an attention head.
        end_to_end: let the regressor's gradient reach the encoder, to fine-tune on other data.
        frozen_encoder: keep the encoder as it is, stage 2.
        curve: also predict the volume at every instant.
        drop: dropout rate of the encoder.
        statistics: mean and standard deviation of the pixels that its weights were trained on, 0-255; None for those
            of every clip.
        mirrored: predict the mean over a clip and its mirror image.
        error90: half width of the 90 % interval, EF points.
    """

    @register_to_config
    def __init__(
        self,
        fps: float = 12.5,
        frames: int = 36,
        size: int = 112,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 320, 512),
        blocks: Sequence[int] = (3, 4, 8, 3),
        head_dim: int = 64,
        end_to_end: bool = False,
        frozen_encoder: bool = False,
        curve: bool = False,
        drop: float = 0.1,
        statistics: Sequence[float] | None = None,
        mirrored: bool = False,
        error90: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = UniFormer(channels, widths, blocks, head_dim, drop)
        dim = widths[-1]
        self.regressor = nn.Sequential(
            nn.BatchNorm1d(dim),
            nn.Dropout(DROP),
            nn.Linear(dim, dim),
            nn.BatchNorm1d(dim),
            nn.GELU(),
            nn.Dropout(DROP),
            nn.Linear(dim, 1),
        )
        # Each token is of two frames.
        self.volumes = nn.Linear(dim, 2) if curve else None
        self.encoder.requires_grad_(not frozen_encoder)

    @property
    def head(self) -> nn.Linear:  # type: ignore[override]
        """The last layer."""
        last = self.regressor[-1]
        assert isinstance(last, nn.Linear)
        return last

    @property
    def gradcam_layer(self) -> nn.Module:
        """See `EFRegressor.gradcam_layer`."""
        return self.encoder.gradcam_layer

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """See `EFRegressor.embed`."""
        return self.tokens(x).mean(1)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """One vector per two frames of normalised clips: (B, 1, T, H, W) -> (B, T / 2, widths[-1])."""
        return self.encoder.tokens(x.expand(-1, self.contract.channels, -1, -1, -1))

    def forward(self, x: torch.Tensor, details: bool = False) -> Any:
        """See `EFRegressor.forward`; details hold the embedding, and the volume curve if there is one."""
        tokens = self.tokens(self.normalised(x))
        embedding = tokens.mean(1)
        seen = embedding.detach() if self.training and not self.contract.end_to_end else embedding
        ef = EF_MIDDLE + EF_UNIT * self.regressor(seen)[:, 0].float()
        if not details:
            return ef
        if self.volumes is None:
            return EFDetails(ef, embedding=embedding)
        curve = 0.7 + 0.2 * rearrange(self.volumes(tokens), "b t two -> b (t two)").float()
        return EFDetails(ef, embedding=embedding, curve=curve, phases=find_phases(curve.detach())[:, ::2])

"""MCSDR: EF as a density given the clip and what is known of the patient, by score-based regression.

A clip becomes tokens, one per instant of the encoder; each known attribute becomes one more token. The head
(score_head.py) learns the density of EF given the tokens. Its mean is the prediction. Its samples show the uncertainty,
and both modes where two EFs are plausible.

Published (arXiv 2602.08202): the idea, the encoder, attributes beside the clip, the size of the head. Different here,
because of errors in the published code: EF is standardised (without, the mean is too low by a third of the standard
deviation); the noise levels are Karras' with Heun's method (ten DDIM steps shrink the standard deviation); attention
goes to many tokens (with one token it never learns); attributes are scaled by the training patients alone; a missing
attribute is masked instead of guessed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin  # noqa: F401  (diffusers looks for these names in a component's module)
from diffusers.configuration_utils import register_to_config
from torch import nn

from echosynth.cardiac.attributes import ATTRIBUTES, order_attributes
from echosynth.regression.base import EF_MIDDLE, EF_UNIT, EFDetails, EFRegressor, normalise
from echosynth.regression.score_head import ScoreHead
from echosynth.regression.uniformer import UniFormer
from echosynth.video.clip import EchoClip


class AttributeTokens(nn.Module):
    """One token per attribute, and which of them are missing.

    Args:
        dim: width of a token.
        hidden: width of the encoder.
        dropout: share of known attributes that training masks.
    """

    middle: torch.Tensor  # mean and standard deviation; published weights hold them under these names
    spread: torch.Tensor

    def __init__(self, dim: int, hidden: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        count = len(ATTRIBUTES)
        self.dropout = dropout
        self.register_buffer("middle", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.encode = nn.ModuleList(
            nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, dim)) for _ in range(count)
        )

    def fit(self, attributes: torch.Tensor) -> None:
        """Fit mean and standard deviation to the training patients' attributes (N, 4), NaN where not known."""
        for k, column in enumerate(attributes.T):
            known = column[~column.isnan()]
            if len(known) > 1:
                self.middle[k], self.spread[k] = known.mean(), known.std().clamp_min(1e-3)

    def learnt(self) -> list[str]:
        """Names of the attributes that were known of the training patients."""
        met = (self.middle != 0) | (self.spread != 1)
        return [name for name, known in zip(ATTRIBUTES, met.tolist(), strict=True) if known]

    def forward(self, attributes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (B, 4, dim) of attributes (B, 4), and bool (B, 4): missing."""
        missing = attributes.isnan()
        if self.training and self.dropout:
            missing = missing | (torch.rand_like(attributes) < self.dropout)
        scaled = ((attributes - self.middle) / self.spread).masked_fill(missing, 0.0)
        tokens = [encode(scaled[:, k : k + 1]) for k, encode in enumerate(self.encode)]
        return torch.stack(tokens, dim=1), missing


class MCSDR(EFRegressor):
    """UniFormer, attributes and a score head; the defaults are of the published size.

    Args:
        fps: frame rate of its input, Hz.
        frames: frames of a window.
        size: side of the picture, pixels.
        channels: the grey picture is repeated so many times; published weights need 3.
        widths: channels per level of the encoder.
        blocks: per level.
        head_dim: width of an attention head of the encoder.
        dim: width of the score head.
        drop: dropout rate of the encoder.
        mirrored: predict the mean over a clip and its mirror image.
        error90: half width of the 90 % interval, EF points.
    """

    offset: torch.Tensor
    attributes: AttributeTokens

    @register_to_config
    def __init__(
        self,
        fps: float = 12.5,
        frames: int = 32,
        size: int = 112,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 320, 512),
        blocks: Sequence[int] = (3, 4, 8, 3),
        head_dim: int = 64,
        dim: int = 256,
        drop: float = 0.1,
        mirrored: bool = False,
        error90: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = UniFormer(channels, widths, blocks, head_dim, drop)
        self.attributes = AttributeTokens(widths[-1])
        self.score = ScoreHead(widths[-1], dim)
        self.register_buffer("offset", torch.zeros(()))

    @property
    def gradcam_layer(self) -> nn.Module:
        """See `EFRegressor.gradcam_layer`."""
        return self.encoder.gradcam_layer

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """See `EFRegressor.embed`."""
        return self.encode(x).mean(1)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens of normalised clips, one per instant: (B, 1, T, H, W) -> (B, N, widths[-1])."""
        return self.encoder.tokens(x.expand(-1, self.contract.channels, -1, -1, -1))

    def condition(self, x: torch.Tensor, attributes: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """All tokens of clips in [-1, 1], and which are missing; attributes (B, 4) hold NaN where not known."""
        tokens = self.encode(normalise(x))
        if attributes is None:
            return tokens, None
        more, missing = self.attributes(attributes)
        present = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return torch.cat([tokens, more.to(tokens.dtype)], dim=1), torch.cat([present, missing], dim=1)

    def forward(
        self,
        x: torch.Tensor,
        details: bool = False,
        attributes: torch.Tensor | None = None,
        noisy: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> Any:
        """See `EFRegressor.forward`; EF is the mean of its density.

        Args:
            x: (B, 1, T, H, W).
            details: return all outputs.
            attributes: (B, 4), see `ATTRIBUTES`; NaN where not known, None if nothing is.
            noisy: standardised EFs with noise, and its level, (B, M) each; details then hold them denoised.
        """
        tokens, missing = self.condition(x, attributes)
        ef = EF_MIDDLE + EF_UNIT * self.score.mean(tokens, missing) + self.offset
        if not details:
            return ef
        denoised = None if noisy is None else self.score.denoise(*noisy, tokens, missing)
        return EFDetails(ef, denoised=denoised)

    @torch.no_grad()
    def sample_posterior(
        self, x: torch.Tensor, count: int, generator: torch.Generator, attributes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """See `EFRegressor.sample_posterior`; (steps + 1, B, count), noise first; attributes as in `forward`."""
        tokens, missing = self.condition(x, attributes)
        return EF_MIDDLE + EF_UNIT * self.score.sample(tokens, count, generator, missing) + self.offset

    def contract_violations(self, clip: EchoClip) -> list[str]:
        """See `EFRegressor.contract_violations`; unknown attributes that it was trained with count too."""
        unknown = [name for name in self.attributes.learnt() if name not in clip.attributes]
        missing = [f"without {', '.join(unknown)} of the patient: read without them"] if unknown else []
        return super().contract_violations(clip) + missing

    def fit_attribute_scale(self, attributes: torch.Tensor) -> None:
        """See `EFRegressor.fit_attribute_scale`."""
        self.attributes.fit(attributes)

    @torch.no_grad()
    def predict_windows(self, x: torch.Tensor, attributes: Mapping[str, float] | None = None) -> torch.Tensor:
        """See `EFRegressor.predict_windows`."""
        known = order_attributes(attributes).expand(len(x), -1).to(x.device) if attributes else None
        ef: torch.Tensor = self(x, attributes=known)
        return (ef + self(x.flip(-1), attributes=known)) / 2 if self.contract.mirrored else ef

    @torch.no_grad()
    def subtract_bias(self, error: float) -> None:
        """See `EFRegressor.subtract_bias`; the whole density moves."""
        self.offset -= error

"""The frame-aware pipeline: EF and its uncertainty from three frames, end-diastole, mid-systole and end-systole.

    every frame -> ResNet -> features -> fullness of the ventricle, in a unit of the clip's own
    ED and ES: the frame of largest fullness and of the smallest after it; Mid: half-way
    EF = 100 (1 - fullness ES / fullness ED) + a correction from the features of ED, Mid and ES by
         an MLP, and a Gaussian process that is fitted once the networks are trained; their mean
    "EF at most 40 %" by another MLP

The published pipeline takes ED and ES from tables, which name them only where a reader traced the clip; here the
fullness curve finds them in any clip. The published pipeline also predicts EF from each frame alone, and reports R2 .91
from the mid-systolic one. That is higher than every video model, and not to be expected of unseen patients: one frame
does not show how far the heart has moved. Here the three frames are used together. Compare its classes with the
majority baseline.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin  # noqa: F401  (diffusers looks for these names in a component's module)
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from torch import nn

from echosynth.regression.base import EF_UNIT, EFDetails, EFRegressor, normalise
from echosynth.regression.gaussian_process import GaussianProcess
from echosynth.regression.phases import find_phases
from echosynth.regression.resnet import ResNet

LEAST_FULLNESS = 0.01  # keeps ratios finite


def _mlp(features: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(features), nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(0.3), nn.Linear(hidden, 1)
    )


class FrameAware(EFRegressor):
    """ResNet features of three frames; the defaults are ResNet-50 and its 2048 features.

    Args:
        fps: frame rate of its input, Hz.
        frames: frames of a window.
        size: side of the picture, pixels.
        channels: the grey picture is repeated so many times; public weights need 3.
        width: channels of ResNet's stem.
        blocks: bottlenecks per layer.
        hidden: width of the MLPs.
        components: of the Gaussian process' features.
        patients: number that the Gaussian process is fitted on; 0 for no process.
        frozen_encoder: keep the features as they are.
        mirrored: predict the mean over a clip and its mirror image.
        error90: half width of the 90 % interval, EF points.
    """

    offset: torch.Tensor
    fitted: torch.Tensor

    @register_to_config
    def __init__(
        self,
        fps: float = 25.0,
        frames: int = 32,
        size: int = 112,
        channels: int = 3,
        width: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        hidden: int = 256,
        components: int = 64,
        patients: int = 2000,
        frozen_encoder: bool = False,
        mirrored: bool = False,
        error90: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = ResNet(channels, width, blocks)
        self.encoder.requires_grad_(not frozen_encoder)
        features = self.encoder.features
        self.fullness = nn.Linear(features, 1)
        self.regressor, self.classifier = _mlp(4 * features, hidden), _mlp(4 * features, hidden)
        self.process = GaussianProcess(4 * features, components, patients) if patients else None
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("offset", torch.zeros(()))

    @property
    def gradcam_layer(self) -> nn.Module:
        """See `EFRegressor.gradcam_layer`."""
        return self.encoder.get_submodule("layer2")

    def encode_frames(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What normalised clips (B, 1, T, H, W) show.

        Returns:
            Volume of every frame as a share of the fullest's (B, T), frames of ED and ES (B, 2), the EF by their
            fullness (B,), and the features of ED, ES, Mid and the difference of the first two (B, 4 F).
        """
        pictures = rearrange(x, "b c t h w -> (b t) c h w").expand(-1, self.contract.channels, -1, -1)
        features = self.encoder(pictures.contiguous(memory_format=torch.channels_last))
        features = rearrange(features, "(b t) f -> b t f", b=len(x))
        fullness = F.softplus(self.fullness(features)[..., 0].float()) + LEAST_FULLNESS
        frames = find_phases(fullness.detach())
        ed, mid, es = features.gather(1, frames[..., None].expand(-1, -1, features.shape[-1])).unbind(1)
        full, _, empty = fullness.gather(1, frames).unbind(1)
        seen = torch.cat([ed, es, mid, ed - es], dim=1)
        return fullness / fullness.amax(1, keepdim=True), frames[:, ::2], 100 * (1 - empty / full), seen

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """See `EFRegressor.embed`; features of the three frames, and in the last column the EF by their fullness."""
        _, _, pumped, seen = self.encode_frames(x)
        return torch.cat([seen.float(), pumped[:, None]], dim=1)

    def forward(self, x: torch.Tensor, details: bool = False) -> Any:
        """See `EFRegressor.forward`; details hold the curve, its phases and the logit of a reduced EF."""
        curve, phases, pumped, seen = self.encode_frames(normalise(x))
        more = EF_UNIT * self.regressor(seen)[:, 0].float()
        if self.process is not None and not self.training and self.fitted:
            more = (more + self.process(seen)[0]) / 2
        ef = pumped + more + self.offset
        if not details:
            return ef
        return EFDetails(ef, curve=curve, phases=phases, reduced_ef_logit=self.classifier(seen)[:, 0].float())

    @torch.no_grad()
    def deviation(self, x: torch.Tensor) -> torch.Tensor | None:
        """See `EFRegressor.deviation`; the Gaussian process'."""
        if self.process is None or not self.fitted:
            return None
        return self.process(self.features(x)[:, :-1])[1]

    @torch.no_grad()
    def reduced_ef_probability(self, x: torch.Tensor) -> torch.Tensor:
        """See `EFRegressor.reduced_ef_probability`."""
        logit: torch.Tensor = self(x, details=True).reduced_ef_logit
        return logit.sigmoid()

    def sample_posterior(self, x: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor | None:
        """See `EFRegressor.sample_posterior`; of the Gaussian process, around the answer."""
        deviation = self.deviation(x)
        if deviation is None:
            return None
        noise = torch.randn(len(x), count, generator=generator).to(x.device)
        return (self.predict_windows(x)[:, None] + deviation[:, None] * noise)[None]

    @torch.no_grad()
    def subtract_bias(self, error: float) -> None:
        """See `EFRegressor.subtract_bias`."""
        self.offset -= error

    @property
    def num_second_stage_patients(self) -> int:
        """See `EFRegressor.num_second_stage_patients`."""
        return int(self.contract.patients)

    def fit_second_stage(self, features: torch.Tensor, ef: torch.Tensor) -> None:
        """See `EFRegressor.fit_second_stage`; fits the Gaussian process to what the fullness leaves unexplained."""
        assert self.process is not None
        self.process.fit(features[:, :-1], ef - features[:, -1])
        self.fitted.fill_(True)

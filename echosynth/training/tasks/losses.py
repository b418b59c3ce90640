"""The loss of a regressor, part by part; each system has the parts that its published design has.

EF         smooth L1 of (predicted - true EF) / 10
curve      smooth L1 of 10 (predicted - true volume / EDV), every frame             FrameTransformer
landmarks  see landmark_loss.py                                                     Echo-E3Net
contrast   Rank-N-Contrast of the embeddings of two windows of each clip,           CoReEcho
           over the batches of all processes
reduced    cross entropy of "EF at most 40 %"                                         FrameAware
score      denoising of the standardised EF, in place of the first part             MCSDR
"""

import torch
import torch.nn.functional as F
from torch import nn

from echosynth.cardiac.ejection_fraction import REDUCED_EF
from echosynth.config import StrictModel
from echosynth.edm.noise import draw_sigma
from echosynth.edm.preconditioning import EDMPreconditioning
from echosynth.errors import ConfigError
from echosynth.regression.base import EF_MIDDLE, EF_UNIT, EFDetails
from echosynth.regression.rank_n_contrast import rank_n_contrast
from echosynth.training.engine.loop import Batch
from echosynth.training.engine.processes import gather_batches
from echosynth.training.tasks.landmark_loss import LandmarkWeights
from echosynth.training.tasks.masks import masked_mean


class ContrastConfig(StrictModel):
    """Rank-N-Contrast of embeddings.

    Attributes:
        weight: in the loss.
        temperature: see `rank_n_contrast`.
    """

    weight: float = 1.0
    temperature: float = 1.0


class ScoreConfig(StrictModel):
    """Denoising of EF.

    Attributes:
        draws: noisy EFs per clip.
        P_mean: mean of ln sigma, sigma in units of EF's standardisation.
        P_std: standard deviation of ln sigma.
    """

    draws: int = 16
    P_mean: float = -1.0
    P_std: float = 1.6

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        """Noise levels and unit noise for the EF of so many clips, (count, draws) each."""
        sigma = draw_sigma((count, self.draws), self.P_mean, self.P_std, generator)
        return {"sigma": sigma, "noise": torch.randn(sigma.shape, generator=generator)}


class RegressionLoss(StrictModel):
    """The parts of the loss beside EF; those whose answer a regressor does not give must be left out.

    Attributes:
        curve: weight of the volume curve.
        landmarks: of the endocardium.
        contrast: of the embeddings.
        score: of the density of EF.
        reduced: weight of the cross entropy of "EF at most 40 %".
    """

    curve: float = 0.0
    landmarks: LandmarkWeights | None = None
    contrast: ContrastConfig | None = None
    score: ScoreConfig | None = None
    reduced: float = 0.0

    def compute(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """The loss of a batch that `RegressionTask` made.

        Raises:
            ConfigError: the regressor does not say what a part scores.
        """
        if self.score is not None:
            return self._denoise(model, batch)
        said: EFDetails = model(batch["clip"], details=True)
        loss = F.smooth_l1_loss(said.ef / 10, batch["ef"] / 10)
        if self.curve:
            known = ~batch["curve"].isnan()
            curve = _said(said.curve, "curve")
            miss = F.smooth_l1_loss(10 * curve, 10 * batch["curve"].nan_to_num(), reduction="none")
            loss = loss + self.curve * masked_mean(miss, known)
        if self.landmarks is not None:
            landmarks = _said(said.landmarks, "landmarks")
            loss = loss + self.landmarks.compute(landmarks, said.ef, batch["landmarks"], batch["ef"])
        if self.contrast is not None:
            embedding, ef = gather_batches(_said(said.embedding, "contrast").float()), gather_batches(batch["ef"])
            loss = loss + self.contrast.weight * rank_n_contrast(embedding, ef, self.contrast.temperature)
        if self.reduced:
            logit = _said(said.reduced_ef_logit, "reduced")
            reduced = F.binary_cross_entropy_with_logits(logit, (batch["ef"] <= REDUCED_EF).to(logit))
            loss = loss + self.reduced * reduced
        return loss

    def _denoise(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """EDM loss of the standardised EF; about 1 for an untrained network."""
        sigma, clean = batch["sigma"], ((batch["ef"] - EF_MIDDLE) / EF_UNIT)[:, None]
        noisy = (clean + sigma * batch["noise"], sigma)
        said: EFDetails = model(batch["clip"], details=True, attributes=batch["attributes"], noisy=noisy)
        denoised = _said(said.denoised, "score")
        return (EDMPreconditioning(1.0).loss_weight(sigma) * (denoised - clean) ** 2).mean()


def _said(part: torch.Tensor | None, name: str) -> torch.Tensor:
    if part is None:
        raise ConfigError(f"key 'loss.{name}': this network gives no output that it could score")
    return part

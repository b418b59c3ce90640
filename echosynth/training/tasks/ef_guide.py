"""The EF guide as a training task: read EF off clips that are as noisy as the sampler's are on its way.

    loss = (mu - EF)^2 / (2 s^2) + ln s  +  w_place * 10 |p - p*|  +  w_volume * 10 |ln V - ln V*|

The first part is the negative log likelihood, so the standard deviation s comes out as wide as the noise makes EF
uncertain; p are the landmarks of every frame whose border is known, shares of the side, and V the volumes that they
draw. The batches are those of the base stage, with EF, frame and a noise level that lies where EF can be seen at all.
"""

import torch
from einops import rearrange
from pydantic import model_validator
from torch import nn

from echosynth.cardiac.discs import LEAST_VOLUME, disc_volume
from echosynth.cardiac.landmarks import mirror_landmarks
from echosynth.diffusion.attention import check_head_width
from echosynth.diffusion.blocks import check_levels
from echosynth.diffusion.ef_guide import EFGuide
from echosynth.training.clips.batches import ClipSource
from echosynth.training.clips.looks import UNCHANGED, Looks
from echosynth.training.engine.checkpoint import load_weights
from echosynth.training.engine.loop import Batch
from echosynth.training.part_config import PartConfig
from echosynth.training.stage_config import StageConfig
from echosynth.training.tasks.denoising import DiffusionTask
from echosynth.training.tasks.masks import masked_mean

PLACE_WEIGHT, VOLUME_WEIGHT = 2.0, 0.5
MIRRORED = 0.5  # share of clips that are turned left to right: twice the patients


class GuideConfig(PartConfig):
    """The EF guide of a cascade; see `EFGuide` and `PartConfig`.

    Attributes:
        patch: side of a patch, pixels.
        widths: channels per level.
        blocks: space-time blocks per level.
        P_mean: mean of ln sigma in training.
        P_std: standard deviation of ln sigma.
    """

    patch: int = 2
    widths: list[int]
    blocks: list[int]
    P_mean: float = 0.0
    P_std: float = 1.5

    @model_validator(mode="after")
    def _levels_agree(self) -> "GuideConfig":
        check_levels(self.widths, self.blocks)
        check_head_width(self.widths[-1])
        return self

    def network(self, size: int) -> EFGuide:
        """A guide for clips of this side, with fresh weights, or with those of `init`.

        Raises:
            CheckpointError: `init` holds no weights, or weights of another shape.
        """
        fresh = EFGuide(size=size, patch=self.patch, widths=self.widths, blocks=self.blocks)
        if self.init is not None:
            load_weights(fresh, self.init)
        return fresh


class GuideTask:
    """Training of a guide for a base stage.

    Args:
        config: the guide.
        base: the stage that it guides.
        source: clips with EF.
        looks: see `DiffusionTask`.
    """

    def __init__(self, config: GuideConfig, base: StageConfig, source: ClipSource, looks: Looks = UNCHANGED) -> None:
        noise = base.noise.model_copy(update={"P_mean": config.P_mean, "P_std": config.P_std})
        changes = {"noise": noise, "scalar_dropout": {}, "frame_dropout": 0.0}
        self.base = DiffusionTask(base.model_copy(update=changes), None, source, looks=looks, traced=True)

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """See `Task.make_batch`."""
        batch = self.base.make_batch(size, generator)
        turned = (torch.rand(size, generator=generator) < MIRRORED).to(batch["residual"].device)
        turned = rearrange(turned, "b -> b 1 1 1 1")
        for name in ("residual", "reference"):
            batch[name] = torch.where(turned, batch[name].flip(-1), batch[name])
        batch["landmarks"] = torch.where(turned, mirror_landmarks(batch["landmarks"]), batch["landmarks"])
        return batch

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Negative log likelihood of EF in points, and the borders where they are known."""
        sigma, levels = batch["sigma"], self.base.preconditioning
        level = rearrange(sigma, "b -> b 1 1 1 1")
        x = batch["residual"] + level * batch["noise"]
        read = model(levels.c_in(level) * x, levels.c_noise(sigma), batch["reference"])
        likelihood = ((read.ef - batch["ef"]) ** 2 / (2 * read.std**2) + read.std.log()).mean()
        known = ~rearrange(batch["landmarks"], "b t row end xy -> b t (row end xy)").isnan().any(2)
        truth = batch["landmarks"].nan_to_num()
        miss = 10 * rearrange((read.landmarks - truth).abs(), "b t row end xy -> b t (row end xy)").mean(2)
        drawn, true = (disc_volume(places).clamp_min(LEAST_VOLUME).log() for places in (read.landmarks, truth))
        ratio = 10 * (drawn - true).abs()
        return likelihood + masked_mean(PLACE_WEIGHT * miss + VOLUME_WEIGHT * ratio, known)

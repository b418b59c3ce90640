"""A trained stage becomes one that needs a pass or two: consistency tuning from its own weights (edm/consistency.py).

    loss = |D(x_t; t) - stop_gradient D(x_r; r)| / (c_out(t) (1 - r/t) 2^a)  +  w (sqrt(1 + z^2) - 1)
    z    = (mu(D(x_t; t)) - mu(x_0)) / s

The second part comes from the EF guide. Few steps leave no room for EF guidance in sampling, so the network learns to
make clips in which the guide reads the EF that it reads in the true clip of the same patient. Where the guide misreads
a patient it misreads both clips, so its errors hardly count. It sees clips with a little noise, and does not learn.
"""

import torch
from einops import rearrange
from torch import nn

from echosynth.diffusion.ef_guide import EFGuide, EFReading
from echosynth.diffusion.guidance import READ_AT
from echosynth.edm.consistency import consistency_loss, lower_level
from echosynth.training.engine.loop import Batch
from echosynth.training.tasks.denoising import DiffusionTask
from echosynth.training.tasks.masks import masked_mean

LEAST_LEVEL = 0.002  # below this there is no noise to speak of


class DistillationTask:
    """Consistency tuning of one stage.

    Args:
        stage: makes the batches; its config has a `consistency`.
        steps: of the whole training, over which the gap narrows.
        guide: reads EF off the stage's clips, see `ConsistencyConfig.ef_weight`; None without that.

    Raises:
        ValueError: the stage has no `consistency`.
    """

    def __init__(self, stage: DiffusionTask, steps: int, guide: EFGuide | None = None) -> None:
        if stage.config.consistency is None:
            raise ValueError("only a stage with a `consistency` can be tuned to few passes")
        self.stage, self.steps, self.config = stage, steps, stage.config.consistency
        self.guide = None if guide is None else guide.eval().requires_grad_(False)

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """See `Task.make_batch`."""
        return self.stage.make_batch(size, generator)

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean over the batch; where it does not say at which step it is, the gap is the narrowest."""
        step = batch.get("step", torch.full_like(batch["sigma"], self.steps))
        first, last = self.config.first_doublings, self.config.doublings
        doublings = (first + ((last - first + 1) * step / self.steps).floor()).clamp_max(last)
        t, clean, noise = batch["sigma"], batch["residual"], batch["noise"]
        r = lower_level(t, doublings, self.stage.config.noise.sigma_data)
        high = self.stage.denoise(model, batch, t, clean + _per_clip(t) * noise)
        with torch.no_grad():
            low = self.stage.denoise(model, batch, r.clamp_min(LEAST_LEVEL), clean + _per_clip(r) * noise)
            low = torch.where(_per_clip(r) > 0, low, clean)
        shown = rearrange(batch["shown"], "b t -> b 1 t 1 1")
        # 1 - r/t halves with every doubling; taken back, or the guide's part would lose its share of the gradient.
        scale = self.stage.preconditioning.c_out(t) * (1 - r / t) * 2**doublings
        loss = consistency_loss(high * shown, low * shown, scale).mean()
        if self.guide is not None and self.config.ef_weight:
            loss = loss + self.config.ef_weight * self._misread(high, batch)
        return loss

    def _misread(self, clip: torch.Tensor, batch: Batch) -> torch.Tensor:
        """How far the guide reads clips from the true ones, where an EF and a frame are given."""
        assert self.guide is not None
        guide, levels = self.guide.to(clip.device), self.stage.preconditioning
        level = torch.tensor(READ_AT, device=clip.device)

        def read(clip: torch.Tensor) -> EFReading:
            x = levels.c_in(level) * (clip + level * batch["noise"])
            return guide(x, levels.c_noise(level).expand(len(clip)), batch["reference"])

        with torch.no_grad():
            true = read(batch["residual"])
        known = ~batch["ef"].isnan() & batch["frame_given"]
        off = (read(clip).ef - true.ef) / true.std
        return masked_mean((1 + off**2).sqrt() - 1, known)


def _per_clip(level: torch.Tensor) -> torch.Tensor:
    return rearrange(level, "b -> b 1 1 1 1")

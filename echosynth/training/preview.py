"""A preview of a stage in training: held-out clips, and below each what the stage samples from the same conditions."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import ModelMixin

from echosynth.diffusion.conditions import CONDITIONS
from echosynth.diffusion.ef_guide import EFGuide
from echosynth.diffusion.stage_sampler import SamplingRequest, StageSampler
from echosynth.seeding import make_generator
from echosynth.training.tasks.denoising import DiffusionTask, WholeClips
from echosynth.video.clip import from_network
from echosynth.video.writers import write_png

CLIPS, COLUMNS = 3, 8


def make_preview(
    task: DiffusionTask, name: str, folder: Path, guide: EFGuide | None = None
) -> Callable[[ModelMixin, int], None]:
    """A function that saves FOLDER/step-N.png of a stage's network as it is after step N.

    Args:
        task: gives held-out clips.
        name: of the stage.
        folder: of the pictures.
        guide: the cascade's EF guide, for a stage that is corrected or guided by it.
    """

    def save(model: ModelMixin, step: int) -> None:
        clips = task.draw_whole(CLIPS, make_generator(0, "preview"))
        made = sample_stage(task, name, clips, model, guide)
        rows = []
        for pair in zip(clips.truth, made, strict=True):
            for clip in (from_network(one[0]) for one in pair):
                rows.append(np.concatenate(list(clip[:: max(1, len(clip) // COLUMNS)]), axis=1))
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"step-{step:08d}.png", np.concatenate(rows, axis=0))

    return save


@torch.no_grad()
def sample_stage(
    task: DiffusionTask, name: str, clips: WholeClips, model: ModelMixin, guide: EFGuide | None = None
) -> torch.Tensor:
    """What the pipeline's own sampler makes from the conditions of clips, (B, 1, T, S, S) in about [-1, 1]."""
    config, device = task.config, model.device
    unknown = torch.full((len(clips.truth),), math.nan)
    scalars = {key: clips.known.get(key, unknown).float().to(device) for key in CONDITIONS}
    frame = None if clips.frame is None else clips.frame.to(device)
    previous = None if clips.previous is None else clips.previous.to(device)
    tracker = None if task.tracker is None else task.tracker.to(device)
    side = config.size * (config.unet.frame_patch or config.unet.patch) // config.unet.patch
    sampler = StageSampler(config.spec(name), config.frames, model, config.scheduler(), side, guide, tracker)
    request = SamplingRequest(frame, scalars, make_generator(0, "preview noise"))
    return sampler.sample(previous, request, lambda *_: None)

"""Small stages of a cascade as training reads them, and clips whose pixels tell where and when they are."""

import numpy as np
import torch

from echosynth.training.clips.batches import ClipBatch
from echosynth.training.stage_config import StageConfig

UNET = {"patch": 2, "widths": [32, 32], "blocks": [1, 1], "emb_dim": 32, "frame_patch": 4}
UNET |= {"space_attention": [False, False], "time_attention": [False, False]}


def make_stage(kind: str, frames: int, fps: float, size: int, **changes: object) -> StageConfig:
    fields: dict[str, object] = {"kind": kind, "frames": frames, "fps": fps, "size": size, "num_inference_steps": 2}
    fields |= {"sigma_data": 0.2, "unet": UNET | {"frame_patch": 2 * 32 // size}, "optim": {"steps": 2}}
    return StageConfig.model_validate(fields | changes)


class Noise:
    """A clip of noise, so that pixels tell where and when they are; the conditioning frame is its first frame."""

    fps, size = 32.0, 32

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        clip = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (16, 32, 32)).astype(np.uint8))
        shown = torch.ones(count, 16, dtype=torch.bool)
        clips = clip.expand(count, -1, -1, -1)
        return ClipBatch.untraced(clips, clips[:, 0], {"ef": torch.full((count,), 55.0)}, shown)

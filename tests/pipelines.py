"""A small pipeline that lives in memory, frames to start it from and generators to seed it with."""

import torch

from echosynth.diffusion.cascade import StageSpec
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.unet3d import UNet3D

FRAME = torch.rand(3, 1, 56, 56, generator=torch.Generator().manual_seed(5)) * 2 - 1


def make_pipeline(fresh: bool = False) -> EchoCascadePipeline:
    """Base 4 x 14 x 14 -> 8 frames -> 56 x 56, random in every layer unless `fresh`."""
    specs = [
        StageSpec("base", "base", 4, 8.0, 14, 3, guidance_scale=1.5),
        StageSpec("sr1", "temporal", 8, 16.0, 14, 2, lowres_sigma=0.02),
        StageSpec("sr2", "spatial", 8, 16.0, 56, 2, lowres_sigma=0.02),
    ]
    torch.manual_seed(0)
    networks = {}
    for spec in specs:
        patch = 4 if spec.name == "sr2" else 1
        networks[spec.name] = UNet3D(
            patch=patch,
            widths=[32, 32],
            blocks=[1, 1],
            space_attention=[False, True],
            time_attention=[False, True],
            emb_dim=32,
            scalars=[] if spec.name == "sr2" else ["ef"],
            frame_patch=4,
            lowres=spec.name != "base",
        )
        for parameter in networks[spec.name].parameters():
            if not fresh and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
    schedulers = {spec.name: EDMScheduler(0.01, 2.0, 0.2) for spec in specs}
    made = EchoCascadePipeline.from_stages(specs, networks, schedulers)
    made.set_progress_bar_config(disable=True)
    return made


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]

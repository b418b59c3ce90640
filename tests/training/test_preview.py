"""A preview of a stage in training is what the pipeline's own sampler makes of held-out clips."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.seeding import make_generator
from echosynth.training.preview import CLIPS, COLUMNS, make_preview, sample_stage
from echosynth.training.tasks.denoising import DiffusionTask
from tests.stages import Noise, make_stage


def test_a_preview_is_what_the_pipeline_makes(tmp_path: Path) -> None:
    stage = make_stage("base", 4, 8.0, 16, guidance_scale=1.5)
    torch.manual_seed(0)
    network = stage.network().eval()
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    task = DiffusionTask(stage, None, Noise())
    clips = task.draw_whole(CLIPS, make_generator(0, "preview"))
    made = sample_stage(task, "base", clips, network)

    pipeline = EchoCascadePipeline.from_stages([stage.spec("base")], {"base": network}, {"base": stage.scheduler()})
    pipeline.set_progress_bar_config(disable=True)
    generator = make_generator(0, "preview noise")
    truth = pipeline(clips.frame, clips.known["ef"], generator=generator, output_type="pt").clips
    assert torch.equal(made.clamp(-1, 1), truth)

    make_preview(task, "base", tmp_path)(network, 7)
    picture = np.asarray(Image.open(tmp_path / "step-00000007.png"))
    assert picture.shape == (2 * CLIPS * 16, min(4, COLUMNS) * 16)

"""Six seconds from networks that have learnt two: the bundled super-resolution in windows, and in one piece."""

import numpy as np
import pytest
import torch

from echosynth.diffusion.cascade import resize_frame, with_num_frames
from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.stage_sampler import SamplingRequest, StageSampler
from echosynth.diffusion.windows import OVERLAP, window_starts
from echosynth.evaluation.cases import render_pair
from echosynth.seeding import make_generator
from echosynth.video.clip import from_network, to_network
from tests.models import CASCADE

FRAMES = 192


@pytest.fixture(scope="module")
def pipeline() -> EchoCascadePipeline:
    return load_cascade(CASCADE)


@torch.no_grad()
def enlarge(pipeline: EchoCascadePipeline, window: int) -> tuple[np.ndarray, list[int]]:
    """A true base clip of six seconds as the later stages see it through a window; and where windows begin and end."""
    frame, truth = render_pair(3_000_009, 55.0, 55.0, FRAMES, 32.0, 0.0)
    base, *later = pipeline.stages
    picture = to_network(frame)[None, None]
    request = SamplingRequest(picture, {"ef": torch.tensor([55.0])}, make_generator(3))
    clip = resize_frame(to_network(truth.pixels[:: FRAMES // 48]), base.size)[None, None]
    for spec in later:
        unet, scheduler = (getattr(pipeline, f"{spec.name}_{part}") for part in ("unet", "scheduler"))
        tracker = pipeline.tissue_tracker if spec.tracked else None
        sampler = StageSampler(
            with_num_frames(spec, base, 48), window, unet, scheduler, pipeline.frame_side, None, tracker
        )
        clip = sampler.sample(clip, request, lambda *_: None)
    starts = window_starts(FRAMES, window, int(OVERLAP * window))
    seams = sorted({*starts[1:], *(start + window for start in starts[:-1])})
    return from_network(clip[0, 0].clamp(-1, 1)).astype(float), seams


@pytest.mark.heavy
def test_no_seam_can_be_seen(pipeline: EchoCascadePipeline) -> None:
    windowed, seams = enlarge(pipeline, 32)  # half of what generation takes: more seams to look at
    whole, none = enlarge(pipeline, FRAMES)
    assert len(seams) == 16
    assert not none
    # How much frames differ from those before them goes with the beat: beside the clip in one piece, that falls out.
    steps = [np.abs(np.diff(clip, axis=0)).mean((1, 2)) for clip in (windowed, whole)]
    excess = steps[0] / steps[1]
    at_seams = np.zeros(FRAMES - 1, bool)
    at_seams[[seam - 1 for seam in seams]] = True
    assert excess[at_seams].mean() == pytest.approx(excess[~at_seams].mean(), rel=0.1)
    assert excess[at_seams].max() < 1.1 * excess[~at_seams].max()
    assert np.abs(windowed - whole).mean() < 3

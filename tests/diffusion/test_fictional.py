"""Fictional patients: a stage of its own generates the frame, and the other stages start from it."""

from typing import Any

import numpy as np
import pytest
import torch

from echosynth.diffusion.cascade import StageSpec, check_chain, resize_frame
from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.unet3d import UNet3D
from echosynth.regression.loading import load_regressor
from echosynth.video.clip import EchoClip, to_network
from tests.models import CASCADE, GATE

FRAME_STAGE = StageSpec("frame", "frame", 1, 8.0, 14, 4)
CHAIN = [
    FRAME_STAGE,
    StageSpec("base", "base", 4, 8.0, 14, 2),
    StageSpec("sr1", "temporal", 8, 16.0, 14, 1),
    StageSpec("sr2", "spatial", 8, 16.0, 56, 1),
]
SUPPORTED = {"frame": ["phase", "quality"], "base": ["ef", "phase"], "sr1": ["ef"], "sr2": []}


@pytest.fixture(scope="module")
def pipeline() -> EchoCascadePipeline:
    """Random weights everywhere, or nothing would depend on anything."""
    torch.manual_seed(0)
    networks = {}
    for spec in CHAIN:
        networks[spec.name] = UNet3D(
            patch=4 if spec.name == "sr2" else 1,
            widths=[32, 32],
            blocks=[1, 1],
            time_attention=[False, False],
            emb_dim=32,
            scalars=SUPPORTED[spec.name],
            frame_patch=None if spec.kind == "frame" else 4,
            lowres=spec.kind in ("temporal", "spatial"),
        )
        for parameter in networks[spec.name].parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
    made = EchoCascadePipeline.from_stages(CHAIN, networks, {s.name: EDMScheduler(0.01, 2.0, 0.4) for s in CHAIN})
    made.set_progress_bar_config(disable=True)
    return made


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


def test_the_frame_stage_is_not_one_of_those_that_make_clips(pipeline: EchoCascadePipeline) -> None:
    assert [spec.name for spec in pipeline.stages] == ["base", "sr1", "sr2"]
    assert pipeline.frame_stage == FRAME_STAGE
    assert pipeline.passes() == {"base": 2, "sr1": 1, "sr2": 1}
    assert pipeline.passes(fictional=True) == {"frame": 4, "base": 2, "sr1": 1, "sr2": 1}
    frame = torch.zeros(1, 1, 56, 56)
    calls: list[int] = []
    handle = pipeline.frame_unet.register_forward_hook(lambda *_: calls.append(1))
    try:
        pipeline(frame, 50.0, generator=seeds(0))
        assert not calls
        pipeline(None, 50.0, generator=seeds(0))
        assert len(calls) == 4
    finally:
        handle.remove()


def test_a_fictional_frame_is_the_drawn_picture_enlarged(pipeline: EchoCascadePipeline) -> None:
    drawn = pipeline.sample_frames(2, seeds(1, 2))
    assert drawn.shape == (2, 1, 56, 56)
    assert float(drawn.min()) >= -1
    assert float(drawn.max()) <= 1
    assert torch.equal(drawn, pipeline.sample_frames(2, seeds(1, 2)))
    assert torch.allclose(drawn[1:], pipeline.sample_frames(1, seeds(2)), atol=0.02)  # whoever is drawn beside it
    assert not torch.allclose(drawn[0], drawn[1], atol=0.1)


def test_super_resolution_of_one_picture_takes_as_many_steps_as_drawing_it(pipeline: EchoCascadePipeline) -> None:
    calls: list[int] = []
    handle = pipeline.sr2_unet.register_forward_hook(lambda *_: calls.append(1))
    try:
        pipeline.sample_frames(1, seeds(1))
    finally:
        handle.remove()
    assert len(calls) == FRAME_STAGE.num_inference_steps > pipeline.passes()["sr2"]


def test_a_clip_of_nobody_goes_on_from_the_frame_that_was_drawn(pipeline: EchoCascadePipeline) -> None:
    made = pipeline(None, [30.0, 60.0], generator=seeds(1, 2)).clips
    generators = seeds(1, 2)
    frames = pipeline.sample_frames(2, generators)
    assert np.array_equal(made, pipeline(frames, [30.0, 60.0], generator=generators).clips)


def test_a_frame_depends_on_the_conditions_of_its_stage(pipeline: EchoCascadePipeline) -> None:
    assert pipeline.supported_conditions == ["ef", "phase"]
    assert pipeline.frame_conditions == ["phase", "quality"]
    plain, poor = (pipeline.sample_frames(1, seeds(3), **given) for given in ({}, {"quality": 0.1}))
    assert not torch.allclose(plain, poor, atol=1e-3)
    assert torch.equal(plain, pipeline.sample_frames(1, seeds(3), ef=20.0)), "it does not know of EF"
    pipeline(None, 50.0, quality=0.1, phase=0.0, generator=seeds(3))
    with pytest.raises(ValueError, match="does not support quality"):
        pipeline(torch.zeros(1, 1, 56, 56), 50.0, quality=0.1)
    with pytest.raises(ValueError, match="does not support heart_rate"):
        pipeline(None, 50.0, heart_rate=60.0)
    with pytest.raises(ValueError, match="quality must lie within"):
        pipeline.sample_frames(1, seeds(3), quality=2.0)


def test_a_phase_is_refused_for_a_frame_of_any_moment(pipeline: EchoCascadePipeline) -> None:
    parts = dict(pipeline.components)
    parts["frame_unet"] = UNet3D(patch=1, widths=[32, 32], blocks=[1, 1], emb_dim=32, scalars=[], frame_patch=None)
    without_phase = EchoCascadePipeline(**parts, stages=[spec.to_dict() for spec in CHAIN])
    without_phase.set_progress_bar_config(disable=True)
    with pytest.raises(ValueError, match="any moment of the beat: leave the phase out"):
        without_phase(None, 50.0, phase=0.0)
    assert without_phase(torch.zeros(1, 1, 56, 56), 50.0, phase=0.0).clips.shape == (1, 8, 56, 56)


def test_it_is_saved_and_loaded(pipeline: EchoCascadePipeline, tmp_path: Any) -> None:
    pipeline.save_pretrained(tmp_path)
    loaded = EchoCascadePipeline.from_pretrained(tmp_path)
    assert loaded.frame_stage == FRAME_STAGE
    assert torch.allclose(loaded.sample_frames(1, seeds(4)), pipeline.sample_frames(1, seeds(4)), atol=1e-4)
    without = EchoCascadePipeline.from_pretrained(tmp_path, frame_unet=None, frame_scheduler=None)
    assert without.frame_stage is None
    assert without.frame_conditions == ["ef", "phase"]
    assert without.sample_frames(1, seeds(4), ef=50.0).shape == (1, 1, 56, 56), "the base does without"
    left_out = {f"sr{k}_{part}": None for k in (1, 2) for part in ("unet", "scheduler")}
    short = EchoCascadePipeline.from_pretrained(tmp_path, **left_out)
    assert short.sample_frames(1, seeds(4)).shape == (1, 1, 56, 56), "enlarged all the same"


@pytest.mark.parametrize("change", [{"frames": 2}, {"size": 28}])
def test_a_frame_stage_makes_one_picture_of_the_base_s_size(change: dict[str, int]) -> None:
    check_chain(CHAIN)
    with pytest.raises(ValueError, match="makes one picture"):
        check_chain([StageSpec(**FRAME_STAGE.to_dict() | change), *CHAIN[1:]])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="makes one picture"):
        check_chain([FRAME_STAGE])


def test_a_network_that_sees_no_frame_has_nothing_to_see_it_with() -> None:
    network = UNet3D(widths=[32, 32], blocks=[1, 1], emb_dim=32, frame_patch=None)
    assert not any("frame_encoder" in name for name, _ in network.named_parameters())
    torch.nn.init.normal_(network.last.weight)
    x, one = torch.randn(1, 1, 1, 8, 8), torch.ones(1)
    frames = to_network(np.full((1, 1, 16, 16), 200, np.uint8)), torch.zeros(1, 1, 16, 16)
    seen = [network(x, one, {}, resize_frame(torch.as_tensor(f), 16), one.bool()) for f in frames]
    assert torch.equal(*seen)


@pytest.mark.heavy
@torch.no_grad()
def test_bundled_hearts_that_were_drawn_beat_as_asked() -> None:
    pipeline, gate = load_cascade(CASCADE), load_regressor(GATE)
    pipeline.set_progress_bar_config(disable=True)
    frames = pipeline.sample_frames(4, seeds(1, 2, 3, 4))
    made = {ef: pipeline(frames, ef, generator=seeds(5, 6, 7, 8)) for ef in (30.0, 60.0)}
    weak, strong = (
        np.array([read.ef for read in gate.predict([EchoClip(clip, out.fps) for clip in out.clips])])
        for out in made.values()
    )
    assert (strong > weak + 10).all()
    assert abs(weak.mean() - 30) < 8
    assert abs(strong.mean() - 60) < 8


@pytest.mark.heavy
def test_bundled_frames_are_as_good_as_asked() -> None:
    pipeline = load_cascade(CASCADE)
    assert pipeline.frame_conditions == ["quality"]
    haze = {}
    for quality in (0.1, 0.9):
        middle = pipeline.sample_frames(6, seeds(*range(6)), quality=quality)[:, 0, 28:84, 28:84].flatten(1)
        dark, bright = (middle.quantile(q, dim=1) + 1 for q in (0.25, 0.98))
        haze[quality] = dark / bright
    assert bool((haze[0.1] > haze[0.9]).all()), "cavities are dark where nothing veils them"
    assert float(haze[0.1].mean()) > 2 * float(haze[0.9].mean())

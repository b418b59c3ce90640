"""A stage's training batch: crops and windows are the same for clip, reference and conditioning frame."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from echosynth.diffusion.cascade import upsample_space, upsample_time
from echosynth.seeding import make_generator
from echosynth.training.clips.batches import ClipBatch
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.stage_config import StageConfig
from echosynth.training.tasks.denoising import DiffusionTask
from echosynth.video.clip import to_network
from tests.fake_set import write_fake_set
from tests.stages import UNET, Noise, make_stage

BASE = make_stage("base", 4, 8.0, 16)
TIME = make_stage("temporal", 16, 32.0, 16, window=8)
SPACE = make_stage("spatial", 16, 32.0, 32, window=4, crop=16)
QUIET = {"scalar_dropout": {}, "frame_dropout": 0.0}


def test_base_reference_is_the_frame_held_still() -> None:
    batch = DiffusionTask(make_stage("base", 4, 8.0, 16, **QUIET), None, Noise()).make_batch(2, make_generator(0))
    frame = torch.nn.functional.avg_pool2d(batch["frame"], 2)
    assert torch.equal(batch["reference"], frame[:, :, None].expand(-1, -1, 4, -1, -1))
    truth = to_network(Noise().draw(1, make_generator(0)).clips[0][::4])
    pooled = torch.nn.functional.avg_pool2d(truth, 2)
    torch.testing.assert_close((batch["reference"] + batch["residual"])[0, 0], pooled)


def test_without_a_frame_the_base_starts_from_black() -> None:
    task = DiffusionTask(make_stage("base", 4, 8.0, 16, frame_dropout=0.5), None, Noise())
    batch = task.make_batch(8, make_generator(1))
    dropped = ~batch["frame_given"]
    assert 0 < int(dropped.sum()) < 8
    assert bool((batch["reference"][dropped] == -1).all())


def test_a_stage_that_draws_frames_sees_none_and_learns_whole_pictures() -> None:
    stage = make_stage("frame", 1, 8.0, 16, sigma_data=1.04, unet=UNET | {"frame_patch": None, "scalars": []})
    batch = DiffusionTask(stage, None, Noise()).make_batch(2, make_generator(1))
    assert not batch["frame_given"].any()
    assert bool((batch["reference"] == -1).all())
    truth = torch.nn.functional.avg_pool2d(to_network(Noise().draw(1, make_generator(0)).clips[0][:1]), 2)
    torch.testing.assert_close(batch["residual"][0, 0], truth + 1)
    loss = DiffusionTask(stage, None, Noise()).compute_loss(stage.network(), batch)
    loss.backward()
    assert loss.item() == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize(("kind", "patch"), [("frame", 4), ("base", None)])
def test_only_a_stage_that_draws_frames_sees_none(kind: str, patch: int | None) -> None:
    with pytest.raises(ValidationError, match="frame_patch"):
        make_stage(kind, 1, 8.0, 16, unet=UNET | {"frame_patch": patch})


@pytest.mark.parametrize("draw", range(6))
def test_a_spatial_crop_is_one_place_for_clip_reference_and_frame(draw: int) -> None:
    task = DiffusionTask(SPACE.model_copy(update=QUIET), TIME, Noise())
    batch = task.make_batch(2, make_generator(draw))
    truth = to_network(Noise().draw(1, make_generator(0)).clips[0])
    made = (batch["reference"] + batch["residual"])[0, 0]
    assert made.shape == (4, 16, 16)
    frame = batch["frame"][0, 0]
    places = [(s, y, x) for s in range(13) for y in range(0, 17, 4) for x in range(0, 17, 4)]
    found = [
        p for p in places if torch.allclose(truth[p[0] : p[0] + 4, p[1] : p[1] + 16, p[2] : p[2] + 16], made, atol=1e-5)
    ]
    assert found, "the target is no window and crop of the truth"
    matching = [p for p in found if torch.allclose(frame, truth[0, p[1] : p[1] + 16, p[2] : p[2] + 16])]
    assert matching, "the conditioning frame is cropped elsewhere than the clip"
    start, top, left = matching[0]
    pooled = torch.nn.functional.avg_pool2d(truth[None, None, start : start + 4].flatten(0, 2)[None], 2)[:, None]
    whole = upsample_space(pooled, 32)[..., top : top + 16, left : left + 16]
    torch.testing.assert_close(batch["reference"][:1], whole)


@pytest.mark.parametrize("draw", range(4))
def test_a_window_in_time_is_interpolated_as_the_whole_clip_is(draw: int) -> None:
    task = DiffusionTask(TIME.model_copy(update=QUIET), BASE, Noise())
    batch = task.make_batch(1, make_generator(draw))
    truth = torch.nn.functional.avg_pool2d(to_network(Noise().draw(1, make_generator(0)).clips[0]), 2)
    whole = upsample_time(truth[::4][None, None], 4)
    made = (batch["reference"] + batch["residual"])[0, 0]
    starts = [s for s in (0, 4, 8) if torch.allclose(made, truth[s : s + 8], atol=1e-5)]
    assert len(starts) == 1
    torch.testing.assert_close(batch["reference"], whole[:, :, starts[0] : starts[0] + 8])


def test_conditions_are_dropped_as_often_as_asked(tmp_path: Path) -> None:
    source = PhantomSource(write_fake_set(tmp_path))
    dropout = {"scalar_dropout": {"ef": 0.25, "phase": 0.5}, "frame_dropout": 0.125}
    conditioned = UNET | {"scalars": ["ef", "heart_rate", "phase"]}
    task = DiffusionTask(make_stage("base", 4, 8.0, 16, unet=conditioned, **dropout), None, source)
    batch = task.make_batch(800, make_generator(0))
    assert float(batch["ef"].isnan().float().mean()) == pytest.approx(0.25, abs=0.05)
    assert float(batch["phase"].isnan().float().mean()) == pytest.approx(0.5, abs=0.06)
    assert float((batch["ef"].isnan() & batch["phase"].isnan()).float().mean()) == pytest.approx(0.125, abs=0.04)
    assert not bool(batch["heart_rate"].isnan().any())
    assert float(batch["frame_given"].float().mean()) == pytest.approx(0.875, abs=0.04)


def test_what_is_not_known_of_a_clip_counts_as_not_given() -> None:
    stage = make_stage("base", 4, 8.0, 16, unet=UNET | {"scalars": ["ef", "heart_rate"]}, **QUIET)
    batch = DiffusionTask(stage, None, Noise()).make_batch(3, make_generator(0))
    assert bool(batch["heart_rate"].isnan().all())
    assert not bool(batch["ef"].isnan().any())


def test_weights_that_know_fewer_scalars_can_be_trained_on(tmp_path: Path) -> None:
    old = make_stage("base", 4, 8.0, 16).network()
    old.save_pretrained(tmp_path / "old")
    more = make_stage("base", 4, 8.0, 16, unet=UNET | {"scalars": ["ef", "phase"]}, init=tmp_path / "old").network()
    assert all(torch.equal(more.state_dict()[key], value) for key, value in old.state_dict().items())


def test_the_loss_of_a_network_that_says_nothing_is_about_one(tmp_path: Path) -> None:
    source = PhantomSource(write_fake_set(tmp_path))
    stage = make_stage("base", 4, 8.0, 16, scalar_dropout={}, frame_dropout=0.0)
    probe = DiffusionTask(stage, None, source).make_batch(64, make_generator(0))
    spread = float(probe["residual"].square().mean().sqrt())
    noise = stage.noise.model_copy(update={"sigma_data": spread})
    task = DiffusionTask(stage.model_copy(update={"noise": noise}), None, source)
    loss = task.compute_loss(stage.network(), task.make_batch(64, make_generator(1)))
    assert float(loss.detach()) == pytest.approx(1.0, abs=0.3)


class Half(Noise):
    """The same clip, but its second half is not shown."""

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        drawn = super().draw(count, generator)
        drawn.shown[:, 8:] = False
        return drawn


@pytest.mark.parametrize(("stage", "previous"), [(BASE, None), (TIME, BASE), (SPACE, TIME)])
def test_frames_that_are_not_shown_teach_nothing(stage: StageConfig, previous: StageConfig | None) -> None:
    task = DiffusionTask(stage, previous, Half())
    batches = [task.make_batch(2, make_generator(k)) for k in range(20)]
    batch = next(b for b in batches if b["shown"].any() and not b["shown"].all())
    pre, level = task.preconditioning, batch["sigma"][:, None, None, None, None]
    # The last layer of a fresh network is zero: D = c_skip (r + sigma n), and the loss has a closed form.
    miss = pre.c_skip(level) * (batch["residual"] + level * batch["noise"]) - batch["residual"]
    per_frame = (pre.loss_weight(level) * miss**2).mean(dim=(1, 3, 4))
    torch.testing.assert_close(task.compute_loss(stage.network(), batch), per_frame[batch["shown"]].mean())


def test_frames_share_noise_as_far_as_asked() -> None:
    shared = replace(SPACE.sampling, noise_share=0.75)
    task = DiffusionTask(SPACE.model_copy(update={"sampling": shared, "window": 8}), TIME, Noise())
    noise = torch.cat([task.make_batch(64, make_generator(k))["noise"] for k in range(4)])
    first, later = noise[:, :, 0].flatten(), noise[:, :, 5].flatten()
    assert float(torch.corrcoef(torch.stack([first, later]))[0, 1]) == pytest.approx(0.75, abs=0.02)
    with pytest.raises(ValidationError, match="leave out noise_share"):
        make_stage("base", 4, 8.0, 16, noise_share=0.5, S_churn=10.0)


def test_a_tracked_stage_needs_its_tracker() -> None:
    with pytest.raises(ValueError, match="with a tracker"):
        DiffusionTask(SPACE.model_copy(update={"sampling": replace(SPACE.sampling, tracked=True)}), TIME, Noise())


def test_single_frames_teach_without_their_neighbours() -> None:
    task = DiffusionTask(make_stage("base", 4, 8.0, 16, image_share=1.0, **QUIET), None, Noise())
    batch = task.make_batch(2, make_generator(0))
    seen: list[tuple[torch.Size, torch.Size]] = []

    def network(x: torch.Tensor, c_noise: torch.Tensor, frame: torch.Tensor, **_: object) -> torch.Tensor:
        seen.append((x.shape, frame.shape))
        return torch.zeros_like(x)

    apart = task.compute_loss(network, batch)
    together = task.compute_loss(network, batch | {"apart": torch.zeros(2, dtype=torch.bool)})
    assert seen[0][0] == (8, 1, 1, 16, 16)
    assert seen[0][1][0] == 8
    assert seen[1][0] == (2, 1, 4, 16, 16)
    torch.testing.assert_close(apart, together)  # a network that looks at no neighbour makes no difference

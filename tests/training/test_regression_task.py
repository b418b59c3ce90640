"""Regression training: the contract's cut, augmentation that keeps frames together, volumes where they are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echosynth.regression.base import normalise
from echosynth.regression.frame_transformer import FrameTransformer
from echosynth.regression.mcsdr import MCSDR
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.seeding import make_generator
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.clips.transforms import ClipTransformConfig, cast_shadows, slow_down, transform_clips
from echosynth.training.finishing import refresh_batch_norm
from echosynth.training.tasks.ef_regression import Randomisation, RegressionTask
from echosynth.training.tasks.losses import RegressionLoss
from tests.fake_set import one_step, write_fake_set

STILL = ClipTransformConfig(rotate=0, scale=0, shift=0, gamma=0, noise=0, slow=0, mirror=0)
UNCHANGED = Randomisation(transforms=STILL)
NOWHERE = torch.full((2, 2, 21, 2, 2), torch.nan)


@pytest.fixture
def source(tmp_path: Path) -> PhantomSource:
    return PhantomSource(write_fake_set(tmp_path))


def test_curve_belongs_to_its_clip(source: PhantomSource) -> None:
    drawn = source.draw_ef_batch(5, make_generator(0))
    ef, curve = drawn.ef, drawn.curve
    assert curve.shape == (5, 16)
    # the fake heart starts full and empties to 1 - EF in the middle of its beat
    np.testing.assert_allclose(curve[:, 0], 1.0)
    np.testing.assert_allclose(curve.min(dim=1).values, 1 - ef / 100, atol=1e-6)


def test_batch_is_cut_to_the_contract(source: PhantomSource) -> None:
    batch = RegressionTask(source, fps=16, frames=8, size=16, random=None).make_batch(3, make_generator(1))
    assert batch["clip"].shape == (3, 1, 8, 16, 16)
    assert batch["curve"].shape == (3, 8)


def test_augmentation_of_nothing_changes_nothing() -> None:
    clip = torch.rand(2, 1, 4, 16, 16) * 2 - 1
    points = torch.rand(2, 2, 2, 21, 2, 2)
    same, there = transform_clips(clip, points, STILL, make_generator(0))
    torch.testing.assert_close(same, clip, atol=1e-5, rtol=0)
    torch.testing.assert_close(there, points)


def test_every_frame_of_a_clip_is_moved_alike() -> None:
    still = torch.rand(2, 1, 1, 16, 16).expand(-1, -1, 5, -1, -1) * 2 - 1
    moved, _ = transform_clips(still, NOWHERE, ClipTransformConfig(noise=0), make_generator(3))
    torch.testing.assert_close(moved, moved[:, :, :1].expand_as(moved))
    assert not torch.allclose(moved, still, atol=0.05)


def test_mirrored_clip_is_the_clip_from_the_other_side() -> None:
    clip = torch.rand(2, 1, 4, 16, 16) * 2 - 1
    mirrored, _ = transform_clips(clip, NOWHERE, STILL.model_copy(update={"mirror": 1.0}), make_generator(0))
    torch.testing.assert_close(mirrored, clip.flip(-1), atol=1e-5, rtol=0)


@given(slow=st.floats(0, 0.9), seed=st.integers(0, 1000))
def test_slow_motion_shows_part_of_the_window_in_order(slow: float, seed: int) -> None:
    moments = 2 * torch.arange(16).expand(4, -1)
    slowed = slow_down(moments, slow, make_generator(seed))
    assert (slowed.diff(dim=1) >= 0).all()
    assert slowed.min() >= 0
    assert slowed.max() <= 30
    assert (slowed[:, -1] - slowed[:, 0] >= 30 * (1 - slow) - 1).all()


def test_slow_motion_takes_the_volumes_along(source: PhantomSource) -> None:
    task = RegressionTask(source, 32, 8, 16, Randomisation(transforms=STILL.model_copy(update={"slow": 0.8})))
    batch = task.make_batch(8, make_generator(4))
    drawn = source.draw_ef_batch(8, make_generator(4))
    curve = drawn.curve
    every = RegressionTask(source, 32, 16, 16, None).cut(drawn.clips)
    for k in range(8):
        # each frame shown is the source's frame whose volume stands beside it
        shown = (batch["clip"][k, 0, :, None] - every[k, 0, None]).abs().amax(dim=(2, 3)).argmin(dim=1)
        torch.testing.assert_close(batch["curve"][k], curve[k, shown])


@pytest.mark.heavy
def test_statistics_of_batch_normalisation_are_those_of_the_training_clips(tmp_path: Path) -> None:
    root = write_fake_set(tmp_path)
    config = one_step(
        root, "R2Plus1D", {"fps": 16, "frames": 8, "size": 16, "widths": [8, 8, 8, 8], "stem_width": 8}, batch_size=4
    )
    model = config.build()
    task = RegressionTask(PhantomSource(root), 16, 8, 16, UNCHANGED)
    refresh_batch_norm(model, task, 4, 0)
    norm = model.stem[1]
    batches = [task.make_batch(4, make_generator(0, "statistics", k))["clip"] for k in range(64)]
    with torch.no_grad():
        means = torch.stack([model.stem[0](normalise(clip)).mean(dim=(0, 2, 3, 4)) for clip in batches])
    torch.testing.assert_close(norm.running_mean, means.mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.heavy
def test_a_classifier_that_gives_no_ef_has_its_statistics_too(tmp_path: Path) -> None:
    root = write_fake_set(tmp_path)
    small = {
        "fps": 16,
        "frames": 8,
        "size": 32,
        "channels": 1,
        "width": 4,
        "blocks": [1] * 4,
        "hidden": 8,
        "patients": 0,
    }
    config = one_step(root, "FrameAware", small, batch_size=4)
    model = config.build()
    refresh_batch_norm(model, RegressionTask(PhantomSource(root), 16, 8, 32, UNCHANGED), 4, 0)
    counts = [
        int(m.num_batches_tracked) for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)
    ]
    assert counts == [64] * len(counts)


@pytest.mark.heavy
def test_a_frozen_encoder_keeps_its_statistics_when_they_are_taken_anew(tmp_path: Path) -> None:
    root = write_fake_set(tmp_path)
    small = {
        "fps": 16,
        "frames": 8,
        "size": 32,
        "channels": 1,
        "widths": [8, 8, 16, 16],
        "blocks": [1] * 4,
        "head_dim": 8,
    }
    config = one_step(root, "CoReEcho", small | {"frozen_encoder": True}, batch_size=4)
    model = config.build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    refresh_batch_norm(model, RegressionTask(PhantomSource(root), 16, 8, 32, UNCHANGED), 4, 0)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if name.startswith("encoder."))
    assert not torch.equal(after["regressor.0.running_mean"], before["regressor.0.running_mean"])


def test_unknown_volumes_do_not_count(source: PhantomSource) -> None:
    torch.manual_seed(0)
    model = FrameTransformer(frames=8, size=16, patch=4, widths=(8, 8), dim=16, depth=1, heads=2)
    task = RegressionTask(source, 16, 8, 16, None, RegressionLoss(curve=1.0))
    batch = task.make_batch(2, make_generator(2))
    without = RegressionTask(source, 16, 8, 16, None).compute_loss(model, batch)
    batch["curve"] = torch.full_like(batch["curve"], torch.nan)
    torch.testing.assert_close(task.compute_loss(model, batch), without)


@torch.no_grad()
def test_centring_moves_every_answer_by_the_error() -> None:
    torch.manual_seed(0)
    for model in (
        R2Plus1D(frames=8, size=28, widths=[8] * 4, stem_width=8).eval(),
        FrameTransformer(frames=8, size=56, widths=[8, 16], dim=16, depth=1, heads=2).eval(),
        MCSDR(frames=8, size=32, widths=[8, 8, 16, 16], blocks=[1] * 4, head_dim=8, dim=16).eval(),
    ):
        x = torch.randn(2, 1, 8, model.contract.size, model.contract.size)
        before = model(x)
        model.subtract_bias(2.5)
        torch.testing.assert_close(model(x), before - 2.5)


def test_shadows_fall_from_the_probe_down_on_the_share_that_was_asked_for() -> None:
    left = cast_shadows(400, 32, 0.3, make_generator(0))
    shadowed = left.amin(dim=(1, 2, 3)) < 0.9
    assert float(shadowed.float().mean()) == pytest.approx(0.3, abs=0.08)
    assert (left[~shadowed] == 1).all()
    some = left[shadowed, 0]
    assert 0.05 < float(some.min())
    darkest = some.argmin(dim=2).float() - 15.5  # a straight line through the probe
    slope = darkest / (torch.arange(32) + 0.5)
    assert (slope[:, 8:].std(1) < 0.12).all()
    assert cast_shadows(5, 8, 0.0, make_generator(1)).eq(1).all()


def test_speckle_multiplies_light_and_leaves_darkness_dark() -> None:
    clip = torch.full((6, 1, 2, 24, 24), -1.0)
    clip[..., 12:, :] = 0.2
    rough = ClipTransformConfig(rotate=0, scale=0, shift=0, gamma=0, noise=0, slow=0, mirror=0, speckle=0.5)
    landmarks = torch.full((6, 2, 2, 21, 2, 2), torch.nan)
    shown, _ = transform_clips(clip, landmarks, rough, make_generator(2))
    assert (shown[..., :11, :] == -1).all()
    spread = shown[..., 13:, :].std(dim=(1, 2, 3, 4))
    assert float(spread.max()) > 0.2
    plain, _ = transform_clips(clip, landmarks, rough.model_copy(update={"speckle": 0.0}), make_generator(2))
    torch.testing.assert_close(plain, clip)

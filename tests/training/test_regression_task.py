"""Regression training: the contract's cut, augmentation that keeps frames together, volumes where they are known."""

import numpy as np
import pytest
import torch

from echosynth.regression.frame_transformer import FrameTransformer
from echosynth.seeding import make_generator
from echosynth.training.regression_task import AugmentConfig, RegressionTask, augment
from echosynth.training.sources import PhantomSource
from tests.fake_set import write_fake_set

STILL = AugmentConfig(rotate=0, scale=0, shift=0, gamma=0, noise=0)


@pytest.fixture
def source(tmp_path) -> PhantomSource:
    return PhantomSource(write_fake_set(tmp_path))


def test_curve_belongs_to_its_clip(source: PhantomSource) -> None:
    _, ef, curve = source.draw_measured(5, make_generator(0))
    assert curve.shape == (5, 16)
    # the fake heart starts full and empties to 1 - EF in the middle of its beat
    np.testing.assert_allclose(curve[:, 0], 1.0)
    np.testing.assert_allclose(curve.min(dim=1).values, 1 - ef / 100, atol=1e-6)


def test_batch_is_cut_to_the_contract(source: PhantomSource) -> None:
    batch = RegressionTask(source, fps=16, frames=8, size=16, augmentation=None).make_batch(3, make_generator(1))
    assert batch["clip"].shape == (3, 1, 8, 16, 16)
    assert batch["curve"].shape == (3, 8)


def test_augmentation_of_nothing_changes_nothing() -> None:
    clip = torch.rand(2, 1, 4, 16, 16) * 2 - 1
    torch.testing.assert_close(augment(clip, STILL, make_generator(0)), clip, atol=1e-5, rtol=0)


def test_every_frame_of_a_clip_is_moved_alike() -> None:
    still = torch.rand(2, 1, 1, 16, 16).expand(-1, -1, 5, -1, -1) * 2 - 1
    moved = augment(still, AugmentConfig(noise=0), make_generator(3))
    torch.testing.assert_close(moved, moved[:, :, :1].expand_as(moved))
    assert not torch.allclose(moved, still, atol=0.05)


def test_unknown_volumes_do_not_count(source: PhantomSource) -> None:
    torch.manual_seed(0)
    model = FrameTransformer(frames=8, size=16, patch=4, widths=(8, 8), dim=16, depth=1, heads=2)
    task = RegressionTask(source, 16, 8, 16, None, curve_weight=1.0)
    batch = task.make_batch(2, make_generator(2))
    without = RegressionTask(source, 16, 8, 16, None).compute_loss(model, batch)
    batch["curve"] = torch.full_like(batch["curve"], torch.nan)
    torch.testing.assert_close(task.compute_loss(model, batch), without)

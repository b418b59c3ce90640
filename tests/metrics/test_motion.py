"""Motion and flicker: right where the answer is known, low where texture does not follow."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from echosynth.metrics.motion import flicker, motion_agreement, optical_flow, velocity
from echosynth.phantom.maps import displace_pixels
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view

SIDE = 48
SPEED = (0.6, -0.4)


def texture(seed: int) -> torch.Tensor:
    noise = torch.randn(1, 1, 2 * SIDE, 2 * SIDE, generator=torch.Generator().manual_seed(seed))
    return F.avg_pool2d(F.avg_pool2d(noise, 3, 1, 1), 3, 1, 1)


def moving_clip(frames: int = 6, changing: bool = False) -> np.ndarray:
    """Texture that moves by SPEED a frame; or that is another one in every frame."""
    axis = torch.arange(SIDE) + 0.5
    made = []
    for t in range(frames):
        x, y = (SIDE / 2 + axis - t * speed for speed in SPEED)
        grid = torch.stack([x[None].expand(SIDE, -1), y[:, None].expand(-1, SIDE)], -1) / SIDE - 1
        made.append(F.grid_sample(texture(t if changing else 0), grid[None], align_corners=False)[0, 0])
    return (128 + 150 * torch.stack(made)).clamp(0, 255).to(torch.uint8).numpy()


def displacement(frames: int = 6) -> np.ndarray:
    steps = -np.arange(frames)[:, None, None, None] * np.array(SPEED)[None, :, None, None]
    return steps * np.ones((1, 1, SIDE, SIDE))


def test_flow_of_a_shifted_texture_is_the_shift() -> None:
    flow, strength = optical_flow(moving_clip())
    inner = (slice(None), slice(8, -8), slice(8, -8))
    assert (strength[inner] > 1e-4).mean() > 0.9
    for axis, speed in enumerate(SPEED):
        assert np.median(flow[:, axis][inner]) == pytest.approx(speed, abs=0.08)


def test_agreement_is_one_with_the_truth_and_none_without_motion() -> None:
    np.testing.assert_allclose(velocity(displacement())[:, :, 0, 0], [SPEED] * 5, atol=1e-12)
    assert motion_agreement(moving_clip(), displacement()) > 0.95
    assert motion_agreement(moving_clip(), -displacement()) < -0.95
    assert abs(motion_agreement(moving_clip(changing=True), displacement())) < 0.4
    assert motion_agreement(moving_clip(), 0 * displacement()) is None


def test_flicker_is_what_changes_where_tissue_is_still() -> None:
    rng = np.random.default_rng(0)
    truth = 100 + rng.integers(-3, 4, (20, SIDE, SIDE))
    restless = 100 + 2 * rng.integers(-3, 4, (20, SIDE, SIDE))
    moves = 0.5 * np.arange(20)[:, None, None, None] * np.ones((1, 2, SIDE, SIDE))
    moves[:, :, :20] = 0.05
    moves[:, :, :2] = np.nan
    restless[:, 20:] = rng.integers(0, 256, (20, SIDE - 20, SIDE))  # what moves does not count
    restless[:, :2] = rng.integers(0, 256, (20, 2, SIDE))  # nor what is outside the sector
    assert flicker(truth, truth, moves) == 1
    assert flicker(restless, truth, moves) == pytest.approx(2, rel=0.03)
    assert flicker(truth, truth, moves * np.nan) is None


def test_a_phantom_s_own_clip_agrees_with_its_tissue() -> None:
    patient = sample_patient(8)
    phantom = Phantom([patient], [sample_view(8, patient.long_axis)], [8])
    clip, truth = phantom.render([65.0], 16, 32.0)
    moved = displace_pixels(phantom, truth, truth.at(0))[0].numpy()
    assert motion_agreement(clip[0].numpy(), moved) > 0.7
    assert flicker(clip[0].numpy(), clip[0].numpy(), moved) == 1

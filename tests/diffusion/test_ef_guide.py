"""Steering: exact where all is Gaussian, silent outside its interval; the guide's shapes and its place in the chain."""

from pathlib import Path

import numpy as np
import pytest
import torch

from echosynth.diffusion.ef_guide import LEAST_SPREAD, EFGuide, drawn_ef
from echosynth.diffusion.guidance import FURTHEST, steered_denoiser
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.edm.preconditioning import EDMPreconditioning
from tests.diffusion.test_pipeline import FRAME, make_pipeline, seeds

SIGMA_DATA, TAU = 0.3, 2.0  # spread of the data, and of EF around its linear law, per cent
PRE = EDMPreconditioning(SIGMA_DATA)
SHAPE = (2, 1, 3, 4, 4)
X = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
SLOPE = 4 * torch.randn(SHAPE[1:], generator=torch.Generator().manual_seed(1))
REFERENCE = torch.zeros(SHAPE)


def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The best denoiser of data ~ N(0, SIGMA_DATA^2)."""
    return SIGMA_DATA**2 / (SIGMA_DATA**2 + sigma**2) * x


def read(x: torch.Tensor, c_noise: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best reader of EF = 50 + SLOPE . clean + TAU noise, from x = c_in (clean + sigma noise)."""
    sigma = (4 * c_noise).exp()
    noisy = x / PRE.c_in(sigma)[:, None, None, None, None]
    left = (SIGMA_DATA * sigma) ** 2 / (SIGMA_DATA**2 + sigma**2)  # variance of the clean sample, given the noisy one
    mean = 50 + (SLOPE * denoise(noisy, sigma[:, None, None, None, None])).sum(dim=(1, 2, 3, 4))
    return mean, (left * (SLOPE**2).sum() + TAU**2).sqrt(), mean[:, None]


@pytest.mark.parametrize("sigma", [0.05, 0.4, 3.0])
def test_steering_gives_the_gaussian_posterior_mean(sigma: float) -> None:
    level = torch.tensor(sigma)
    mean, spread, _ = read(PRE.c_in(level) * X, PRE.c_noise(level).expand(2), REFERENCE)
    ef = mean + torch.tensor([1.0, -2.0]) * spread  # within FURTHEST
    made = steered_denoiser(denoise, read, PRE, REFERENCE, ef)(X, level)
    left = (SIGMA_DATA * sigma) ** 2 / (SIGMA_DATA**2 + sigma**2)
    gain = (left * (ef - mean) / spread**2)[:, None, None, None, None]
    torch.testing.assert_close(made, denoise(X, level) + gain * SLOPE, rtol=1e-4, atol=1e-5)


def test_a_reading_far_off_pulls_no_harder_than_one_at_the_limit() -> None:
    level = torch.tensor(0.4)
    mean, spread, _ = read(PRE.c_in(level) * X, PRE.c_noise(level).expand(2), REFERENCE)
    made = [
        steered_denoiser(denoise, read, PRE, REFERENCE, mean + k * spread)(X, level) for k in (FURTHEST, 10 * FURTHEST)
    ]
    torch.testing.assert_close(*made)


@pytest.mark.parametrize(("scale", "sigma", "calls"), [(0.0, 0.5, 0), (1.0, 0.5, 1), (1.0, 0.1, 0), (1.0, 3.0, 0)])
def test_the_guide_is_asked_only_where_it_steers(scale: float, sigma: float, calls: int) -> None:
    seen = []

    def counted(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        seen.append(given)
        return read(*given)

    ef, level = torch.tensor([30.0, 60.0]), torch.tensor(sigma)
    made = steered_denoiser(denoise, counted, PRE, REFERENCE, ef, scale, low=0.2, high=1.0)(X, level)
    assert len(seen) == calls
    assert torch.equal(made, denoise(X, level)) == (calls == 0)


def make_guide() -> EFGuide:
    """For the base of `make_pipeline`: 14 x 14."""
    torch.manual_seed(3)
    return EFGuide(size=14, patch=1, widths=[32, 32], blocks=[1, 1], emb_dim=32)


def test_a_guide_reads_any_number_of_frames() -> None:
    guide = make_guide()
    for frames in (4, 9):
        made = guide(torch.randn(2, 1, frames, 14, 14), torch.zeros(2), torch.zeros(2, 1, 1, 14, 14))
        assert made.ef.shape == made.spread.shape == (2,)
        assert made.landmarks.shape == (2, frames, 21, 2, 2)
        assert bool((made.spread >= LEAST_SPREAD).all())
        assert bool(((made.landmarks > 0) & (made.landmarks < 1)).all())


@pytest.mark.parametrize("ef", [15.0, 50.0, 80.0])
def test_drawn_hearts_have_nearly_the_ef_of_their_volumes(ef: float) -> None:
    z = (torch.arange(20) + 0.5) / 20
    half = 0.2 * (z * (1 - z)).sqrt() * (1 - ef / 100 * torch.linspace(0, torch.pi, 16).sin()[:, None] ** 2).sqrt()
    chords = torch.stack([torch.stack([0.5 + side * half, (0.2 + 0.6 * z).expand_as(half)], -1) for side in (-1, 1)], 2)
    axis = torch.tensor([[0.5, 0.2], [0.5, 0.8]]).expand(16, 1, 2, 2)
    landmarks = torch.cat([axis, chords], dim=1)
    # no frame is at the very middle of the beat, and soft extremes take in their neighbours
    assert 0.85 * ef < float(drawn_ef(landmarks[None])) < ef


def test_a_steered_cascade_is_saved_counted_and_can_be_left_alone(tmp_path: Path) -> None:
    plain = make_pipeline()
    stages = [spec.to_dict() for spec in plain.stages]
    stages[0] |= {"steering_scale": 1.0, "steering_low": 0.05}
    parts = {name: part for name, part in plain.components.items() if part is not None}
    EchoCascadePipeline(**parts, ef_guide=make_guide(), stages=stages).save_pretrained(tmp_path)
    steered = EchoCascadePipeline.from_pretrained(tmp_path)
    steered.set_progress_bar_config(disable=True)
    assert plain.passes()["base"] == 6
    assert steered.passes()["base"] == 8  # the last of the three steps is below steering_low
    assert steered.passes(steering_scale=0.0)["base"] == 6
    with torch.no_grad():
        without, off, on = (
            pipe(FRAME[:1], 30.0, generator=seeds(2), **kw).clips.astype(int)
            for pipe, kw in ((plain, {}), (steered, {"steering_scale": 0.0}), (steered, {"steering_scale": 300.0}))
        )
    assert int(np.abs(without - off).max()) <= 1
    assert int(np.abs(without - on).max()) > 1

"""EF guidance and correction: exact in closed form, without effect where they are off; the guide's shapes and stage."""

from pathlib import Path

import numpy as np
import pytest
import torch

from echosynth.diffusion.calibration import HIGHEST_CALIBRATED_EF, LOWEST_CALIBRATED_EF
from echosynth.diffusion.ef_guide import LEAST_STD, EFGuide, drawn_ef
from echosynth.diffusion.guidance import (
    FURTHEST,
    READ_AT,
    Denoise,
    Interval,
    corrected_denoiser,
    ef_guided_denoiser,
)
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.edm.preconditioning import EDMPreconditioning
from tests.pipelines import FRAME, make_pipeline, seeds

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
def test_ef_guidance_gives_the_gaussian_posterior_mean(sigma: float) -> None:
    level = torch.tensor(sigma)
    mean, spread, _ = read(PRE.c_in(level) * X, PRE.c_noise(level).expand(2), REFERENCE)
    ef = mean + torch.tensor([1.0, -2.0]) * spread  # within FURTHEST
    made = ef_guided_denoiser(denoise, read, PRE, REFERENCE, ef)(X, level)
    left = (SIGMA_DATA * sigma) ** 2 / (SIGMA_DATA**2 + sigma**2)
    gain = (left * (ef - mean) / spread**2)[:, None, None, None, None]
    torch.testing.assert_close(made, denoise(X, level) + gain * SLOPE, rtol=1e-4, atol=1e-5)


def test_a_reading_far_off_pulls_no_harder_than_one_at_the_limit() -> None:
    level = torch.tensor(0.4)
    mean, spread, _ = read(PRE.c_in(level) * X, PRE.c_noise(level).expand(2), REFERENCE)
    made = [
        ef_guided_denoiser(denoise, read, PRE, REFERENCE, mean + k * spread)(X, level)
        for k in (FURTHEST, 10 * FURTHEST)
    ]
    torch.testing.assert_close(*made)


@pytest.mark.parametrize(("scale", "sigma", "calls"), [(0.0, 0.5, 0), (1.0, 0.5, 1), (1.0, 0.1, 0), (1.0, 3.0, 0)])
def test_the_guide_is_asked_only_in_its_interval(scale: float, sigma: float, calls: int) -> None:
    seen = []

    def counted(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        seen.append(given)
        return read(*given)

    ef, level = torch.tensor([30.0, 60.0]), torch.tensor(sigma)
    made = ef_guided_denoiser(denoise, counted, PRE, REFERENCE, ef, Interval(scale, low=0.2, high=1.0))(X, level)
    assert len(seen) == calls
    assert torch.equal(made, denoise(X, level)) == (calls == 0)


FOLLOWS, OFF = 0.8, -6.0  # a network that is conditioned on e draws FOLLOWS * e + OFF


class Drawer:
    """Given EF -> a denoiser whose clips are as bright as the EF that it draws; records the given EFs."""

    def __init__(self) -> None:
        self.given: list[torch.Tensor] = []

    def __call__(self, ef: torch.Tensor) -> Denoise:
        def answer(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            self.given.append(ef)
            return (FOLLOWS * ef + OFF)[:, None, None, None, None].expand_as(x)

        return answer


def read_brightness(x: torch.Tensor, c_noise: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, None, None]:
    """The EF of a Drawer's clip in x = c_in (clip + what is left of the noise of a start without brightness)."""
    level = (4 * c_noise[0]).exp()
    return x.mean(dim=(1, 2, 3, 4)) / PRE.c_in(level) / (1 - level / LEVEL), None, None


LEVEL = 0.5
START = LEVEL * (X - X.mean(dim=(1, 2, 3, 4), keepdim=True))


@pytest.mark.parametrize("ef", [20.0, 50.0, 70.0])
def test_a_full_correction_leaves_what_the_answer_does_not_follow_of_the_error(ef: float) -> None:
    wanted, level, drawer = torch.full((2,), ef), torch.tensor(LEVEL), Drawer()
    made = corrected_denoiser(drawer, read_brightness, PRE, REFERENCE, wanted)(START, level)
    missed = FOLLOWS * wanted + OFF - wanted
    left = made.mean(dim=(1, 2, 3, 4)) - wanted
    torch.testing.assert_close(left, (1 - FOLLOWS) * missed, rtol=1e-3, atol=1e-3)
    assert len(drawer.given) == 2


def test_a_corrected_ef_stays_within_the_training_range() -> None:
    drawer, level = Drawer(), torch.tensor(LEVEL)
    corrected_denoiser(drawer, read_brightness, PRE, REFERENCE, torch.tensor([5.0, 94.0]), 50.0)(START, level)
    assert [ef.tolist() for ef in drawer.given[1:]] == [[HIGHEST_CALIBRATED_EF, HIGHEST_CALIBRATED_EF]]
    low = Drawer()
    corrected_denoiser(low, read_brightness, PRE, REFERENCE, torch.tensor([5.0, 94.0]), -50.0)(START, level)
    assert [ef.tolist() for ef in low.given[1:]] == [[LOWEST_CALIBRATED_EF, LOWEST_CALIBRATED_EF]]


def test_without_correction_nothing_is_asked_twice() -> None:
    drawer = Drawer()
    corrected_denoiser(drawer, read_brightness, PRE, REFERENCE, torch.tensor([30.0, 60.0]), 0.0)(
        START, torch.tensor(1.0)
    )
    assert len(drawer.given) == 1


def test_a_guide_reads_a_clip_at_its_noise_level() -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def watch(x: torch.Tensor, c_noise: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        seen.append((x, c_noise))
        return read_brightness(x, c_noise, reference)

    ef, level = torch.tensor([30.0, 60.0]), torch.tensor(LEVEL)
    corrected_denoiser(Drawer(), watch, PRE, REFERENCE, ef)(START + 37.0, level)
    (x, c_noise), least = seen[0], torch.tensor(READ_AT)
    torch.testing.assert_close(c_noise, PRE.c_noise(least).expand(4))
    noise = (x / PRE.c_in(least)).std(dim=(1, 2, 3, 4))
    torch.testing.assert_close(noise, START.std(dim=(1, 2, 3, 4)).repeat(2) * READ_AT / LEVEL)
    torch.testing.assert_close(x[2:], x[:2].flip(-1))


def make_guide() -> EFGuide:
    """For the base of `make_pipeline`: 14 x 14."""
    torch.manual_seed(3)
    return EFGuide(size=14, patch=1, widths=[32, 32], blocks=[1, 1], emb_dim=32)


def test_a_guide_reads_any_number_of_frames() -> None:
    guide = make_guide()
    for frames in (4, 9):
        made = guide(torch.randn(2, 1, frames, 14, 14), torch.zeros(2), torch.zeros(2, 1, 1, 14, 14))
        assert made.ef.shape == made.std.shape == (2,)
        assert made.landmarks.shape == (2, frames, 21, 2, 2)
        assert bool((made.std >= LEAST_STD).all())
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


def test_a_cascade_with_ef_guidance_is_saved_counted_and_can_be_left_alone(tmp_path: Path) -> None:
    plain = make_pipeline()
    stages = [spec.to_dict() for spec in plain.stages]
    stages[0] |= {"ef_guidance_scale": 1.0, "ef_guidance_low": 0.05}
    parts = {name: part for name, part in plain.components.items() if part is not None}
    EchoCascadePipeline(**parts, ef_guide=make_guide(), stages=stages).save_pretrained(tmp_path)
    guided = EchoCascadePipeline.from_pretrained(tmp_path)
    guided.set_progress_bar_config(disable=True)
    assert plain.passes()["base"] == 6
    assert guided.passes()["base"] == 8  # the last of the three steps is below ef_guidance_low
    assert guided.passes(ef_guidance_scale=0.0)["base"] == 6
    with torch.no_grad():
        without, off, on = (
            pipe(FRAME[:1], 30.0, generator=seeds(2), **kw).clips.astype(int)
            for pipe, kw in (
                (plain, {}),
                (guided, {"ef_guidance_scale": 0.0}),
                (guided, {"ef_guidance_scale": 300.0}),
            )
        )
    assert int(np.abs(without - off).max()) <= 1
    assert int(np.abs(without - on).max()) > 1


def test_a_corrected_cascade_counts_two_passes_and_changes_its_ef() -> None:
    plain = make_pipeline()
    stages = [spec.to_dict() for spec in plain.stages]
    stages[0] |= {"correction": 1.0}
    parts = {name: part for name, part in plain.components.items() if part is not None}
    corrected = EchoCascadePipeline(**parts, ef_guide=make_guide(), stages=stages)
    corrected.set_progress_bar_config(disable=True)
    calls = {"base_unet": 0, "ef_guide": 0}
    for name in calls:
        part = getattr(corrected, name)
        part.register_forward_pre_hook(lambda _, given, name=name: calls.update({name: calls[name] + len(given[0])}))
    with torch.no_grad():
        made = [pipe(FRAME[:1], 30.0, generator=seeds(2)).clips.astype(int) for pipe in (plain, corrected)]
    assert calls == {"base_unet": 6 + 12, "ef_guide": 6}
    assert corrected.passes()["base"] == 12 + 6
    assert int(np.abs(made[0] - made[1]).max()) > 0

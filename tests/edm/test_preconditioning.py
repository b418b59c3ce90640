"""The laws from which Karras et al. derive Table 1 (their appendix B.6), and diffusers as an independent witness."""

import pytest
import torch
from diffusers import EDMEulerScheduler

from echosynth.edm.preconditioning import EDMPreconditioning

LEVELS = [0.002, 0.1, 0.5, 3.0, 80.0]


@pytest.mark.parametrize("sigma_data", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("level", LEVELS)
def test_input_and_target_have_unit_variance(sigma_data: float, level: float) -> None:
    precondition = EDMPreconditioning(sigma_data)
    sigma = torch.tensor(level, dtype=torch.float64)
    # closed form: Var(c_in (y + n)) and Var((y - c_skip (y + n)) / c_out) for y, n independent
    c_skip, c_out, c_in = precondition.c_skip(sigma), precondition.c_out(sigma), precondition.c_in(sigma)
    assert (c_in**2 * (sigma_data**2 + sigma**2)).item() == pytest.approx(1)
    target = ((1 - c_skip) ** 2 * sigma_data**2 + c_skip**2 * sigma**2) / c_out**2
    assert target.item() == pytest.approx(1)
    assert (precondition.loss_weight(sigma) * c_out**2).item() == pytest.approx(1)


def test_unit_variance_on_drawn_data() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = 0.5 * torch.randn(100_000, generator=generator)
    noisy = clean + 3.0 * torch.randn(100_000, generator=generator)
    seen: list[torch.Tensor] = []

    def network(x: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
        seen.extend((x, c_noise))
        return torch.zeros_like(x)

    EDMPreconditioning(0.5).denoise(network, noisy[:, None], 3.0)
    assert seen[0].std().item() == pytest.approx(1, abs=0.01)
    assert seen[1].shape == (100_000,)
    assert seen[1][0].item() == pytest.approx(torch.tensor(3.0).log().item() / 4)


def test_at_small_noise_the_sample_is_kept() -> None:
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    denoised = EDMPreconditioning(0.5).denoise(lambda x, _: torch.ones_like(x), x, 1e-5)
    torch.testing.assert_close(denoised, x, atol=2e-5, rtol=0)


def test_every_sample_has_its_own_level_and_conditions_arrive() -> None:
    x = torch.randn(2, 1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.1, 10.0])
    precondition = EDMPreconditioning(0.5)

    def network(x: torch.Tensor, c_noise: torch.Tensor, ef: torch.Tensor) -> torch.Tensor:
        return x * c_noise.reshape(-1, 1, 1, 1, 1) + ef.reshape(-1, 1, 1, 1, 1)

    ef = torch.tensor([30.0, 60.0])
    together = precondition.denoise(network, x, sigma, ef=ef)
    for i in range(2):
        alone = precondition.denoise(network, x[i : i + 1], sigma[i], ef=ef[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)
    with pytest.raises(ValueError, match="sigma has shape"):
        precondition.denoise(network, x, torch.ones(3), ef=ef)


def test_half_precision_networks_leave_a_float32_sample() -> None:
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    denoised = EDMPreconditioning(0.5).denoise(lambda x, _: x.bfloat16(), x, 0.01)
    assert denoised.dtype == torch.float32
    assert (denoised - x).abs().max() < 0.05


@pytest.mark.parametrize("level", LEVELS)
def test_agrees_with_diffusers(level: float) -> None:
    theirs, ours = EDMEulerScheduler(sigma_data=0.5), EDMPreconditioning(0.5)
    sigma = torch.tensor(level)
    x, output = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours.c_in(sigma) * x, theirs.precondition_inputs(x, sigma))
    torch.testing.assert_close(ours.c_noise(sigma), theirs.precondition_noise(sigma))
    expected = theirs.precondition_outputs(x, output, sigma)
    torch.testing.assert_close(ours.denoise(lambda *_: output, x, sigma), expected)


def test_sigma_data_must_be_positive() -> None:
    with pytest.raises(ValueError, match="sigma_data"):
        EDMPreconditioning(0.0)

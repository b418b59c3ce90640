"""Solvers against the exact solution for Gaussian data, and against diffusers.

For data N(mu, s^2) the ideal denoiser is D(x; sigma) = (s^2 x + sigma^2 mu) / (s^2 + sigma^2), and the ODE only scales
x about mu: x(sigma_next) - mu = (x(sigma) - mu) sqrt(s^2 + sigma_next^2) / sqrt(s^2 + sigma^2).
"""

import math
from collections.abc import Callable

import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler, EDMEulerScheduler

from echosynth.edm.heun import churn, churn_gamma, euler_step, heun_step, sample_heun
from echosynth.edm.multistep import dpmpp_2m_step, sample_dpmpp_2m
from echosynth.edm.noise import karras_sigmas
from echosynth.edm.preconditioning import EDMPreconditioning

MU = 0.3


def exact_denoiser(s: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    return lambda x, sigma: (s**2 * x + sigma**2 * MU) / (s**2 + sigma**2)


def run(solver: str, s: float, num_steps: int) -> float:
    """Return the relative error of the variance that `solver` leaves after the whole ladder."""
    sigmas = karras_sigmas(num_steps).double()
    start = torch.tensor([[MU + 80.0]], dtype=torch.float64)
    denoise = exact_denoiser(s)
    if solver == "2m":
        end = sample_dpmpp_2m(denoise, start, sigmas)
    else:
        end = sample_heun(denoise, start, sigmas, step=heun_step if solver == "heun" else euler_step)
    exact = 80.0 * s / math.sqrt(s**2 + 80.0**2)
    return ((end.item() - MU) / exact) ** 2 - 1


@pytest.mark.parametrize("s", [0.25, 0.5])
@pytest.mark.parametrize(("solver", "ratio", "bound"), [("heun", 4.2, 0.01), ("2m", 4.4, 0.01), ("euler", 1.95, 0.08)])
def test_convergence_order(solver: str, ratio: float, bound: float, s: float) -> None:
    coarse, fine = run(solver, s, 40), run(solver, s, 80)
    assert abs(fine) < bound
    assert coarse / fine == pytest.approx(ratio, rel=0.03)


def test_one_small_step_has_the_local_error_of_its_order() -> None:
    denoise, s = exact_denoiser(0.5), 0.5
    x, sigma = torch.tensor([[2.0]], dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)

    def error(step: Callable[..., torch.Tensor], h: float) -> float:
        exact = MU + (2.0 - MU) * math.sqrt(s**2 + (1 - h) ** 2) / math.sqrt(s**2 + 1)
        return abs(step(denoise, x, sigma, sigma - h).item() - exact)

    assert error(euler_step, 0.02) / error(euler_step, 0.01) == pytest.approx(4, rel=0.05)
    assert error(heun_step, 0.02) / error(heun_step, 0.01) == pytest.approx(8, rel=0.05)


def test_the_last_step_is_the_denoised_sample() -> None:
    denoise, x = exact_denoiser(0.5), torch.tensor([[1.0, -2.0]])
    sigma, zero = torch.tensor(0.1), torch.tensor(0.0)
    denoised = denoise(x, sigma)
    for end in (heun_step(denoise, x, sigma, zero), euler_step(denoise, x, sigma, zero)):
        torch.testing.assert_close(end, denoised)
    assert torch.equal(dpmpp_2m_step(x, denoised, denoised + 1, torch.tensor(0.2), sigma, zero), denoised)


def test_multistep_is_exact_for_a_constant_denoiser() -> None:
    """With a constant D the exponential integrator has no error at all, whatever the step."""
    x, constant = torch.tensor([[5.0]], dtype=torch.float64), torch.tensor([[0.7]], dtype=torch.float64)
    start, middle, end = torch.tensor([80.0, 1.0, 0.01], dtype=torch.float64)
    x = dpmpp_2m_step(x, constant, None, None, start, middle)
    x = dpmpp_2m_step(x, constant, constant, start, middle, end)
    assert x.item() == pytest.approx(0.7 + (5.0 - 0.7) * 0.01 / 80.0)


def test_churn_lifts_the_variance_to_the_new_level() -> None:
    x = MU + math.sqrt(0.5**2 + 2.0**2) * torch.randn(400_000, 1, generator=torch.Generator().manual_seed(0))
    lifted, sigma_hat = churn(x, torch.tensor(2.0), 0.4, generator=torch.Generator().manual_seed(1))
    assert sigma_hat.item() == pytest.approx(2.8)
    assert lifted.var().item() == pytest.approx(0.5**2 + 2.8**2, rel=0.01)
    unchanged, same_sigma = churn(x, torch.tensor(2.0), 0.0)
    assert unchanged is x
    assert same_sigma.item() == 2.0


def test_gamma_follows_algorithm_2() -> None:
    assert churn_gamma(1.0, 100, S_churn=10, S_min=0.05, S_max=50) == pytest.approx(0.1)
    assert churn_gamma(1.0, 10, S_churn=80, S_min=0.05, S_max=50) == pytest.approx(math.sqrt(2) - 1)
    assert churn_gamma(60.0, 10, S_churn=80, S_min=0.05, S_max=50) == 0
    assert churn_gamma(0.01, 10, S_churn=80, S_min=0.05, S_max=50) == 0


def test_sampling_with_churn_keeps_the_marginal_law() -> None:
    sigmas = karras_sigmas(100)
    start = MU + math.sqrt(80.0**2 + 0.5**2) * torch.randn(40_000, 1, generator=torch.Generator().manual_seed(0))
    sample = sample_heun(exact_denoiser(0.5), start, sigmas, S_churn=30, generator=torch.Generator().manual_seed(1))
    assert sample.mean().item() == pytest.approx(MU, abs=0.01)
    assert sample.var().item() == pytest.approx(0.25, rel=0.03)


def test_without_churn_the_sampler_is_deterministic_and_with_it_the_generator_decides() -> None:
    start, sigmas = 80 * torch.randn(3, 2, generator=torch.Generator().manual_seed(0)), karras_sigmas(8)

    def sample(seed: int, S_churn: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return sample_heun(exact_denoiser(0.5), start, sigmas, S_churn=S_churn, generator=generator)

    assert torch.equal(sample(1, 0.0), sample(2, 0.0))
    assert torch.equal(sample(1, 10.0), sample(1, 10.0))
    assert not torch.equal(sample(1, 10.0), sample(2, 10.0))


def test_heun_costs_two_calls_a_step_but_one_for_the_last_and_reports_every_step() -> None:
    calls, steps = [], []
    denoise = exact_denoiser(0.5)

    def counted(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        calls.append(float(sigma))
        return denoise(x, sigma)

    sigmas = karras_sigmas(6)
    sample_heun(counted, torch.ones(1, 1), sigmas, on_step=lambda i, sigma, x: steps.append((i, float(sigma))))
    assert len(calls) == 11
    assert steps == list(enumerate(sigmas[1:].tolist()))


def network(x: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
    """A smooth nonlinear stand-in for F, so that agreement is not an accident of linearity."""
    return torch.sin(2 * x) + 0.3 * c_noise.reshape(-1, 1)


def run_diffusers(scheduler: EDMEulerScheduler | EDMDPMSolverMultistepScheduler, x: torch.Tensor) -> torch.Tensor:
    scheduler.set_timesteps(18)
    for t in scheduler.timesteps:
        output = network(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(output, t, x).prev_sample
    return x


@pytest.mark.parametrize("solver", ["euler", "2m"])
def test_agrees_with_diffusers(solver: str) -> None:
    start = 80 * torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    precondition = EDMPreconditioning(0.5)
    sigmas = karras_sigmas(18)

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return precondition.denoise(network, x, sigma)

    if solver == "euler":
        theirs = run_diffusers(EDMEulerScheduler(sigma_data=0.5), start)
        ours = sample_heun(denoise, start, sigmas, step=euler_step)
    else:
        theirs = run_diffusers(
            EDMDPMSolverMultistepScheduler(sigma_data=0.5, solver_order=2, final_sigmas_type="zero"), start
        )
        ours = sample_dpmpp_2m(denoise, start, sigmas)
    assert ((ours - theirs).norm() / theirs.norm()).item() < (3e-7 if solver == "euler" else 1e-6)

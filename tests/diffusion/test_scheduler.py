"""EDMScheduler runs the solver its config names, and survives a save and a load."""

from pathlib import Path

import pytest
import torch

from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.edm.heun import euler_step, sample_heun
from echosynth.edm.multistep import sample_dpmpp_2m
from echosynth.edm.noise import karras_sigmas


def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    return (0.25 * x + sigma**2 * torch.tanh(x)) / (0.25 + sigma**2)


def make_start(scheduler: EDMScheduler) -> torch.Tensor:
    return scheduler.init_noise_sigma * torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(0))


def test_round_trip_keeps_every_setting(tmp_path: Path) -> None:
    scheduler = EDMScheduler(
        sigma_min=0.01, sigma_max=20.0, sigma_data=0.3, rho=5.0, solver="heun", S_churn=4.0, S_min=0.1, S_max=9.0
    )
    scheduler.save_pretrained(tmp_path)
    loaded = EDMScheduler.from_pretrained(tmp_path)
    settings = [{k: v for k, v in one.config.items() if k[0] != "_"} for one in (scheduler, loaded)]  # _ is bookkeeping
    assert settings[0] == settings[1]
    assert len(settings[0]) == 9
    for one in (scheduler, loaded):
        one.set_timesteps(7)
    assert torch.equal(loaded.sigmas, scheduler.sigmas)


@pytest.mark.parametrize("solver", ["dpmpp_2m", "heun", "euler"])
def test_agrees_with_the_edm_functions_and_counts_its_passes(solver: str) -> None:
    scheduler = EDMScheduler(solver=solver, sigma_max=40.0)
    scheduler.set_timesteps(9)
    start, sigmas = make_start(scheduler), karras_sigmas(9, sigma_max=40.0)
    expected = {
        "dpmpp_2m": lambda: sample_dpmpp_2m(denoise, start, sigmas),
        "heun": lambda: sample_heun(denoise, start, sigmas),
        "euler": lambda: sample_heun(denoise, start, sigmas, step=euler_step),
    }[solver]()
    calls, reported = [], []

    def counted(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        calls.append(x.dtype)
        return denoise(x, sigma)

    sample = scheduler.sample(counted, start, on_step=lambda i, sigma, x: reported.append((i, float(sigma), x)))
    assert torch.equal(sample, expected)
    assert len(calls) == scheduler.passes(9)
    assert [(i, sigma) for i, sigma, _ in reported] == list(enumerate(sigmas[1:].tolist()))
    assert reported[-1][2] is sample


def test_timesteps_are_the_inputs_of_the_network() -> None:
    scheduler = EDMScheduler()
    scheduler.set_timesteps(5, device="cpu")
    torch.testing.assert_close(scheduler.timesteps, scheduler.sigmas[:-1].log() / 4)


def test_the_state_stays_float32_around_a_half_precision_network() -> None:
    scheduler = EDMScheduler(solver="heun")
    scheduler.set_timesteps(4)
    seen = []

    def half(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        seen.append(x.dtype)
        return denoise(x, sigma).bfloat16()

    assert scheduler.sample(half, make_start(scheduler).bfloat16()).dtype == torch.float32
    assert set(seen) == {torch.float32}


def test_churn_with_one_generator_a_sample_does_not_depend_on_the_batch() -> None:
    scheduler = EDMScheduler(solver="heun", S_churn=5.0)
    scheduler.set_timesteps(6)
    start = make_start(scheduler)
    together = scheduler.sample(denoise, start, [torch.Generator().manual_seed(s) for s in (1, 2)])
    alone = scheduler.sample(denoise, start[1:], [torch.Generator().manual_seed(2)])
    torch.testing.assert_close(together[1:], alone, atol=1e-6, rtol=1e-6)
    assert not torch.equal(together, scheduler.sample(denoise, start, torch.Generator().manual_seed(3)))


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="dpmpp_2m, heun, euler"):
        EDMScheduler(solver="ddim")
    with pytest.raises(ValueError, match="S_churn"):
        EDMScheduler(solver="dpmpp_2m", S_churn=1.0)
    with pytest.raises(ValueError, match="set_timesteps"):
        EDMScheduler().sample(denoise, torch.zeros(1, 1))

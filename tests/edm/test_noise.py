"""Laws of the noise levels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.edm.noise import draw_noise, draw_sigma, karras_sigmas


@settings(max_examples=60, deadline=None)
@given(
    num_steps=st.integers(2, 200),
    sigma_min=st.floats(1e-3, 0.1),
    sigma_max=st.floats(1.0, 200.0),
    rho=st.floats(2.0, 10.0),
)
def test_the_ladder_falls_strictly_between_exact_ends(
    num_steps: int, sigma_min: float, sigma_max: float, rho: float
) -> None:
    sigmas = karras_sigmas(num_steps, sigma_min, sigma_max, rho)
    assert sigmas.shape == (num_steps + 1,)
    assert sigmas.dtype == torch.float32
    assert (sigmas.diff() < 0).all()
    assert sigmas[0] == torch.tensor(sigma_max, dtype=torch.float32)
    assert sigmas[-2] == torch.tensor(sigma_min, dtype=torch.float32)
    assert sigmas[-1] == 0


def test_the_ladder_is_even_in_the_root() -> None:
    roots = karras_sigmas(10, 0.002, 80.0, rho=7.0)[:-1].double() ** (1 / 7)
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(9), rtol=1e-5, atol=0)


def test_one_step_goes_straight_to_zero() -> None:
    assert karras_sigmas(1).tolist() == [80.0, 0.0]


@pytest.mark.parametrize("wrong", [{"num_steps": 0}, {"sigma_min": 0.0}, {"sigma_min": 90.0}, {"rho": 0.0}], ids=str)
def test_a_wrong_ladder_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"num_steps|sigma_min|rho"):
        karras_sigmas(**{"num_steps": 10, **wrong})  # type: ignore[arg-type]


def test_training_levels_are_log_normal() -> None:
    sigma = draw_sigma((200_000,), P_mean=-1.2, P_std=1.2, generator=torch.Generator().manual_seed(0))
    log = sigma.log()
    assert log.mean().item() == pytest.approx(-1.2, abs=0.01)
    assert log.std().item() == pytest.approx(1.2, abs=0.01)
    torch.testing.assert_close(sigma.quantile(0.5).log(), torch.tensor(-1.2), atol=0.015, rtol=0)


def test_training_levels_depend_on_the_generator_alone() -> None:
    first, second = (draw_sigma((5,), generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(ValueError, match="P_std"):
        draw_sigma((1,), P_std=-1.0)


def test_a_sample_with_its_own_generator_does_not_depend_on_the_batch() -> None:
    def generators(*seeds: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    together = draw_noise(torch.empty(3, 2, 4), generators(1, 2, 3))
    alone = draw_noise(torch.empty(1, 2, 4), generators(2))
    assert torch.equal(together[1], alone[0])
    with pytest.raises(ValueError, match="2 generators for a batch of 3"):
        draw_noise(torch.empty(3, 2), generators(1, 2))

"""Consistency: the pairs of levels, the loss and the sampler, on Gaussians with closed forms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.edm.consistency import consistency_loss, lower_level, sample_consistency
from echosynth.edm.noise import draw_sigma, karras_sigmas
from echosynth.edm.preconditioning import EDMPreconditioning

SPREAD = 0.5


def exact(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The consistency function of N(0, SPREAD^2): trajectories of its probability flow are x(t) ~ sqrt(s^2 + t^2)."""
    return x * SPREAD / (SPREAD**2 + sigma**2).sqrt()


@settings(deadline=None)
@given(st.floats(1e-3, 80.0), st.integers(0, 20), st.floats(0.01, 1.0))
def test_the_lower_level_rises_towards_the_upper_one(t: float, doublings: int, sigma_data: float) -> None:
    level = torch.tensor([t], dtype=torch.float64)
    low, closer = (lower_level(level, doublings + k, sigma_data) for k in (0, 1))
    assert 0 <= low <= closer < level
    assert closer == 0 or (level - closer) == pytest.approx((level - low) / 2) or low == 0


def test_at_first_the_clean_sample_is_the_answer() -> None:
    level = torch.tensor([0.01, 1.0, 50.0])
    assert not lower_level(level, 0, SPREAD).any()
    # At low noise the gap is up to five times as wide.
    gap = 1 - lower_level(level, 3, SPREAD) / level
    assert (8 * gap).tolist() == pytest.approx([4.98, 1 + 8 / (1 + 2.71828), 1.0], abs=0.01)
    each = lower_level(level, torch.tensor([0.0, 10.0, 3.0]), SPREAD)
    assert each[0] == 0
    assert 0.98 < each[1] < 1


def test_the_loss_measures_disagreement_over_the_gap_and_teaches_the_upper_level_alone() -> None:
    high = torch.zeros(2, 3, 4, requires_grad=True)
    low = torch.full((2, 3, 4), 0.3, requires_grad=True)
    scale = torch.tensor([0.5, 0.1])
    loss = consistency_loss(high, low, scale)
    torch.testing.assert_close(loss, torch.tensor([0.6, 3.0]), atol=0.02, rtol=0)
    loss.sum().backward()
    assert low.grad is None
    assert high.grad is not None
    assert (high.grad < 0).all()
    assert not consistency_loss(low, low, scale).any()


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_jumps_with_the_exact_function_give_the_data(steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 20 * torch.randn(4000, 4, generator=generator)
    seen: list[float] = []
    made = sample_consistency(
        exact, x, karras_sigmas(steps, 0.3, 20.0), generator, lambda i, sigma, x: seen.append(float(sigma))
    )
    assert float(made.mean()) == pytest.approx(0, abs=0.02)
    assert float(made.std()) == pytest.approx(SPREAD, rel=0.02)
    assert len(seen) == steps
    assert seen[-1] == 0


def test_one_jump_follows_the_start_and_more_renew_it() -> None:
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(1)) * 20
    one, two = (
        sample_consistency(exact, x, karras_sigmas(k, 0.3, 20.0), torch.Generator().manual_seed(2)) for k in (1, 2)
    )
    assert torch.corrcoef(torch.stack([x.flatten(), one.flatten()]))[0, 1] > 0.999
    # What the second step keeps of the first: the share of the data's variance at its level.
    kept = SPREAD / (SPREAD**2 + 0.3**2) ** 0.5
    assert float(torch.corrcoef(torch.stack([x.flatten(), two.flatten()]))[0, 1]) == pytest.approx(kept, abs=0.03)


@pytest.mark.heavy
def test_tuning_a_denoiser_of_gaussians_makes_it_the_consistency_function() -> None:
    levels = EDMPreconditioning(SPREAD)
    torch.manual_seed(0)
    gain = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.SiLU(), torch.nn.Linear(64, 1))

    def answer(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return levels.denoise(lambda y, c_noise: gain(c_noise[:, None]) * y, x, t)

    def learn(steps: int, tuned: bool) -> None:
        optimizer = torch.optim.Adam(gain.parameters(), lr=3e-3)
        for step in range(steps):
            t = draw_sigma((512,), 0.0, 1.2)
            clean, noise = SPREAD * torch.randn(512, 16), torch.randn(512, 16)
            high = answer(clean + t[:, None] * noise, t)
            if tuned:
                r = lower_level(t, 1 + 6 * step // steps, SPREAD)
                low = torch.where(r[:, None] > 0, answer(clean + r[:, None] * noise, r.clamp_min(1e-3)), clean)
                loss = consistency_loss(high, low, levels.c_out(t) * (1 - r / t)).mean()
            else:
                loss = (levels.loss_weight(t)[:, None] * (high - clean) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * (1 - step / steps) + 1e-5

    at = torch.tensor([0.25, 0.5, 1.0, 2.0])
    ones = torch.ones(4, 1)
    learn(400, tuned=False)
    mean = SPREAD**2 / (SPREAD**2 + at**2)
    torch.testing.assert_close(answer(ones, at)[:, 0].detach(), mean, atol=0.04, rtol=0)
    learn(1500, tuned=True)
    torch.testing.assert_close(answer(ones, at)[:, 0].detach(), exact(ones[:, 0], at), atol=0.06, rtol=0)
    assert float((exact(ones[:, 0], at) - mean).min()) > 0.09, "the two differ"

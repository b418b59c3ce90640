"""Guidance: one batched call equals two separate ones, only inside its interval, and only EF is dropped."""

import pytest
import torch

from echosynth.diffusion.guidance import Interval, guided_denoiser, guided_scalar
from echosynth.edm.preconditioning import EDMPreconditioning

PRE = EDMPreconditioning(0.3)
X = torch.randn(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
EF = {"ef": torch.tensor([30.0, 60.0])}
GIVEN = {"frame": torch.tensor([0.1, -0.2])}


def network(
    x: torch.Tensor, c_noise: torch.Tensor, scalars: dict[str, torch.Tensor], frame: torch.Tensor
) -> torch.Tensor:
    ef = scalars["ef"].nan_to_num(-50.0) / 100
    column = (c_noise + ef + frame)[:, None, None, None, None]
    return torch.tanh(x * column) + column


@pytest.mark.parametrize("scale", [0.0, 1.3, 4.0])
def test_one_batched_call_equals_two_separate_ones(scale: float) -> None:
    sigma = torch.tensor(0.7)
    made = guided_denoiser(network, PRE, EF, GIVEN, Interval(scale))(X, sigma)
    none = {"ef": torch.full((2,), torch.nan)}
    cond = PRE.denoise(network, X, sigma, scalars=EF, **GIVEN)
    uncond = PRE.denoise(network, X, sigma, scalars=none, **GIVEN)
    torch.testing.assert_close(made, uncond + scale * (cond - uncond))


@pytest.mark.parametrize(
    ("scale", "sigma", "calls"), [(1.0, 0.5, [2]), (2.0, 0.5, [4]), (2.0, 0.1, [2]), (2.0, 3.0, [2])]
)
def test_a_second_pass_is_paid_for_only_where_it_is_used(scale: float, sigma: float, calls: list[int]) -> None:
    seen = []

    def counted(x: torch.Tensor, *rest: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return network(x, *rest, **conditions)

    guided_denoiser(counted, PRE, EF, GIVEN, Interval(scale, low=0.2, high=1.0))(X, torch.tensor(sigma))
    assert seen == calls


def test_without_an_ef_condition_quality_is_guided_if_it_is_given() -> None:
    seen: list[torch.Tensor] = []

    def watched(x: torch.Tensor, c_noise: torch.Tensor, scalars: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(scalars["quality"])
        return x * scalars["quality"].nan_to_num(0.5)[:, None, None, None, None]

    def denoise(*quality: float, **more: torch.Tensor) -> torch.Tensor:
        given = {"quality": torch.tensor(quality)} | more
        return guided_denoiser(watched, PRE, given, {}, Interval(3.0))(X, torch.tensor(0.5))

    assert guided_scalar(["phase"]) is None
    assert guided_scalar(["phase", "quality"]) == "quality"
    assert guided_scalar(["quality", "ef"]) == "ef"
    denoise(0.1, 0.9)
    assert seen[-1][:2].tolist() == pytest.approx([0.1, 0.9])
    assert bool(seen[-1][2:].isnan().all())
    denoise(torch.nan, torch.nan)
    assert len(seen[-1]) == 2, "nothing to be strengthened"
    denoise(0.1, 0.9, **EF)
    assert seen[-1].tolist() == pytest.approx([0.1, 0.9, 0.1, 0.9])


def test_timing_is_the_same_with_and_without_ef() -> None:
    seen = {}

    def watched(x: torch.Tensor, c_noise: torch.Tensor, scalars: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.update(scalars)
        return torch.zeros_like(x)

    guided_denoiser(watched, PRE, EF | {"heart_rate": torch.tensor([60.0, 90.0])}, {}, Interval(3.0))(
        X, torch.tensor(0.5)
    )
    assert seen["heart_rate"].tolist() == [60, 90, 60, 90]
    assert seen["ef"].isnan().tolist() == [False, False, True, True]


def test_without_scalars_there_is_nothing_to_guide() -> None:
    def plain(x: torch.Tensor, c_noise: torch.Tensor, scalars: dict[str, torch.Tensor]) -> torch.Tensor:
        assert not scalars
        return torch.zeros_like(x)

    assert guided_denoiser(plain, PRE, {}, {}, Interval(3.0))(X, torch.tensor(0.5)).shape == X.shape

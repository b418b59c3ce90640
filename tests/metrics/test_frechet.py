"""Fréchet and kernel distances against closed forms and torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import maximum_mean_discrepancy, poly_mmd

from echosynth.metrics.frechet import GaussianStats, compare_features, frechet_distance, real_vs_real_baseline
from echosynth.metrics.kernel import kernel_distance


def gaussian(n: int, d: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, (n, d)) * np.linspace(0.2, 1.5, d)


def exact(mean: np.ndarray, cov: np.ndarray) -> GaussianStats:
    """Statistics whose mean and covariance are exactly these: the 2 D points mean +- columns of a root, scaled."""
    d = len(mean)
    root = np.linalg.cholesky(cov) * np.sqrt((2 * d - 1) / 2)
    return GaussianStats.of(np.concatenate([mean + root.T, mean - root.T]))


def test_closed_form_of_commuting_gaussians() -> None:
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 16.0])
    mean = np.array([3.0, 0.0, -1.0])
    stats_a, stats_b = exact(np.zeros(3), np.diag(a)), exact(mean, np.diag(b))
    assert np.allclose(stats_a.covariance, np.diag(a))
    expected = (mean**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet_distance(stats_a, stats_b) == pytest.approx(expected)


def test_equals_scipy_sqrtm_on_full_covariances() -> None:
    rng = np.random.default_rng(0)
    a, b = GaussianStats.of(rng.normal(size=(80, 6)) @ rng.normal(size=(6, 6))), GaussianStats.of(gaussian(90, 6, 1))
    root = np.real(sqrtm(a.covariance @ b.covariance))
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(expected)


class Pooled(nn.Module):
    """A trivial feature space: mean over 4 by 4 blocks."""

    num_features = 16

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x.double().mean(1, keepdim=True), 4).flatten(1)


def test_equals_torchmetrics_fid() -> None:
    torch.manual_seed(0)
    real, fake = torch.rand(60, 3, 16, 16), torch.rand(50, 3, 16, 16) ** 1.3
    fid = FrechetInceptionDistance(feature=Pooled(), normalize=True, input_img_size=(3, 16, 16))
    fid.set_dtype(torch.float64)
    as_seen = [Pooled()(x).numpy() for x in (real, fake)]
    fid.update(real, real=True)
    fid.update(fake, real=False)
    mine = frechet_distance(GaussianStats.of(as_seen[0]), GaussianStats.of(as_seen[1]))
    assert mine == pytest.approx(float(fid.compute()), rel=1e-5)


def test_zero_for_identical_even_when_rank_deficient() -> None:
    for n in (500, 8):
        stats = GaussianStats.of(gaussian(n, 32, 2, shift=5))
        assert frechet_distance(stats, stats) == pytest.approx(0.0, abs=1e-9 * np.trace(stats.covariance) * 32)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=4), offset=st.sampled_from([0.0, 1e6]))
def test_streaming_equals_one_pass(cuts: list[int], offset: float) -> None:
    x = gaussian(60, 5, 3) + offset
    stats = GaussianStats(5)
    for part in np.split(x, sorted(cuts)):
        stats.update(part)
    assert stats.n == 60
    assert np.allclose(stats.mean, x.mean(0), rtol=1e-12)
    assert np.allclose(stats.covariance, np.cov(x.T), rtol=1e-7, atol=1e-7)


def test_baseline_shrinks_with_n_and_a_shift_is_found() -> None:
    real = gaussian(800, 8, 4)
    assert real_vs_real_baseline(real, 20) > 3 * real_vs_real_baseline(real, 400)
    good = compare_features(real, gaussian(300, 8, 5), "judge:toy")
    bad = compare_features(real, gaussian(300, 8, 5, shift=0.5), "judge:toy")
    assert good.name == "fd[judge:toy;n=300]"
    assert good.n == 300
    assert good.full_rank
    assert 0.5 < good.ratio < 2
    assert bad.ratio > 5
    assert abs(good.kernel) < 0.1 * bad.kernel
    assert good == compare_features(real, gaussian(300, 8, 5), "judge:toy")
    assert not compare_features(real[:12], gaussian(50, 8, 6), "judge:toy").full_rank


def test_kernel_distance_equals_torchmetrics_and_is_unbiased() -> None:
    a, b = gaussian(40, 6, 7), gaussian(40, 6, 8, shift=0.3)
    k = [torch.tensor((x @ y.T / 6 + 1) ** 3) for x, y in ((a, a), (a, b), (b, b))]
    assert kernel_distance(a, b) == pytest.approx(float(maximum_mean_discrepancy(k[0], k[1], k[2])))
    assert kernel_distance(a, b) == pytest.approx(float(poly_mmd(torch.tensor(a), torch.tensor(b))))
    draws = [kernel_distance(gaussian(12, 6, 100 + i), gaussian(12, 6, 900 + i)) for i in range(200)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(200)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        GaussianStats.of(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="at least two"):
        frechet_distance(GaussianStats.of(np.ones((1, 2))), GaussianStats.of(np.ones((1, 2))))
    with pytest.raises(ValueError, match="differ"):
        frechet_distance(GaussianStats(2), GaussianStats(3))
    with pytest.raises(ValueError, match="real clips"):
        real_vs_real_baseline(np.ones((5, 2)), 3)
    with pytest.raises(ValueError, match=">= 2"):
        kernel_distance(np.ones((1, 2)), np.ones((4, 2)))

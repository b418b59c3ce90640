"""Gaussian processes against the textbook's formulas, written down plainly, and against data of a known law."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from echosynth.regression.gaussian_process import GaussianProcess, log_likelihood, matern
from echosynth.regression.resnet import ResNet


def draw(count: int, seed: int, noise: float = 0.5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, values with noise, and what they are without."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6)) * np.array([3.0, 2.0, 1.0, 0.1, 0.1, 0.1])
    clean = 50 + 8 * np.sin(x[:, 0] / 2) + 3 * x[:, 1]
    values = clean + noise * rng.normal(size=count)
    return torch.from_numpy(x).float(), torch.from_numpy(values).float(), torch.from_numpy(clean).float()


def test_likelihood_is_the_density_of_a_normal_vector() -> None:
    x, y, _ = draw(12, 0)
    x, y = x.double(), y.double() - 50
    law = torch.tensor([1.5, 4.0, 0.7], dtype=torch.float64)
    covariance = law[1] ** 2 * matern(x, x, law[0]) + (law[2] ** 2 + 1e-6) * torch.eye(12, dtype=torch.float64)
    normal = torch.distributions.MultivariateNormal(torch.zeros(12, dtype=torch.float64), covariance)
    torch.testing.assert_close(log_likelihood(x, y, *law.unbind()), normal.log_prob(y))


def test_prediction_is_the_conditional_normal() -> None:
    x, y, _ = draw(30, 1)
    process = GaussianProcess(6, 6, 30)
    process.fit(x, y)
    mean, length, signal, noise = process.law.double().numpy()
    points, new = process.points.double().numpy(), process.project(draw(4, 2)[0]).double().numpy()

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        r = np.sqrt(3) * np.linalg.norm(a[:, None] - b[None], axis=-1) / length
        return signal**2 * (1 + r) * np.exp(-r)

    inverse = np.linalg.inv(kernel(points, points) + noise**2 * np.eye(30))
    cross = kernel(points, new)
    expected = mean + cross.T @ inverse @ (y.double().numpy() - mean)
    variance = signal**2 + noise**2 - np.einsum("im,ij,jm->m", cross, inverse, cross)
    found, spread = process(draw(4, 2)[0])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(spread**2, variance, rtol=1e-3)


def test_prediction_is_that_of_scikit_learn() -> None:
    x, y, _ = draw(30, 1)
    process = GaussianProcess(6, 6, 30)
    process.fit(x, y)
    mean, length, signal, noise = process.law.double().tolist()
    kernel = ConstantKernel(signal**2) * Matern(length, nu=1.5) + WhiteKernel(noise**2)
    oracle = GaussianProcessRegressor(kernel, alpha=0, optimizer=None)
    oracle.fit(process.points.double().numpy(), y.double().numpy() - mean)
    new = draw(40, 2)[0]
    expected, std = oracle.predict(process.project(new).double().numpy(), return_std=True)
    found, found_std = process(new)
    np.testing.assert_allclose(found, expected + mean, rtol=1e-4)
    np.testing.assert_allclose(found_std, std, rtol=1e-3)


@pytest.mark.heavy
def test_it_learns_and_knows_how_well() -> None:
    process = GaussianProcess(6, 3, 300)
    process.fit(*draw(300, 3)[:2])
    x, values, clean = draw(400, 4)
    mean, spread = process(x)
    assert float((mean - clean).abs().mean()) < 0.5
    assert float(process.law[3]) == pytest.approx(0.5, rel=0.25)  # the noise that was put in
    assert float(((values - mean).abs() < 1.645 * spread).float().mean()) == pytest.approx(0.9, abs=0.05)
    _, far = process(x + 40)
    assert float(far.min()) > 3 * float(spread.median())  # nothing is known out there


def test_its_state_travels_with_the_weights() -> None:
    process, other = GaussianProcess(6, 3, 50), GaussianProcess(6, 3, 50)
    process.fit(*draw(50, 5)[:2])
    other.load_state_dict(process.state_dict())
    x = draw(5, 6)[0]
    torch.testing.assert_close(other(x), process(x))
    with pytest.raises(ValueError, match="made for 50"):
        process.fit(*draw(20, 5)[:2])


def test_resnet50_has_the_published_number_of_weights_and_names() -> None:
    with torch.device("meta"):
        model = ResNet()
        maps = model.maps(torch.empty(2, 3, 224, 224))
    classifier = 2048 * 1000 + 1000
    assert sum(p.numel() for p in model.parameters()) == 25_557_032 - classifier
    assert maps.shape == (2, 2048, 7, 7)
    names = set(model.state_dict())
    for name in ("conv1.weight", "bn1.running_mean", "layer1.0.downsample.0.weight", "layer4.2.conv3.weight"):
        assert name in names
    assert "layer3.1.downsample.0.weight" not in names

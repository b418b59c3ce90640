"""Gaussian-process regression: a number and its standard deviation from a vector of features.

    y ~ N(m, K + s_n^2 I)      K_ij = s_f^2 (1 + sqrt(3) r_ij) exp(-sqrt(3) r_ij)      Matern 3/2, r = |x_i - x_j| / l
    mean(x) = m + k^T (K + s_n^2 I)^-1 (y - m)
    var(x)  = s_f^2 + s_n^2 - k^T (K + s_n^2 I)^-1 k

Features are reduced to their first principal components, divided by the standard deviation of the first. l, s_f and s_n
maximise the likelihood of a part of the patients; all patients then serve for prediction. Exact: N^2 memory, N^3 / 3
multiplications once.

Source: Rasmussen and Williams 2006, algorithm 2.1 and equation 4.17.
"""

import math

import torch
from torch import nn

TUNED_ON = 1000  # number of patients whose likelihood is maximised
STEPS = 100
JITTER = 1e-6


def matern(a: torch.Tensor, b: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """Correlation of points (N, D) and (M, D): (N, M)."""
    r = math.sqrt(3) * torch.cdist(a, b) / length
    return (1 + r) * torch.exp(-r)


def log_likelihood(
    x: torch.Tensor, y: torch.Tensor, length: torch.Tensor, signal: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Log density of centred values y (N,) at points x (N, D)."""
    covariance = signal**2 * matern(x, x, length) + (noise**2 + JITTER) * torch.eye(len(x)).to(x)
    root = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(root, y[:, None], upper=False)[:, 0]
    return -0.5 * white.square().sum() - root.diagonal().log().sum() - 0.5 * len(x) * math.log(2 * math.pi)


class GaussianProcess(nn.Module):
    """A Gaussian process whose state, the patients it was fitted on, is saved with a model's weights.

    Args:
        features: of a point.
        components: principal components kept.
        patients: number that it is fitted on.
    """

    middle: torch.Tensor
    axes: torch.Tensor
    points: torch.Tensor
    weights: torch.Tensor
    law: torch.Tensor

    def __init__(self, features: int, components: int, patients: int) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(features))
        self.register_buffer("axes", torch.zeros(features, components))
        self.register_buffer("points", torch.zeros(patients, components))
        self.register_buffer("weights", torch.zeros(patients))
        self.register_buffer("law", torch.tensor([0.0, 1.0, 1.0, 1.0]))  # m, l, s_f, s_n
        self._root: torch.Tensor | None = None

    @torch.no_grad()
    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Features (N, F) to components (N, C)."""
        return (features.float() - self.middle) @ self.axes

    def fit(self, features: torch.Tensor, values: torch.Tensor) -> None:
        """Learn from features (patients, F) and values (patients,).

        Raises:
            ValueError: the number of patients is not the one it was made for.
        """
        if len(features) != len(self.points):
            raise ValueError(f"fitted on {len(features)} patients, made for {len(self.points)}")
        features = features.float()
        self.middle.copy_(features.mean(0))
        _, scale, axes = torch.linalg.svd(features - self.middle, full_matrices=False)
        self.axes.copy_(axes[: self.axes.shape[1]].T / (scale[0] / math.sqrt(len(features))))
        x, mean = self.project(features).double(), values.double().mean()
        y = values.double() - mean
        length, signal, noise = self._tune(x[:TUNED_ON], y[:TUNED_ON])
        self.points.copy_(x)
        self.law.copy_(torch.stack([mean, length, signal, noise]))
        self._root = None
        self.weights.copy_(torch.cholesky_solve(y[:, None], self._factor())[:, 0])

    @staticmethod
    def _tune(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        std = y.std()
        logs = torch.stack([torch.zeros_like(std), std.log(), (std / 3).log()]).requires_grad_()
        optimizer = torch.optim.Adam([logs], lr=0.1)
        for _ in range(STEPS):
            optimizer.zero_grad()
            (-log_likelihood(x, y, *logs.exp().unbind()) / len(x)).backward()
            optimizer.step()
        length, signal, noise = logs.detach().exp().unbind()
        return length, signal, noise

    def _factor(self) -> torch.Tensor:
        """Cholesky factor of the patients' covariance; too large to be saved, computed in a second."""
        if self._root is None or self._root.device != self.points.device:
            _, length, signal, noise = self.law.double().unbind()
            points = self.points.double()
            covariance = signal**2 * matern(points, points, length)
            self._root = torch.linalg.cholesky(covariance + (noise**2 + JITTER) * torch.eye(len(points)).to(points))
        return self._root

    @torch.no_grad()
    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the value at features (N, F): (N,) each."""
        mean, length, signal, noise = self.law.double().unbind()
        near = signal**2 * matern(self.points.double(), self.project(features).double(), length)
        white = torch.linalg.solve_triangular(self._factor(), near, upper=False)
        variance = signal**2 + noise**2 - white.square().sum(0)
        return (mean + self.weights.double() @ near).float(), variance.clamp_min(0).sqrt().float()

"""The Fréchet distance of two sets of clips, each seen as a Gaussian in a feature space.

    d^2 = |mu_a - mu_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a^1/2 S_b S_a^1/2)^1/2)

Source: Dowson & Landau, J. Multivariate Analysis 12 (1982); as a score of generators: Heusel et al., NeurIPS 2017.
The last trace is the sum of the singular values of S_a^1/2 S_b^1/2, which needs no square root of a nearly singular
product, so rank-deficient covariances (n < D) are exact and no `sqrtm` warning can appear.

The distance is biased upwards by about c / n (Chong & Forsyth, CVPR 2020), so it is never printed alone: beside it
stands the distance of two disjoint halves of REAL clips at the same n. Covariances are divided by n - 1 (as in
torchmetrics; StyleGAN-V divides by n). "FID" and "FVD" are names of this distance in Inception and I3D features only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from echosynth.metrics.ef_metrics import none_if_undefined
from echosynth.metrics.kernel import kernel_distance
from echosynth.seeding import derive_seed


class GaussianStats:
    """Mean and covariance of a stream of feature vectors, in float64.

    Batches are merged by the update of Chan, Golub & LeVeque (1979), which loses no digits where the mean is large
    against the standard deviation.

    Attributes:
        n: vectors seen so far.
        mean: float64 (D,).
    """

    def __init__(self, dim: int) -> None:
        """Start empty for vectors of length `dim`."""
        self.n = 0
        self.mean: np.ndarray = np.zeros(dim)
        self._scatter: np.ndarray = np.zeros((dim, dim))

    @classmethod
    def of(cls, features: np.ndarray) -> "GaussianStats":
        """Return the statistics of one set of vectors (n, D)."""
        stats = cls(features.shape[-1])
        stats.update(features)
        return stats

    @property
    def dim(self) -> int:
        """Length D of the vectors."""
        return len(self.mean)

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance (D, D), divided by n - 1.

        Raises:
            ValueError: fewer than two vectors.
        """
        if self.n < 2:
            raise ValueError(f"a covariance needs at least two vectors, got {self.n}")
        return self._scatter / (self.n - 1)

    def update(self, features: np.ndarray) -> None:
        """Add vectors (n, D), finite.

        Raises:
            ValueError: another shape, or a value that is not finite.
        """
        x = np.asarray(features, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(f"features must be (n, {self.dim}), got {x.shape}")
        if not np.isfinite(x).all():
            raise ValueError("features hold values that are not finite")
        if len(x) > 0:
            mean = x.mean(axis=0)
            self._add(len(x), mean, (x - mean).T @ (x - mean))

    def _add(self, n: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        total = self.n + n
        delta = mean - self.mean
        self._scatter = self._scatter + scatter + np.outer(delta, delta) * (self.n * n / total)
        self.mean = self.mean + delta * (n / total)
        self.n = total


def frechet_distance(a: GaussianStats, b: GaussianStats) -> float:
    """Return the squared Fréchet (2-Wasserstein) distance of two Gaussians, >= 0, in squared feature units.

    Raises:
        ValueError: different feature lengths, or fewer than two vectors in either.
    """
    if a.dim != b.dim:
        raise ValueError(f"the feature spaces differ: {a.dim} and {b.dim} features")
    cov_a, cov_b = a.covariance, b.covariance
    cross = np.linalg.svd(_sqrt_psd(cov_a) @ _sqrt_psd(cov_b), compute_uv=False).sum()
    distance = np.sum((a.mean - b.mean) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross
    return float(max(distance, 0.0))


def _sqrt_psd(matrix: np.ndarray) -> np.ndarray:
    """Square root of a symmetric positive semi-definite matrix (D, D); eigenvalues below 0 are rounding noise."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T)


def real_vs_real_baseline(real: np.ndarray, n: int, seed: int = 0, repeats: int = 10) -> float:
    """Return the mean distance of two disjoint random sets of n REAL clips: what a perfect generator would score.

    Args:
        real: (N, D) features of independent clips (one per patient), N >= 2 n.
        n: clips in each set, the same n as in the score that this stands beside; >= 2.
        seed: root seed of the splits.
        repeats: number of random splits.

    Raises:
        ValueError: too few clips for two disjoint sets of n.
    """
    pairs = _disjoint_pairs(real, n, seed, repeats)
    return float(np.mean([frechet_distance(GaussianStats.of(a), GaussianStats.of(b)) for a, b in pairs]))


def _disjoint_pairs(real: np.ndarray, n: int, seed: int, repeats: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if n < 2 or len(real) < 2 * n or repeats < 1:
        raise ValueError(f"two disjoint sets of {n} clips (at least 2) need {2 * n} real clips, got {len(real)}")
    for repeat in range(repeats):
        order = np.random.default_rng(derive_seed(seed, "real-vs-real", repeat)).permutation(len(real))
        yield real[order[:n]], real[order[n : 2 * n]]


@dataclass(frozen=True)
class FeatureDistance:
    """Distances of generated from real clips in one named feature space, all at the same n.

    Attributes:
        name: score name with extractor and n, e.g. "fd[judge:uniformer;n=200]".
        n: clips on each side of every distance.
        dim: feature length D.
        frechet: squared Fréchet distance, generated to real.
        frechet_real: the same of real to real, the floor.
        kernel: unbiased kernel distance, generated to real; can be slightly below 0.
        kernel_real: the same of real to real, near 0.
    """

    name: str
    n: int
    dim: int
    frechet: float
    frechet_real: float
    kernel: float
    kernel_real: float

    @property
    def ratio(self) -> float:
        """Fréchet distance in units of the real-vs-real floor; 1 is perfect at this n. NaN where the floor is 0."""
        return self.frechet / self.frechet_real if self.frechet_real > 0 else float("nan")

    @property
    def full_rank(self) -> bool:
        """Whether n exceeds D; if not, the covariances are singular and the Fréchet distance is mostly bias."""
        return self.n > self.dim

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON."""
        return {**vars(self), "ratio": none_if_undefined(self.ratio), "full_rank": self.full_rank}


def compare_features(
    real: np.ndarray, generated: np.ndarray, features_name: str, seed: int = 0, repeats: int = 10
) -> FeatureDistance:
    """Compare generated with real clips at the largest n for which a baseline at the same n exists.

    n = min(len(generated), len(real) // 2); the score and its baseline are means over the same random real sets.

    Args:
        real: (N, D) features of real clips, one per patient.
        generated: (M, D) features of generated clips.
        features_name: name of the feature space, e.g. "judge:uniformer".
        seed: root seed of the subsets.
        repeats: number of random subsets.

    Raises:
        ValueError: fewer than 4 real or 2 generated clips, or different feature lengths.
    """
    n = min(len(generated), len(real) // 2)
    rows = []
    for repeat, (first, second) in enumerate(_disjoint_pairs(real, n, seed, repeats)):
        order = np.random.default_rng(derive_seed(seed, "generated", repeat)).permutation(len(generated))
        sample = generated[order[:n]]
        stats = GaussianStats.of(first)
        rows.append(
            (
                frechet_distance(stats, GaussianStats.of(sample)),
                frechet_distance(stats, GaussianStats.of(second)),
                kernel_distance(first, sample),
                kernel_distance(first, second),
            )
        )
    frechet, frechet_real, kernel, kernel_real = np.mean(rows, axis=0).tolist()
    name = f"fd[{features_name};n={n}]"
    return FeatureDistance(name, n, int(real.shape[1]), frechet, frechet_real, kernel, kernel_real)

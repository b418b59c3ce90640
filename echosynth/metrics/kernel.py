"""The unbiased kernel distance: squared maximum mean discrepancy with the cubic polynomial kernel.

    k(x, y) = (x.y / D + 1)^3        MMD^2 = mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean k(a_i, b_j)

Source: Gretton et al., JMLR 13 (2012), eq. 3; as a score of generators: Binkowski et al., ICLR 2018. Its expectation
does not depend on n, unlike the Fréchet distance, so it is the score to read first with a few hundred clips. It is
called KID in Inception features only.
"""

import numpy as np


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return MMD^2 of two sets of feature vectors; 0 in expectation for equal distributions, can be below 0.

    Args:
        a: (n, D) features, n >= 2.
        b: (m, D) features, m >= 2.

    Raises:
        ValueError: fewer than two vectors, or different feature lengths.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"need (n, D) and (m, D) with n, m >= 2, got {a.shape} and {b.shape}")
    return _mean_off_diagonal(_kernel(a, a)) + _mean_off_diagonal(_kernel(b, b)) - 2.0 * float(_kernel(a, b).mean())


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a @ b.T / a.shape[1] + 1.0) ** 3)


def _mean_off_diagonal(gram: np.ndarray) -> float:
    n = len(gram)
    return float((gram.sum() - np.trace(gram)) / (n * (n - 1)))

"""Agreement of the ejection fraction asked for (t) with the one that a regressor measures (m), both in per cent.

    R2    = 1 - sum (t - m)^2 / sum (t - mean t)^2       coefficient of determination of target against measurement
    MAE   = mean |m - t|        RMSE = sqrt(mean (m - t)^2)        bias = mean (m - t)
    slope = cov(t, m) / var(t)  of the least-squares line m ~ t; below 1 means that outputs shrink towards the mean

R2, MAE and RMSE are those of EchoDiffusion (Reynaud et al., MICCAI 2023, table 1), which can be negative; `pearson_r`
is the correlation, which cannot see a bias. Intervals are 95 % by patient bootstrap. `best_of_k` is a separate result:
it lets the scoring regressor choose among k samples and so is optimistic by construction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from echosynth.metrics.bootstrap import Interval, PatientBootstrap

SCORE_NAMES = ("r2", "mae", "rmse", "bias", "slope", "pearson_r")
BAND_WIDTH = 10.0
# Targets of a smaller variance (per cent squared) have no R2 or slope: the quotient would be rounding noise.
MIN_VARIANCE = 1e-9


@dataclass(frozen=True)
class DecileBias:
    """Mean of measured - target for targets in [low, high) per cent; the last band holds 100 too."""

    low: float
    high: float
    n: int
    bias: float


@dataclass(frozen=True)
class EFScores:
    """Agreement of target and measured EF. Errors in points of EF (per cent); undefined scores are NaN.

    Attributes:
        n: number of clips.
        n_patients: number of different patients.
        r2: 1 - SS_res / SS_tot, at most 1; NaN where all targets are the same.
        mae: mean absolute error.
        rmse: root mean squared error.
        bias: mean of measured - target.
        slope: slope of the line measured ~ target; NaN where all targets are the same.
        pearson_r: correlation, -1 to 1; NaN where target or measurement is constant.
        ci: 95 % interval of each score by patient bootstrap; empty with fewer than two patients.
        bias_by_decile: bias in the 10-point bands of the target that hold any clip, from low to high.
    """

    n: int
    n_patients: int
    r2: float
    mae: float
    rmse: float
    bias: float
    slope: float
    pearson_r: float
    ci: dict[str, Interval] = field(default_factory=dict)
    bias_by_decile: tuple[DecileBias, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON: NaN becomes None, intervals become [low, high]."""
        return {
            "n": self.n,
            "n_patients": self.n_patients,
            **{name: none_if_undefined(getattr(self, name)) for name in SCORE_NAMES},
            "ci": {name: [none_if_undefined(low), none_if_undefined(high)] for name, (low, high) in self.ci.items()},
            "bias_by_decile": [vars(band) for band in self.bias_by_decile],
        }


@dataclass(frozen=True)
class BestOfK:
    """Scores of the best of up to k samples per target, chosen by the very regressor that scores. Optimistic."""

    k: int
    scores: EFScores

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON that says how it was chosen."""
        return {"k": self.k, "chosen_by": "the scoring judge (optimistic)", **self.scores.to_dict()}


def compute_ef_scores(
    target: ArrayLike, measured: ArrayLike, patients: Sequence[str], n_bootstrap: int = 1000, seed: int = 0
) -> EFScores:
    """Score measured against target EF.

    Args:
        target: (n,) the EF asked for, per cent, 0-100.
        measured: (n,) the EF found in the clips, per cent, finite.
        patients: n patient names; clips of one patient are resampled together.
        n_bootstrap: bootstrap draws, >= 1.
        seed: root seed of the draws.

    Raises:
        ValueError: empty or unequal inputs, a target outside 0-100, or a value that is not finite.
    """
    t = np.asarray(target, dtype=np.float64)
    m = np.asarray(measured, dtype=np.float64)
    if t.ndim != 1 or t.shape != m.shape or len(t) != len(patients) or len(t) == 0:
        raise ValueError(f"need equal non-empty vectors, got {t.shape}, {m.shape} and {len(patients)} patients")
    if not (np.isfinite(t).all() and np.isfinite(m).all()):
        raise ValueError("target and measured EF must be finite")
    if t.min() < 0 or t.max() > 100:
        raise ValueError(f"target EF is in per cent, 0-100, got {t.min():g} to {t.max():g}")

    table = _moment_table(t, m)
    values = _scores_from_sums(table.sum(axis=0))
    bootstrap = PatientBootstrap.draw(patients, n_bootstrap, seed)
    ci: dict[str, Interval] = {}
    if bootstrap.n_patients > 1:
        draws = _scores_from_sums(bootstrap.draw_sums(table))
        ci = {name: bootstrap.interval(draws[name]) for name in SCORE_NAMES}
    return EFScores(
        n=len(t),
        n_patients=bootstrap.n_patients,
        ci=ci,
        bias_by_decile=bias_by_decile(t, m),
        **{name: float(values[name]) for name in SCORE_NAMES},
    )


def best_of_k(
    target: ArrayLike,
    measured: ArrayLike,
    patients: Sequence[str] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> BestOfK:
    """Score, for every target, the sample whose measured EF is nearest to it.

    Args:
        target: (n,) EF asked for, per cent.
        measured: (n, k) EF of k samples of each target, per cent; NaN where a target has fewer than k samples.
        patients: n patient names; without them every row is a patient.
        n_bootstrap: bootstrap draws.
        seed: root seed of the draws.

    Raises:
        ValueError: wrong shapes, or a row without any measurement.
    """
    t = np.asarray(target, dtype=np.float64)
    m = np.asarray(measured, dtype=np.float64)
    if m.ndim != 2 or t.shape != m.shape[:1] or m.shape[1] == 0:
        raise ValueError(f"need targets (n,) and measurements (n, k), got {t.shape} and {m.shape}")
    error = np.where(np.isnan(m), np.inf, np.abs(m - t[:, None]))
    if not np.isfinite(error.min(axis=1)).all():
        raise ValueError("every target needs at least one finite measurement")
    best = m[np.arange(len(t)), error.argmin(axis=1)]
    names = [str(row) for row in range(len(t))] if patients is None else patients
    return BestOfK(k=m.shape[1], scores=compute_ef_scores(t, best, names, n_bootstrap, seed))


def bias_by_decile(target: np.ndarray, measured: np.ndarray) -> tuple[DecileBias, ...]:
    """Return the bias in each 10-point band of the target (n,) that holds any clip; EF in per cent, 0-100."""
    band = np.minimum(target // BAND_WIDTH, 9).astype(int)
    return tuple(
        DecileBias(
            low=float(BAND_WIDTH * number),
            high=float(BAND_WIDTH * (number + 1)),
            n=int((band == number).sum()),
            bias=float((measured - target)[band == number].mean()),
        )
        for number in np.unique(band)
    )


def none_if_undefined(value: float) -> float | None:
    """Map NaN and infinities, which JSON does not have, to None."""
    return float(value) if np.isfinite(value) else None


def _moment_table(t: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Return (n, 8) terms whose sums give every score; centred at the mean target, so that no digits cancel."""
    centre = t.mean()
    t, m = t - centre, m - centre
    return np.stack([np.ones_like(t), t, m, t * t, m * m, t * m, np.abs(m - t), (m - t) ** 2], axis=1)


def _scores_from_sums(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Map sums (..., 8) of the moment table to scores (...,), NaN where undefined."""
    n, t, m, tt, mm, tm, absolute, squared = np.moveaxis(sums, -1, 0)
    var_t, var_m, cov = tt / n - (t / n) ** 2, mm / n - (m / n) ** 2, tm / n - (t / n) * (m / n)
    # A where() on the divisor, not on the quotient, so that no division by zero is ever made.
    safe_t = np.where(var_t > MIN_VARIANCE, var_t, np.nan)
    safe_m = np.where(var_m > MIN_VARIANCE, var_m, np.nan)
    return {
        "r2": 1.0 - squared / n / safe_t,
        "mae": absolute / n,
        "rmse": np.sqrt(squared / n),
        "bias": (m - t) / n,
        "slope": cov / safe_t,
        "pearson_r": np.clip(cov / np.sqrt(safe_t * safe_m), -1.0, 1.0),
    }

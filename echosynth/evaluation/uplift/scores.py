"""Errors of the arms, and what each differs from the arm of real clips, with intervals. Pure: readings in, numbers out.

Errors are a table of repetitions and patients, the same of every arm. A draw of the bootstrap takes repetitions and
patients with replacement, for both arms the same ones; the difference of two arms is the mean over the draw. Intervals
are percentiles, p is twice the smaller share of draws on one side of zero, and Holm's procedure corrects it for the
number of arms compared.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from echosynth.cardiac.ejection_fraction import REDUCED_EF
from echosynth.metrics.clinical import auroc
from echosynth.seeding import derive_seed

THRESHOLDS = (40.0, 50.0)


@dataclass(frozen=True)
class Difference:
    """What an arm's mean absolute error differs from the reference's, points of EF; below 0 the arm is better.

    Attributes:
        mean: over repetitions and patients.
        low: lower end of the 95 % interval.
        high: upper end.
        p: two-sided, of no difference.
        p_holm: corrected for the number of arms.
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float = 1.0


@dataclass(frozen=True)
class ArmScores:
    """How well an arm's regressors read the patients of a test; means over repetitions, EF in points.

    Attributes:
        mae: mean absolute error.
        mae_reduced: the same of patients of EF below 40; None if there is none.
        rmse: root mean squared error.
        bias: mean error.
        r2: coefficient of determination.
        slope: of measured on true EF.
        auroc: threshold of EF -> area under the curve; None where one side is empty.
        difference: of `mae` from the reference arm; None of that arm itself.
        difference_reduced: of `mae_reduced`.
    """

    mae: float
    mae_reduced: float | None
    rmse: float
    bias: float
    r2: float
    slope: float
    auroc: dict[str, float | None]
    difference: Difference | None = None
    difference_reduced: Difference | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def score_arms(
    truth: np.ndarray, read: Mapping[str, np.ndarray], reference: str, n_bootstrap: int = 2000, seed: int = 0
) -> dict[str, ArmScores]:
    """Score every arm on the same patients.

    Args:
        truth: EF of every patient, per cent, (P,).
        read: arm -> what its regressors read, (S, P), one row a repetition.
        reference: the arm that the others are compared with.
        n_bootstrap: draws.
        seed: root seed of the draws.

    Returns:
        Scores by arm, in the order of `read`.

    Raises:
        ValueError: the tables are not of one shape.
    """
    shape = read[reference].shape
    if any(table.shape != shape for table in read.values()) or shape[1] != len(truth):
        raise ValueError(f"every arm must have {shape[0]} rows of {len(truth)} patients")
    reduced = truth < REDUCED_EF
    draws = _draw(len(read[reference]), len(truth), n_bootstrap, seed)
    draws_reduced = _draw(len(read[reference]), int(reduced.sum()), n_bootstrap, seed) if reduced.any() else None
    errors = {arm: np.abs(table - truth) for arm, table in read.items()}
    others = [arm for arm in read if arm != reference]
    all_patients = {arm: _compare(errors[arm] - errors[reference], *draws) for arm in others}
    few = {}
    if draws_reduced is not None:
        few = {arm: _compare((errors[arm] - errors[reference])[:, reduced], *draws_reduced) for arm in others}
    all_patients, few = correct_by_holm(all_patients), correct_by_holm(few)
    return {arm: _score(truth, table, reduced, all_patients.get(arm), few.get(arm)) for arm, table in read.items()}


def _score(
    truth: np.ndarray, table: np.ndarray, reduced: np.ndarray, all_patients: Difference | None, few: Difference | None
) -> ArmScores:
    error = table - truth
    spread = float(((truth - truth.mean()) ** 2).sum())
    areas = {f"{t:g}": float(np.mean([auroc(truth, row, t) for row in table])) for t in THRESHOLDS}
    return ArmScores(
        mae=float(np.abs(error).mean()),
        mae_reduced=float(np.abs(error[:, reduced]).mean()) if reduced.any() else None,
        rmse=float(np.sqrt((error**2).mean(1)).mean()),
        bias=float(error.mean()),
        r2=float(np.mean(1 - (error**2).sum(1) / spread)) if spread else float("nan"),
        slope=float(np.mean([np.polyfit(truth, row, 1)[0] for row in table])) if spread else float("nan"),
        auroc={name: None if np.isnan(area) else area for name, area in areas.items()},
        difference=all_patients,
        difference_reduced=few,
    )


def _draw(repetitions: int, patients: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each repetition and each patient is in each draw: (count, S) and (count, P)."""
    generator = np.random.default_rng(derive_seed(seed, "uplift bootstrap", repetitions, patients))
    rows = generator.multinomial(repetitions, np.full(repetitions, 1 / repetitions), count)
    columns = generator.multinomial(patients, np.full(patients, 1 / patients), count)
    return rows / repetitions, columns / patients


def _compare(difference: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Difference:
    """The mean of a table (S, P), and how sure it is."""
    means = np.einsum("ds,sp,dp->d", rows, difference, columns, optimize=True)
    low, high = np.quantile(means, [0.025, 0.975])
    one_side = min((means <= 0).mean(), (means >= 0).mean())
    # A share of draws cannot be known more finely than one of them.
    p = min(1.0, 2 * max(float(one_side), 1 / len(means)))
    return Difference(float(difference.mean()), float(low), float(high), p)


def correct_by_holm(found: Mapping[str, Difference]) -> dict[str, Difference]:
    """Fill in `p_holm`: the k-th smallest of m p-values times m - k + 1, never below the one before it."""
    corrected, largest = {}, 0.0
    for k, (arm, one) in enumerate(sorted(found.items(), key=lambda item: item[1].p)):
        largest = max(largest, min(1.0, one.p * (len(found) - k)))
        corrected[arm] = Difference(one.mean, one.low, one.high, one.p, largest)
    return corrected

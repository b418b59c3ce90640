"""The patient bootstrap: resample whole patients, because clips of one patient are not independent.

A draw takes P of the P patients with replacement; every clip of a patient comes along as often as the patient was
drawn. Scores that are functions of sums need only the (draws, P) table of counts: sums of a draw = counts @ per-patient
sums. Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), ch. 13 (percentile interval); cluster
resampling as in Field & Welsh, JRSS-B 69 (2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from echosynth.seeding import derive_seed

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class PatientBootstrap:
    """Draws of patients, made once and used for every score of the same samples.

    Attributes:
        counts: int64 (draws, P), how often each patient is in each draw; every row sums to P.
        index: int64 (n,), the patient number 0..P-1 of each sample.
    """

    counts: np.ndarray
    index: np.ndarray

    @classmethod
    def draw(cls, patients: Sequence[str], n_bootstrap: int = 1000, seed: int = 0) -> "PatientBootstrap":
        """Draw from the patient names of n samples.

        Patients are sorted by name first, so the draws do not depend on the order of the samples.

        Args:
            patients: n patient names, repeated where a patient has more than one sample.
            n_bootstrap: number of draws, >= 1.
            seed: root seed.

        Raises:
            ValueError: no samples, or fewer than one draw.
        """
        if len(patients) == 0 or n_bootstrap < 1:
            raise ValueError(f"need at least one sample and one draw, got {len(patients)} and {n_bootstrap}")
        names, index = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
        generator = np.random.default_rng(derive_seed(seed, "patient-bootstrap"))
        counts = generator.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=n_bootstrap)
        return cls(counts=counts, index=index)

    @property
    def n_patients(self) -> int:
        """Number of different patients P."""
        return int(self.counts.shape[1])

    def patient_sums(self, values: np.ndarray) -> np.ndarray:
        """Sum the rows of `values` (n, S) within each patient: float64 (P, S)."""
        sums = np.zeros((self.n_patients, values.shape[1]))
        np.add.at(sums, self.index, values)
        return sums

    def draw_sums(self, values: np.ndarray) -> np.ndarray:
        """Sum the rows of `values` (n, S) within each draw: float64 (draws, S)."""
        return np.asarray(self.counts @ self.patient_sums(values))

    def interval(self, draws: np.ndarray, level: float = 0.95) -> Interval:
        """Return the percentile interval of a score's value in each draw, (draws,).

        Draws in which the score is undefined (NaN, e.g. R2 of one patient drawn P times) are left out.
        """
        finite = draws[np.isfinite(draws)]
        if len(finite) == 0:
            return (float("nan"), float("nan"))
        low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
        return (float(low), float(high))

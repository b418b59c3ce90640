"""Clinical scores of measured EF: the error in each range of EF, and how well a reduced EF is detected.

AUROC at a threshold   chance that a clip of true EF at or below it is given a lower EF than one above it; ties half
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from echosynth.cardiac.ejection_fraction import REDUCED_EF
from echosynth.metrics.ef_metrics import none_if_undefined

BANDS = (0.0, 30.0, 40.0, 50.0, 60.0, 100.0)  # per cent
THRESHOLDS = (35.0, 40.0, 45.0, 50.0)


@dataclass(frozen=True)
class BandError:
    """Error of the clips whose true EF lies in [low, high) per cent; the last band holds 100 too."""

    low: float
    high: float
    n: int
    bias: float
    mae: float


def error_by_band(truth: ArrayLike, measured: ArrayLike, bands: Sequence[float] = BANDS) -> list[BandError]:
    """Bias and mean absolute error in each band that holds any clip; EF (n,) in per cent."""
    t, m = np.asarray(truth, float), np.asarray(measured, float)
    found = []
    for low, high in pairwise(bands):
        inside = (t >= low) & ((t < high) | (high == bands[-1]))
        if inside.any():
            error = (m - t)[inside]
            found.append(BandError(low, high, int(inside.sum()), float(error.mean()), float(np.abs(error).mean())))
    return found


def auroc(truth: ArrayLike, measured: ArrayLike, threshold: float) -> float:
    """How well measured EF detects a true EF at or below `threshold`: 0.5 is chance, NaN if one side is empty."""
    t, m = np.asarray(truth, float), np.asarray(measured, float)
    reduced = t <= threshold
    return float(roc_auc_score(reduced, -m)) if 0 < reduced.sum() < len(reduced) else float("nan")


def score_calls(truth: ArrayLike, called: ArrayLike) -> dict[str, float | None]:
    """How well calls agree with what is true, bool (n,) each.

    Returns:
        Accuracy, precision, recall (sensitivity), specificity, F1, and "majority": the accuracy of always giving the
        commoner answer, without which accuracy means little. None where undefined.
    """
    true, said = np.asarray(truth, bool), np.asarray(called, bool)
    hits, passed = int((true & said).sum()), int((~true & ~said).sum())
    positives, calls = int(true.sum()), int(said.sum())
    return {
        "accuracy": (hits + passed) / len(true),
        "majority": max(positives, len(true) - positives) / len(true),
        "precision": hits / calls if calls else None,
        "recall": hits / positives if positives else None,
        "specificity": passed / (len(true) - positives) if positives < len(true) else None,
        "f1": 2 * hits / (positives + calls) if positives or calls else None,
    }


def clinical_scores(truth: ArrayLike, measured: ArrayLike) -> dict[str, Any]:
    """All of them, as plain values, None where undefined.

    Returns:
        {"bands": [...], "auroc": {"35": ...}, "reduced": {...}, "mean_mae": the error of always saying the mean}.
    """
    true = np.asarray(truth, float)
    return {
        "reduced": score_calls(true <= REDUCED_EF, np.asarray(measured, float) <= REDUCED_EF),
        "mean_mae": float(np.abs(true - true.mean()).mean()),
        "bands": [asdict(band) for band in error_by_band(truth, measured)],
        "auroc": {f"{at:g}": none_if_undefined(auroc(truth, measured, at)) for at in THRESHOLDS},
    }


def conformal_margin(errors: ArrayLike, coverage: float = 0.9) -> float:
    """Half width that holds the truth of a new clip with at least this chance, from held-out errors (n,) of its kind.

    Split conformal prediction (Vovk 2005; Lei 2018): the ceil((n + 1) coverage)-th smallest error. With too few errors
    for any promise it is 100, which holds every EF.
    """
    absolute = np.sort(np.abs(np.asarray(errors, float)))
    rank = int(np.ceil((len(absolute) + 1) * coverage))
    return float(absolute[rank - 1]) if rank <= len(absolute) else 100.0

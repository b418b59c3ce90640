"""Linear probe: what a frozen regressor's embedding knows of a fact that it was never taught, e.g. an infarction.

    P(fact) = sigmoid(w . z + b)        z: embedding, each feature standardised over the training patients
    loss    = sum of cross entropies + |w|^2 / 2

Cross-validated over patients: no patient's clips are on both sides of a split.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from echosynth.metrics.clinical import score_calls

PredictFold = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Indices of the clips to learn from and of those to predict -> logits of the latter."""


def fit_probe(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (D,) and offset of the probe of features that are not standardised: (N, D) and bool (N,)."""
    scaler = StandardScaler().fit(features.astype(np.float64))
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(scaler.transform(features), labels)
    weights = model.coef_[0] / scaler.scale_
    return weights, float(model.intercept_[0] - weights @ scaler.mean_)


def split_patients(patients: Sequence[str], folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of the clips to learn from and of those to predict, fold by fold.

    The clips of a patient are in one fold, and folds hold equally many patients.

    Raises:
        ValueError: fewer patients than folds.
    """
    if len(set(patients)) < folds:
        raise ValueError(f"{folds} folds need as many patients, got {len(set(patients))}")
    splits = GroupKFold(folds, shuffle=True, random_state=0)
    yield from splits.split(np.zeros(len(patients)), groups=np.array(patients))


def cross_validate(
    labels: Sequence[bool], patients: Sequence[str], folds: int, predict_fold: PredictFold
) -> dict[str, Any]:
    """Score a predictor of a fact; each clip is predicted by what was learnt from other patients.

    Args:
        labels: (N,) whether the fact holds.
        patients: (N,) whose clips they are.
        folds: number of parts.
        predict_fold: learns from some clips and predicts the others.

    Returns:
        n, positives, AUROC and what `score_calls` says, over all clips.

    Raises:
        ValueError: fewer patients than folds, or a fold leaves clips of one kind only to learn from.
    """
    truth, logits = np.array(labels, bool), np.zeros(len(labels))
    for known, out in split_patients(patients, folds):
        if truth[known].all() or not truth[known].any():
            raise ValueError("clips of both kinds are needed in every part that is learnt from")
        logits[out] = predict_fold(known, out)
    counts = {"n": len(truth), "positives": int(truth.sum()), "auroc": float(roc_auc_score(truth, logits))}
    return counts | score_calls(truth, logits > 0)


def probe_embeddings(
    features: np.ndarray, labels: Sequence[bool], patients: Sequence[str], folds: int = 5
) -> dict[str, Any]:
    """Cross-validate a linear probe of embeddings (N, D); see `cross_validate`."""
    truth = np.array(labels, bool)

    def predict_fold(known: np.ndarray, out: np.ndarray) -> np.ndarray:
        weights, offset = fit_probe(features[known], truth[known])
        return np.asarray(features[out].astype(np.float64) @ weights + offset)

    return cross_validate(labels, patients, folds, predict_fold)

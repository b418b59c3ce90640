"""Linear probe: what a frozen regressor's embedding knows of something that it was never taught, e.g. an infarction.

    chance = sigmoid(w . z + b)        z: embedding, each feature by its mean and spread over the training patients
    loss = cross entropy + |w|^2 / (2 n)

Cross-validated over patients: nobody's clips are on both sides.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from echosynth.metrics.clinical import auroc, score_calls
from echosynth.metrics.ef_metrics import none_if_undefined
from echosynth.seeding import derive_seed

STEPS = 100  # of L-BFGS, which stops by itself long before


def fit_logistic(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Weights and, last, the offset of a logistic regression: float64 (N, D) and bool (N,) -> (D + 1,)."""
    truth = labels.to(features)
    w = torch.zeros(features.shape[1] + 1, dtype=features.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], 1, STEPS, None, 1e-9, 1e-14, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        miss = F.binary_cross_entropy_with_logits(features @ w[:-1] + w[-1], truth)
        total = miss + w[:-1].square().sum() / (2 * len(truth))
        total.backward()
        return total

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return w.detach()


def deal_patients(patients: Sequence[str], folds: int) -> np.ndarray:
    """A fold for each clip, (N,) from 0; the clips of a patient share one, and folds hold equally many patients."""
    names = sorted(set(patients), key=lambda name: derive_seed(0, "fold", name))
    fold = {name: k % folds for k, name in enumerate(names)}
    return np.array([fold[name] for name in patients])


def standardise_and_fit(features: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A probe of features as they are: float64 (N, D) and bool (N,) -> weights (D,) and offset ()."""
    middle, spread = features.mean(0), features.std(0).clamp_min(1e-6)
    w = fit_logistic((features - middle) / spread, labels)
    weights = w[:-1] / spread
    return weights, w[-1] - weights @ middle


def cross_validate(
    labels: Sequence[bool],
    patients: Sequence[str],
    folds: int,
    judge: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> dict[str, Any]:
    """Score a way to tell something, each clip judged by what has learnt from other patients.

    Args:
        labels: (N,) what is to be told.
        patients: (N,) whose clips they are.
        folds: how many parts.
        judge: from indices of the clips to learn from and of those to judge to the log odds (M,) of the latter.

    Returns:
        n, positives, AUROC and what `score_calls` says, over all clips.

    Raises:
        ValueError: fewer patients than folds, or a fold leaves clips of one kind only to learn from.
    """
    truth = torch.tensor(list(labels))
    if len(set(patients)) < folds:
        raise ValueError(f"{folds} folds need as many patients, got {len(set(patients))}")
    dealt, odds = torch.from_numpy(deal_patients(patients, folds)), torch.zeros(len(truth), dtype=torch.float64)
    for fold in range(folds):
        known, out = (dealt != fold).nonzero()[:, 0], (dealt == fold).nonzero()[:, 0]
        if truth[known].all() or not truth[known].any():
            raise ValueError("clips of both kinds are needed in every part that is learnt from")
        odds[out] = judge(known, out).double()
    true, found = truth.numpy(), odds.numpy()
    area = auroc(np.where(true, 0.0, 1.0), -found, 0.5)
    counts = {"n": len(true), "positives": int(true.sum()), "auroc": none_if_undefined(area)}
    return counts | score_calls(true, found > 0)


def probe(features: np.ndarray, labels: Sequence[bool], patients: Sequence[str], folds: int = 5) -> dict[str, Any]:
    """Cross-validate a linear probe of embeddings (N, D); see `cross_validate`."""
    x, truth = torch.from_numpy(features).double(), torch.tensor(list(labels))

    def judge(known: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        weights, offset = standardise_and_fit(x[known], truth[known])
        return x[out] @ weights + offset

    return cross_validate(labels, patients, folds, judge)

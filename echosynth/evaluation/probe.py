"""Linear probe: what a frozen regressor's embedding knows of something that it was never taught, e.g. an infarction.

    chance = sigmoid(w . z + b)        z: embedding, each feature by its mean and spread over the training patients
    loss = cross entropy + |w|^2 / (2 n)

Cross-validated over patients: nobody's clips are on both sides.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from echosynth.evaluation.clinical import auroc, score_calls
from echosynth.evaluation.ef_metrics import none_if_undefined
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


def probe(features: np.ndarray, labels: Sequence[bool], patients: Sequence[str], folds: int = 5) -> dict[str, Any]:
    """Cross-validate a linear probe.

    Args:
        features: (N, D) embeddings.
        labels: (N,) what is to be told.
        patients: (N,) whose clips they are.
        folds: how many parts.

    Returns:
        n, positives, AUROC and what `score_calls` says, over all clips, each judged by the fold that did not see it.

    Raises:
        ValueError: fewer patients than folds, or a fold leaves clips of one kind only to learn from.
    """
    x, truth = torch.from_numpy(features).double(), torch.tensor(list(labels))
    if len(set(patients)) < folds:
        raise ValueError(f"{folds} folds need as many patients, got {len(set(patients))}")
    dealt, chance = deal_patients(patients, folds), torch.zeros(len(truth), dtype=torch.float64)
    for fold in range(folds):
        out = torch.from_numpy(dealt == fold)
        known = truth[~out]
        if known.all() or not known.any():
            raise ValueError("clips of both kinds are needed in every part that is learnt from")
        middle, spread = x[~out].mean(0), x[~out].std(0).clamp_min(1e-6)
        w = fit_logistic((x[~out] - middle) / spread, known)
        chance[out] = (((x[out] - middle) / spread) @ w[:-1] + w[-1]).sigmoid()
    true, found = truth.numpy(), chance.numpy()
    area = auroc(np.where(true, 0.0, 1.0), -found, 0.5)
    counts = {"n": len(true), "positives": int(true.sum()), "auroc": none_if_undefined(area)}
    return counts | score_calls(true, found > 0.5)

"""Fine-tuning a regressor to predict another fact, e.g. an infarction: first a linear probe, then the whole network.

The new head starts from the probe's weights, so that the first steps do not distort the encoder's features for the sake
of a random head (Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features). Running statistics of batch
normalisation stay as they are, because the sets are small. With no steps the result is the probe's.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from echosynth.evaluation.linear_probe import cross_validate, fit_probe
from echosynth.regression.base import EFRegressor
from echosynth.seeding import make_generator

BATCH, RATE, DECAY = 8, 1e-4, 0.01


def fine_tune(
    regressor: EFRegressor,
    windows: Sequence[torch.Tensor],
    labels: Sequence[bool],
    patients: Sequence[str],
    folds: int = 5,
    steps: int = 200,
    on_step: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Cross-validate a fine-tuned copy of a regressor; the regressor itself stays as it is.

    Args:
        regressor: to start from.
        windows: of each clip, (W, 1, T, H, W) in [-1, 1], see `EFRegressor.windows`.
        labels: whether the fact holds, of each clip.
        patients: whose clips they are.
        folds: parts of the cross-validation.
        steps: of AdamW per fold.
        on_step: called after every step.

    Returns:
        See `cross_validate`.
    """
    truth = torch.tensor(list(labels))

    def predict_fold(known: np.ndarray, out: np.ndarray) -> np.ndarray:
        model = deepcopy(regressor).float().eval().requires_grad_(True)
        features = np.stack([_embed(model, windows[k]).double().numpy() for k in known])
        weights, offset = _start_head(features, truth[known].numpy(), model.device)
        optimizer = torch.optim.AdamW([*model.parameters(), weights, offset], RATE, weight_decay=DECAY)
        for step in range(steps):
            draw = make_generator(0, "fine-tuning", step)
            picks = known[torch.randint(len(known), (BATCH,), generator=draw).numpy()].tolist()
            chosen = [windows[k][int(torch.randint(len(windows[k]), (1,), generator=draw))] for k in picks]
            logits = model.features(torch.stack(chosen).to(model.device)) @ weights + offset
            loss = F.binary_cross_entropy_with_logits(logits, truth[picks].to(logits))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            on_step()
        head, shift = weights.detach().cpu(), float(offset.detach())
        return np.array([float(_embed(model, windows[k]) @ head) + shift for k in out])

    return cross_validate(labels, patients, folds, predict_fold)


def _start_head(features: np.ndarray, labels: np.ndarray, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The probe's weights (D,) and offset () as parameters."""
    weights, offset = fit_probe(features, labels)
    return (
        torch.tensor(weights, dtype=torch.float32, device=device, requires_grad=True),
        torch.tensor(offset, dtype=torch.float32, device=device, requires_grad=True),
    )


@torch.no_grad()
def _embed(model: EFRegressor, windows: torch.Tensor) -> torch.Tensor:
    """Features of a clip, mean over its windows, (D,) on the CPU."""
    return model.features(windows.to(model.device)).mean(0).cpu()

"""Fine-tuning a regressor to tell something else, e.g. an infarction: first a linear probe, then everything.

The probe's weights are where the new head starts, so that the first steps do not tear up an encoder for the sake of a
head that knows nothing (Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features). Running statistics of batch
normalisation stay as they are: the sets are small. With no steps it is the probe.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F

from echosynth.evaluation.probe import cross_validate, standardise_and_fit
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
    seed: int = 0,
    on_step: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Cross-validate a fine-tuned copy of a regressor; the regressor itself stays as it is.

    Args:
        regressor: to start from.
        windows: of each clip, (W, 1, T, H, W) in [-1, 1], see `EFRegressor.windows`.
        labels: what is to be told.
        patients: whose clips they are.
        folds: parts of the cross-validation.
        steps: of AdamW per fold.
        seed: of the batches.
        on_step: called after every step.

    Returns:
        See `cross_validate`.
    """
    truth = torch.tensor(list(labels))

    def judge(known: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        model = deepcopy(regressor).float().eval().requires_grad_(True)
        device = model.device
        with torch.no_grad():
            seen = torch.stack([_embed(model, windows[k]) for k in known.tolist()]).double()
        weights, offset = (w.float().to(device) for w in standardise_and_fit(seen, truth[known]))
        weights.requires_grad_(True)
        offset.requires_grad_(True)
        optimizer = torch.optim.AdamW([*model.parameters(), weights, offset], RATE, weight_decay=DECAY)
        for step in range(steps):
            draw = make_generator(seed, "fine-tuning", step)
            picks = known[torch.randint(len(known), (BATCH,), generator=draw)].tolist()
            chosen = [windows[k][int(torch.randint(len(windows[k]), (1,), generator=draw))] for k in picks]
            odds = model.features(torch.stack(chosen).to(device)) @ weights + offset
            loss = F.binary_cross_entropy_with_logits(odds, truth[picks].to(odds))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if on_step is not None:
                on_step()
        with torch.no_grad():
            return torch.stack([_embed(model, windows[k]) @ weights.cpu() + offset.cpu() for k in out.tolist()])

    return cross_validate(labels, patients, folds, judge)


def _embed(model: EFRegressor, windows: torch.Tensor) -> torch.Tensor:
    """Features of a clip, mean over its windows, (D,) on the CPU."""
    return model.features(windows.to(model.device)).mean(0).cpu()

"""Fine-tuning: the probe if it has no steps, and able to learn what the frozen network does not show."""

from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from torch import nn

from echosynth.evaluation.fine_tune import fine_tune
from echosynth.evaluation.linear_probe import probe_embeddings
from echosynth.regression.base import EFRegressor


class Brightness(EFRegressor):
    """Sees the left half's brightness, and next to nothing of the right half's until it is trained."""

    @register_to_config
    def __init__(
        self, fps: float = 8.0, frames: int = 2, size: int = 8, mirrored: bool = False, error90: float = 9.0
    ) -> None:
        super().__init__()
        self.sides = nn.Parameter(torch.tensor([1.0, 5e-5]))

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        left, right = (half.mean((1, 2, 3, 4)) for half in x.chunk(2, dim=-1))
        return (self.sides[0] * left + 1000 * self.sides[1] * right)[:, None]


def make_clips(count: int = 40) -> dict[str, Any]:
    """The right half tells the label, the left one nothing."""
    draw = torch.Generator().manual_seed(0)
    labels = [k % 2 == 0 for k in range(count)]
    windows = 0.02 * torch.randn(count, 2, 1, 2, 8, 8, generator=draw)
    windows[..., :4] += torch.randn(count, 1, 1, 1, 1, 1, generator=draw)
    windows[..., 4:] += torch.where(torch.tensor(labels), 0.8, -0.8)[:, None, None, None, None, None]
    return {"windows": list(windows), "labels": labels, "patients": [f"p{k // 2}" for k in range(count)]}


def test_without_steps_it_is_the_probe() -> None:
    clips, regressor = make_clips(), Brightness()
    features = torch.stack([regressor.features(w).mean(0).detach() for w in clips["windows"]]).numpy()
    assert fine_tune(regressor, **clips, folds=4, steps=0) == probe_embeddings(
        features, clips["labels"], clips["patients"], 4
    )


def test_it_learns_what_the_frozen_network_does_not_show() -> None:
    clips, regressor = make_clips(), Brightness()
    before = regressor.sides.detach().clone()
    frozen, tuned = (fine_tune(regressor, **clips, folds=4, steps=steps) for steps in (0, 80))
    assert frozen["auroc"] < 0.8
    assert tuned["auroc"] > 0.95
    assert torch.equal(regressor.sides, before)  # it is a copy that learns

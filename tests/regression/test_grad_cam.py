"""Grad-CAM: hot where EF comes from and nowhere else, for every regressor at the size of the picture."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from echosynth.regression.grad_cam import grad_cam
from echosynth.regression.loading import REGRESSORS
from tests.regressors import SMALL


class Corner(nn.Module):
    """EF is what one corner shows in one frame."""

    contract = SimpleNamespace(frames=4, size=8)

    def __init__(self, by_frame: bool) -> None:
        super().__init__()
        self.by_frame, self.gradcam_layer = by_frame, nn.Identity()

    def forward(self, x: torch.Tensor) -> Any:
        maps = self.gradcam_layer(x.transpose(1, 2).flatten(0, 1) if self.by_frame else x)
        clips = maps.unflatten(0, (len(x), -1)).transpose(1, 2) if self.by_frame else maps
        return clips[:, 0, 2, :2, :2].sum(dim=(1, 2))


@pytest.mark.parametrize("by_frame", [False, True])
def test_heat_lies_where_ef_comes_from(by_frame: bool) -> None:
    x = torch.zeros(2, 1, 4, 8, 8)
    x[..., :2, :2] = 0.7  # bright in every frame, but one frame alone is read
    heat = grad_cam(Corner(by_frame), x, 8)
    assert (heat[:, 2, :2, :2] == 1).all()
    assert heat.sum() == heat[:, 2, :2, :2].sum()


@pytest.mark.parametrize("name", sorted(REGRESSORS))
def test_every_regressor_says_where_it_looks(name: str) -> None:
    torch.manual_seed(0)
    model = REGRESSORS[name](**SMALL[name]).eval()
    clips = torch.rand(2, 1, 8, 32, 32)
    heat = grad_cam(model, clips, 20)
    assert heat.shape == (2, 8, 20, 20)
    assert heat.min() >= 0
    assert heat.max() <= 1
    if name != "EchoE3Net":  # fresh, its correction alone has a gradient, and that of landmarks is cut
        assert (heat.amax(dim=(1, 2, 3)) > 0.5).all()
    torch.testing.assert_close(grad_cam(model, clips[:1], 20), heat[:1], atol=2e-3, rtol=0)
    assert all(p.grad is None for p in model.parameters())

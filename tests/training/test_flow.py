"""The flow laid on clips changes no area, knows no EF, and lets a clip be where there is none."""

import numpy as np
import torch

from echosynth.seeding import make_generator
from echosynth.training.clips.flow import FlowConfig, draw_flow, rotate_gradient
from echosynth.training.clips.transforms import JitteredViews, ViewJitter

TIME = torch.arange(16)[None].expand(6, -1) / 8
STILL = ViewJitter(rotate=0, scale=0, shift=0, gamma=0)


def test_a_turned_gradient_has_no_divergence() -> None:
    stream = torch.randn(3, 2, 40, 40, dtype=torch.float64, generator=make_generator(0))
    flow = rotate_gradient(stream)[..., 1:-1, 1:-1]
    along = flow[:, :, 0, 1:-1, 2:] - flow[:, :, 0, 1:-1, :-2]
    down = flow[:, :, 1, 2:, 1:-1] - flow[:, :, 1, :-2, 1:-1]
    assert float((along + down).abs().max()) < 1e-12
    assert float(flow.abs().max()) > 0.1


def test_areas_stay_what_they_were() -> None:
    size, config = 64, FlowConfig(share=1.0)
    axis = (torch.arange(size) + 0.5) / (size / 2) - 1
    far = ((axis[None] / 0.35) ** 2 + (axis[:, None] / 0.5) ** 2).sqrt()
    disc = (2 * torch.sigmoid((1 - far) * 12) - 1).expand(6, 16, size, size)
    flow = draw_flow(6, size, TIME, config, make_generator(1))
    shown = JitteredViews.draw(6, STILL, make_generator(0)).show(disc, flow)
    area = (shown > 0).float().sum(dim=(2, 3)) / (disc > 0).float().sum(dim=(2, 3))
    assert 0.93 < float(area.min()) <= float(area.max()) < 1.07
    moved = (shown - disc).abs().mean(dim=(2, 3))
    assert float(moved.mean()) > 0.02


def test_a_share_of_the_clips_stays() -> None:
    flow = draw_flow(400, 8, torch.zeros(400, 3), FlowConfig(share=0.7), make_generator(2))
    assert 0.62 < float((flow.abs().amax(dim=(1, 2, 3, 4)) > 0).float().mean()) < 0.78


def test_a_finer_picture_flows_as_far() -> None:
    coarse, fine = (
        draw_flow(300, size, TIME[:1].expand(300, -1), FlowConfig(), make_generator(3)) for size in (28, 56)
    )
    np.testing.assert_allclose(fine.std(), coarse.std(), rtol=0.15)


def test_no_flow_shows_the_clip_as_it_is() -> None:
    clip = torch.rand(2, 4, 16, 16) * 2 - 1
    shown = JitteredViews.draw(2, STILL, make_generator(0)).show(clip, torch.zeros(2, 4, 16, 16, 2))
    torch.testing.assert_close(shown, clip, atol=1e-5, rtol=0)

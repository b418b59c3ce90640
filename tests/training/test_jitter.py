"""View jitter: what moves and what does not, against pictures made by hand."""

import numpy as np
import torch

from echosynth.seeding import make_generator
from echosynth.training.clips.batches import ClipBatch
from echosynth.training.clips.looks import Looks
from echosynth.training.clips.transforms import JitteredViews, ViewJitter
from echosynth.training.tasks.denoising import DiffusionTask
from tests.stages import make_stage

STILL = ViewJitter(rotate=0, scale=0, shift=0, gamma=0)


def draw(**reach: float) -> JitteredViews:
    return JitteredViews.draw(1, STILL.model_copy(update=reach), make_generator(4))


def disc(x: float, y: float, radius: float) -> torch.Tensor:
    """A bright disc on black, (1, 1, 64, 64); places and radius in half sides."""
    axis = (torch.arange(64) + 0.5) / 32 - 1
    far = ((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2).sqrt() - radius
    return torch.where(far < 0, 1.0, -1.0)[None, None]


def centre(picture: torch.Tensor) -> tuple[float, float, float]:
    """Place (x, y) in half sides and area in square half sides of what is bright."""
    light = (picture[0, 0] + 1) / 2
    axis = (torch.arange(64) + 0.5) / 32 - 1
    weight = light.sum()
    return (
        float((light.sum(0) * axis).sum() / weight),
        float((light.sum(1) * axis).sum() / weight),
        float(weight) / 1024,
    )


def test_a_shifted_view_shows_the_place_that_its_matrix_names() -> None:
    views = draw(shift=0.1)
    x, y, _ = centre(views.show(disc(0.2, -0.1, 0.3)))
    np.testing.assert_allclose([0.2 - x, -0.1 - y], views.affine[0, :, 2], atol=0.01)
    assert views.affine[0, :, 2].abs().max() <= 0.2


def test_a_larger_view_is_larger_in_both_directions() -> None:
    views = draw(scale=0.3)
    area = centre(views.show(disc(0, 0, 0.4)))[2]
    np.testing.assert_allclose(area / centre(disc(0, 0, 0.4))[2], 1 / views.affine[0, 0, 0] ** 2, rtol=0.02)


def test_a_turned_view_keeps_distances() -> None:
    x, y, area = centre(draw(rotate=40.0).show(disc(0.5, 0.0, 0.25)))
    np.testing.assert_allclose(np.hypot(x, y), 0.5, atol=0.01)
    np.testing.assert_allclose(area, centre(disc(0.5, 0.0, 0.25))[2], rtol=0.02)
    assert abs(y) > 0.02


def test_gamma_leaves_black_and_white_alone() -> None:
    grey = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
    shown = draw(gamma=0.5).show(grey)
    torch.testing.assert_close(shown[..., [0, -1]], grey[..., [0, -1]], atol=1e-4, rtol=0)
    assert (shown - grey).abs().max() > 0.02


class Held:
    """Clips that stand still at their conditioning frame."""

    fps, size = 8.0, 32

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        frames = torch.randint(0, 256, (count, 32, 32), generator=generator, dtype=torch.uint8)
        shown = torch.ones(count, 4, dtype=torch.bool)
        clips = frames[:, None].expand(-1, 4, -1, -1)
        return ClipBatch.untraced(clips, frames, {"ef": torch.full((count,), 50.0)}, shown)


def test_clip_and_conditioning_frame_are_changed_alike() -> None:
    stage = make_stage("base", 4, 8.0, 16)
    plain = DiffusionTask(stage, None, Held()).make_batch(3, make_generator(0))
    batch = DiffusionTask(stage, None, Held(), looks=Looks(ViewJitter())).make_batch(3, make_generator(0))
    given = batch["frame_given"]
    # the reference is the frame at the clip's size, so nothing is left of a clip that stands still at its frame
    assert given.any()
    assert batch["residual"][given].abs().max() < 1e-5
    assert (batch["frame"] - plain["frame"]).abs().mean() > 0.1

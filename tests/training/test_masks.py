"""A batch's loss is the mean of its parts' losses, whatever is known of which clip: processes may share it at will."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from echosynth.diffusion.ef_guide import EFGuide
from echosynth.regression.echo_e3net import EchoE3Net
from echosynth.regression.frame_transformer import FrameTransformer
from echosynth.seeding import make_generator
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.engine.loop import Batch
from echosynth.training.tasks.consistency import DistillationTask
from echosynth.training.tasks.denoising import DiffusionTask
from echosynth.training.tasks.ef_guide import GuideConfig, GuideTask
from echosynth.training.tasks.ef_regression import RegressionTask
from echosynth.training.tasks.landmark_loss import LandmarkWeights
from echosynth.training.tasks.losses import RegressionLoss
from echosynth.training.tasks.masks import masked_mean
from echosynth.training.tasks.tissue_tracker import TrackerConfig, TrackerTask
from tests.fake_set import write_fake_set
from tests.stages import make_stage

COUNT = 8
GUIDE = GuideConfig.model_validate({"widths": [32], "blocks": [1], "optim": {"steps": 1}})
TRACKER = TrackerConfig.model_validate({"widths": [32], "blocks": [1], "window": 4, "optim": {"steps": 1}})
Case = tuple[nn.Module, Batch, Callable[[nn.Module, Batch], torch.Tensor]]


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=4, max_size=4), st.integers(0, 9))
def test_a_mean_over_what_is_known_is_the_mean_of_its_parts(rows: list[list[bool]], seed: int) -> None:
    known = torch.tensor(rows)
    value = torch.rand(4, 3, generator=make_generator(seed))
    parts = torch.stack([masked_mean(value[cut], known[cut]) for cut in (slice(0, 2), slice(2, 4))])
    torch.testing.assert_close(masked_mean(torch.where(known, value, torch.nan), known), parts.mean())
    by_hand = [float(v[k].mean()) if bool(k.any()) else 0.0 for v, k in zip(value, known, strict=True)]
    assert float(masked_mean(value, known)) == pytest.approx(sum(by_hand) / 4)


def forget(batch: Batch, name: str, shape: tuple[int, ...]) -> Batch:
    """Of every clip another share is not known, of the first one nothing."""
    generator = make_generator(4)
    share = torch.linspace(0, 1, COUNT).reshape(-1, *(1,) * (len(shape) - 1))
    lost = torch.rand(shape, generator=generator) >= share
    lost = lost.reshape(*shape, *(1,) * (batch[name].ndim - len(shape)))
    return batch | {name: torch.where(lost, torch.nan, batch[name])}


def denoising(source: PhantomSource, image_share: float = 0.0) -> Case:
    task = DiffusionTask(make_stage("base", 8, 16.0, 16, image_share=image_share), None, source)
    batch = task.make_batch(COUNT, make_generator(1))
    batch["shown"] = (
        torch.rand(batch["shown"].shape, generator=make_generator(2)) < torch.linspace(0, 1, COUNT)[:, None]
    )
    return task.config.network(), batch, task.compute_loss


def single_pictures(source: PhantomSource) -> Case:
    return denoising(source, image_share=1.0)


def tuning(source: PhantomSource) -> Case:
    stage = make_stage("base", 4, 8.0, 16, consistency={"ef_weight": 5.0}, init="somewhere", frame_dropout=0.4)
    guide = EFGuide(size=16, widths=[32], blocks=[1], emb_dim=32)
    task = DistillationTask(DiffusionTask(stage, None, source), 4, guide)
    return (
        stage.model_copy(update={"init": None}).network(),
        task.make_batch(COUNT, make_generator(1)),
        task.compute_loss,
    )


def guiding(source: PhantomSource) -> Case:
    task = GuideTask(GUIDE, make_stage("base", 8, 16.0, 16), source)
    batch = task.make_batch(COUNT, make_generator(1))
    return GUIDE.network(16), forget(batch, "landmarks", (COUNT, 8)), task.compute_loss


def tracking(source: PhantomSource) -> Case:
    task = TrackerTask(make_stage("spatial", 8, 16.0, 32), make_stage("base", 8, 16.0, 16), source, TRACKER.window)
    batch = task.make_batch(COUNT, make_generator(1))
    return TRACKER.network(), forget(batch, "displacement", (COUNT, 1, 4, 16, 16)), task.compute_loss


def curves(source: PhantomSource) -> Case:
    task = RegressionTask(source, 16, 8, 16, None, RegressionLoss(curve=1.0))
    batch = task.make_batch(COUNT, make_generator(1))
    model = FrameTransformer(size=16, frames=8, fps=16.0, widths=[8, 16], dim=16, depth=1, heads=2)
    return model.eval(), forget(batch, "curve", (COUNT, 8)), task.compute_loss


def landmarks(source: PhantomSource) -> Case:
    task = RegressionTask(source, 16, 8, 32, None, RegressionLoss(landmarks=LandmarkWeights()))
    batch = task.make_batch(COUNT, make_generator(1))
    return EchoE3Net(size=32, frames=8, fps=16.0).eval(), forget(batch, "landmarks", (COUNT, 2)), task.compute_loss


@pytest.mark.heavy
@pytest.mark.parametrize(
    "make", [denoising, single_pictures, tuning, guiding, tracking, curves, landmarks], ids=lambda make: make.__name__
)
def test_a_loss_is_the_mean_of_what_its_shares_lose(make: Callable[[PhantomSource], Case], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, batch, lose = make(PhantomSource(write_fake_set(tmp_path)))
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    whole = lose(model, batch)
    halves = [lose(model, {k: v[cut] for k, v in batch.items()}) for cut in (slice(0, 4), slice(4, 8))]
    assert abs(float((halves[0] - halves[1]).detach())) > 1e-3, "or nothing would be tested"
    torch.testing.assert_close(whole, torch.stack(halves).mean(), atol=1e-4, rtol=1e-4)

"""The frame-aware pipeline: it finds its frames, only they answer, the process is part of the weights."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import PartialState

from echosynth.regression.frame_aware import FrameAware
from echosynth.regression.phases import find_phases
from echosynth.seeding import make_generator
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.finishing import fit_second_stage
from echosynth.training.tasks.ef_regression import RegressionTask
from echosynth.training.tasks.losses import RegressionLoss
from echosynth.video.clip import EchoClip
from tests.fake_set import one_step, write_fake_set

SMALL = {
    "fps": 16,
    "frames": 8,
    "size": 32,
    "channels": 1,
    "width": 4,
    "blocks": (1,) * 4,
    "hidden": 8,
    "components": 4,
}


@pytest.mark.parametrize("start", [0, 3, 9, 15])
def test_phases_of_a_beat_are_found_wherever_it_begins(start: int) -> None:
    time = torch.arange(40) + start
    curve = 0.75 + 0.25 * torch.cos(2 * math.pi * time / 20)  # full at multiples of 20, empty half-way
    ed, mid, es = find_phases(curve[None])[0].tolist()
    assert (ed + start) % 20 == 0
    assert abs((es + start) % 20 - 10) <= 0
    assert abs(es - ed) == 10
    assert mid == (ed + es) // 2


def test_a_noisy_frame_is_not_taken_for_end_diastole() -> None:
    curve = 0.75 + 0.25 * torch.cos(2 * math.pi * torch.arange(40) / 20)
    curve[10] = 1.02
    assert find_phases(curve[None])[0, 0] in (0, 20)


def test_only_the_three_frames_and_the_curve_decide(tmp_path: Path) -> None:
    source = PhantomSource(write_fake_set(tmp_path))
    task = RegressionTask(source, 16, 8, 32, None, RegressionLoss(curve=1.0, reduced=0.3))
    torch.manual_seed(0)
    model = FrameAware(**SMALL, patients=0)
    batch = task.make_batch(4, make_generator(0))
    loss = task.compute_loss(model, batch)
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    plain = RegressionTask(source, 16, 8, 32, None, RegressionLoss()).compute_loss(model.eval(), batch)
    with_logit = RegressionTask(source, 16, 8, 32, None, RegressionLoss(reduced=1.0)).compute_loss(model, batch)
    said = model(batch["clip"], details=True)
    truth = (batch["ef"] <= 40).float()
    expected = -(
        truth * said.reduced_ef_logit.sigmoid().log() + (1 - truth) * (1 - said.reduced_ef_logit.sigmoid()).log()
    ).mean()
    torch.testing.assert_close(with_logit - plain, expected)


@pytest.mark.heavy
def test_the_process_is_fitted_once_and_travels_with_the_weights(tmp_path: Path) -> None:
    root = write_fake_set(tmp_path / "set")
    arguments = SMALL | {"patients": 40}
    config = one_step(root, "FrameAware", arguments, batch_size=16)
    torch.manual_seed(0)
    model = config.build().eval()
    clips = torch.rand(3, 1, 8, 32, 32) * 2 - 1
    before = model(clips)
    assert model.deviation(clips) is None
    PartialState(cpu=True)
    task = RegressionTask(PhantomSource(root), 16, 8, 32, None)
    fit_second_stage(model, task, config.optim.batch_size, config.seed)
    assert not torch.equal(model(clips), before)
    assert (model.deviation(clips) > 0).all()
    model.save_pretrained(tmp_path / "model")
    again = FrameAware.from_pretrained(tmp_path / "model").eval()
    torch.testing.assert_close(again(clips), model(clips))
    torch.testing.assert_close(again.deviation(clips), model.deviation(clips))


def test_a_prediction_says_how_sure_it_is_and_what_the_classifier_thinks() -> None:
    torch.manual_seed(1)
    model = FrameAware(**SMALL | {"patients": 20}).eval()
    clip = EchoClip(np.random.default_rng(0).integers(0, 255, (20, 32, 32), dtype=np.uint8), 16.0)
    (answer,) = model.predict([clip])
    assert answer.deviation is None
    assert 0 < answer.reduced_ef_probability < 1
    chance = model(model.windows(clip), details=True).reduced_ef_logit.sigmoid().mean()
    assert answer.reduced_ef_probability == pytest.approx(float(chance.detach()), abs=1e-5)
    with torch.enable_grad():
        features = torch.randn(20, 4 * model.encoder.features + 1)
        model.fit_second_stage(features, features[:, -1] + torch.randn(20))
    assert model.predict([clip])[0].deviation > 0

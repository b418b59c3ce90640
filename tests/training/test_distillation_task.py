"""Consistency tuning: what has to agree, the guide teaches and does not learn, and configs make sense."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from echosynth.diffusion.ef_guide import EFGuide
from echosynth.edm.consistency import lower_level
from echosynth.seeding import make_generator
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.engine.loop import Batch
from echosynth.training.tasks.consistency import LEAST_LEVEL, DistillationTask
from echosynth.training.tasks.denoising import DiffusionTask
from tests.fake_set import write_fake_set
from tests.stages import make_stage

STEPS = 60


def make_task(root: Path, **consistency: object) -> DistillationTask:
    tuned = {"consistency": {"doublings": 4} | consistency, "init": "somewhere"}
    stage = make_stage("base", 4, 8.0, 16, scalar_dropout={}, frame_dropout=0.0, **tuned)
    torch.manual_seed(1)
    guide = EFGuide(size=16, widths=[32], blocks=[1], emb_dim=32) if consistency.get("ef_weight") else None
    return DistillationTask(DiffusionTask(stage, None, PhantomSource(write_fake_set(root))), STEPS, guide)


def tune(task: DistillationTask, steps: int = STEPS) -> torch.nn.Module:
    torch.manual_seed(0)
    model = task.stage.config.model_copy(update={"init": None}).network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(steps):
        batch = task.make_batch(8, make_generator(3, step))
        task.compute_loss(model, batch | {"step": torch.full((8,), step)}).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def test_answers_that_agree_cost_nothing_and_others_their_distance(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    model, batch = tune(task, 0), task.make_batch(6, make_generator(9))
    task.stage.denoise = lambda model, batch, sigma, x: batch["residual"]  # type: ignore[method-assign]
    assert float(task.compute_loss(model, batch)) == 0
    offset = 0.1 * task.stage.preconditioning.c_out(batch["sigma"])[:, None, None, None, None]
    answers = iter([batch["residual"] + offset, batch["residual"]])
    task.stage.denoise = lambda *_: next(answers)  # type: ignore[method-assign]
    gap = 1 - lower_level(batch["sigma"], 4, task.stage.config.noise.sigma_data) / batch["sigma"]
    assert float(task.compute_loss(model, batch)) == pytest.approx(float((0.1 / gap / 2**4).mean()), rel=0.05)


@pytest.mark.parametrize(
    ("first", "expected"), [(0, {0: 0, STEPS // 2: 2, STEPS - 1: 4, None: 4}), (4, {0: 4, STEPS // 2: 4, STEPS - 1: 4})]
)
def test_the_gap_narrows_with_the_steps(tmp_path: Path, first: int, expected: dict[int | None, int]) -> None:
    task = make_task(tmp_path, first_doublings=first)
    seen: list[torch.Tensor] = []
    denoise = task.stage.denoise

    def watch(model: torch.nn.Module, batch: Batch, sigma: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        seen.append(sigma)
        return denoise(model, batch, sigma, x)

    task.stage.denoise = watch  # type: ignore[method-assign]
    model = tune(task, 0)
    batch = task.make_batch(6, make_generator(4))
    sigma_data = task.stage.config.noise.sigma_data
    for step, doublings in expected.items():
        seen.clear()
        task.compute_loss(model, batch if step is None else batch | {"step": torch.full((6,), step)})
        t, r = seen
        torch.testing.assert_close(r, lower_level(t, doublings, sigma_data).clamp_min(LEAST_LEVEL))


@pytest.mark.heavy
def test_the_guide_pulls_the_network_and_stays_as_it_is(tmp_path: Path) -> None:
    task = make_task(tmp_path, ef_weight=5.0)
    assert task.guide is not None
    before = [p.clone() for p in task.guide.parameters()]
    batch = task.make_batch(32, make_generator(9))
    misread = []
    for model in (tune(make_task(tmp_path / "plain")), tune(task)):
        clip = task.stage.denoise(model, batch, batch["sigma"], batch["residual"])
        misread.append(float(task._misread(clip, batch).detach()))
    assert misread[1] < 0.9 * misread[0]
    assert float(task._misread(batch["residual"], batch)) == 0  # however wrong the guide is about the patient
    assert all(torch.equal(a, b) for a, b in zip(before, task.guide.parameters(), strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"consistency": {}},
        {"consistency": {}, "init": "somewhere", "image_share": 0.5},
        {"consistency": {"doublings": 0}, "init": "somewhere"},
        {"consistency": {"doublings": 4, "first_doublings": 5}, "init": "somewhere"},
        {"solver": "consistency", "noise_share": 0.5},
        {"solver": "heun", "correction": 0.6},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        make_stage("base", 4, 8.0, 16, **wrong)


def test_only_the_base_has_a_guide_and_only_tuned_stages_are_tuned() -> None:
    with pytest.raises(ValidationError, match="ef_weight"):
        make_stage("spatial", 4, 8.0, 32, consistency={"ef_weight": 1.0}, init="somewhere")
    with pytest.raises(ValueError, match="consistency"):
        DistillationTask(DiffusionTask(make_stage("base", 4, 8.0, 16), None, None), 1)  # type: ignore[arg-type]

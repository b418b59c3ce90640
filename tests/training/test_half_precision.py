"""Training in fp16: the loss is scaled, the scale is part of a checkpoint, and a machine that cannot says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from diffusers.training_utils import EMAModel
from torch import nn

from echosynth.errors import ConfigError
from echosynth.training.engine.checkpoint import load_checkpoint, save_checkpoint
from echosynth.training.engine.loop import train
from echosynth.training.engine.optim import OptimConfig, choose_precision, make_optimizer
from echosynth.training.engine.state import TrainState
from tests.training_runs import Line

STEPS, CUT = 16, 7


@pytest.fixture(autouse=True)
def _own_accelerators() -> Iterator[None]:
    """Accelerate keeps one precision per process."""
    yield
    AcceleratorState._reset_state()


class Run:
    """A line fitted in fp16 as Accelerate does it on a GPU, on a CPU, whose scaler and autocast torch has too."""

    def __init__(self) -> None:
        AcceleratorState._reset_state()
        self.accelerator = Accelerator(cpu=True)
        self.accelerator.state._mixed_precision, self.accelerator.native_amp = "fp16", True
        # A scale far too high: it has to be halved a dozen times, in steps that are skipped, before anything is learnt.
        self.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=3)
        self.config = OptimConfig(steps=STEPS, batch_size=8, lr=0.05, warmup_steps=1)
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        self.model, self.optimizer = self.accelerator.prepare(model, make_optimizer(model, self.config))
        self.bare = self.accelerator.unwrap_model(self.model)
        ema = EMAModel(self.bare.parameters())
        self.state = TrainState(self.bare, ema, self.optimizer, self.accelerator.scaler)

    @property
    def scale(self) -> float:
        return float(self.accelerator.scaler.get_scale())

    def go(self, start: int, stop: int) -> None:
        steps = train(Line(), self.model, self.state, self.accelerator, self.config, 3, start)
        for step in steps:
            if step.step == stop:
                steps.close()  # type: ignore[attr-defined]
                break


def test_a_resumed_run_repeats_an_uninterrupted_one_scale_included(tmp_path: Path) -> None:
    whole = Run()
    fresh = [p.clone() for p in whole.bare.parameters()]
    whole.go(0, STEPS)
    assert not any(torch.equal(a, b) for a, b in zip(fresh, whole.bare.parameters(), strict=True)), "it learns"
    assert whole.scale < 2.0**20, "gradients overflowed at first"

    first = Run()
    first.go(0, CUT)
    saved = first.scale
    save_checkpoint(tmp_path, CUT, first.state, "config")
    second = Run()
    assert second.scale != saved
    begun = load_checkpoint(tmp_path, second.state, "config")
    assert (begun, second.scale) == (CUT, saved)
    second.go(CUT, STEPS)
    assert second.scale == whole.scale
    for mine, other in zip(second.bare.parameters(), whole.bare.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_no_needs_no_quotes() -> None:
    assert OptimConfig.model_validate(yaml.safe_load("{steps: 1, mixed_precision: no}")).mixed_precision == "no"


def test_fp16_is_refused_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"sr1: .* fp16 needs a GPU"):
        choose_precision("sr1", OptimConfig(steps=1, mixed_precision="fp16"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_precision("sr1", OptimConfig(steps=1, mixed_precision="fp16")) == "fp16"

"""The best weights of a training: kept when they are better, given back at the end, not those of a lost future."""

from pathlib import Path

import pytest
from torch import nn

from echosynth.errors import CheckpointError
from echosynth.training.engine.best import BestWeights


def network(value: float) -> nn.Linear:
    made = nn.Linear(2, 1)
    nn.init.constant_(made.weight, value)
    return made


def test_the_weights_of_the_least_loss_come_back(tmp_path: Path) -> None:
    best = BestWeights(tmp_path / "best", 0)
    for step, loss in ((2, 3.0), (4, 1.0), (6, 2.0)):
        best.offer(network(step), step, loss)
    last = network(9.0)
    best.give_back(last)
    assert last.weight.tolist() == [[4.0, 4.0]]
    resumed = BestWeights(tmp_path / "best", 6)
    assert (resumed.step, resumed.loss) == (4, 1.0)


def test_a_training_that_was_never_validated_keeps_its_last_weights(tmp_path: Path) -> None:
    last = network(9.0)
    BestWeights(tmp_path / "best", 0).give_back(last)
    assert last.weight.tolist() == [[9.0, 9.0]]


def test_weights_of_steps_that_a_killed_run_lost_do_not_count(tmp_path: Path) -> None:
    BestWeights(tmp_path / "best", 0).offer(network(1.0), 8, 0.5)
    resumed = BestWeights(tmp_path / "best", 6)
    assert resumed.step == 0
    resumed.offer(network(2.0), 8, 0.7)
    assert BestWeights(tmp_path / "best", 8).loss == 0.7


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    best = BestWeights(tmp_path / "best", 0)
    best.offer(network(1.0), 2, 0.5)
    (tmp_path / "best" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="best cannot be read"):
        best.give_back(network(1.0))
    (tmp_path / "best" / "best.json").write_text("{")
    with pytest.raises(CheckpointError, match="best cannot be read"):
        BestWeights(tmp_path / "best", 4)

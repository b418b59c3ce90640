"""One step's samples and gradients are the same however many processes and pieces they are shared by."""

import pytest
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn

from echosynth.training.engine.loop import BatchPartition, train
from echosynth.training.engine.optim import OptimConfig
from echosynth.training.engine.state import TrainState
from tests.training_runs import Line


@pytest.mark.parametrize("micro", [None, 1, 2])
def test_processes_draw_together_what_one_draws(micro: int | None) -> None:
    config = OptimConfig(steps=1, batch_size=8, micro_batch=micro)
    alone = torch.cat([batch["x"] for batch in BatchPartition(config, 1, 0).draw(Line(), 3, 5)])
    shared = [torch.cat([b["x"] for b in BatchPartition(config, 4, rank).draw(Line(), 3, 5)]) for rank in range(4)]
    assert all(len(part) == 2 for part in shared)
    assert {tuple(row) for row in alone.tolist()} == {tuple(row) for row in torch.cat(shared).tolist()}


@pytest.mark.parametrize(("micro", "ranks"), [(None, 3), (4, 4), (3, 1)])
def test_what_cannot_be_shared_equally_is_refused(micro: int | None, ranks: int) -> None:
    with pytest.raises(ValueError, match="cannot be shared"):
        BatchPartition(OptimConfig(steps=1, batch_size=8, micro_batch=micro), ranks, 0)


def test_gradients_of_pieces_add_up_to_that_of_the_batch() -> None:
    config = OptimConfig(steps=1, batch_size=8, micro_batch=2, warmup_steps=1, mixed_precision="no")
    model = nn.Linear(3, 1)
    other = nn.Linear(3, 1)
    other.load_state_dict(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    state = TrainState(model, EMAModel(model.parameters()), optimizer)
    (step,) = train(Line(), model, state, Accelerator(cpu=True), config, 3)
    whole = [
        torch.cat(rows)
        for rows in zip(*(b.values() for b in BatchPartition(config, 1, 0).draw(Line(), 3, 0)), strict=True)
    ]
    loss = ((other(whole[0]) - whole[1]) ** 2).mean()
    loss.backward()
    assert step.loss == pytest.approx(float(loss.detach()), rel=1e-5)
    assert step.grad_norm == pytest.approx(
        float(nn.utils.get_total_norm([p.grad for p in other.parameters()])), rel=1e-5
    )


def test_what_dropout_drops_depends_on_the_step_alone() -> None:
    config = OptimConfig(steps=3, batch_size=8, lr=0.0, warmup_steps=1, mixed_precision="no")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 1))

    def run(start: int) -> list[float]:
        torch.manual_seed(start)  # a process that goes on has another past
        state = TrainState(model, EMAModel(model.parameters()), torch.optim.SGD(model.parameters()))
        steps = train(Line(), model, state, Accelerator(cpu=True), config, 3, start)
        return [float(step.loss) for step in steps]

    assert run(0)[1:] == run(1)

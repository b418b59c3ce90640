"""Two processes with half a batch each learn what one learns from the whole."""

from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from echosynth.regression.rank_n_contrast import rank_n_contrast
from echosynth.training.engine.processes import gather_batches, synchronise_batch_norm

BATCH = 8


def make() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Linear(5, 3), torch.randn(BATCH, 5), torch.rand(BATCH) * 80


def learn_half(rank: int, folder: str) -> None:
    """The gradient of one of two processes, after they were averaged."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model, x, ef = make()
    wrapped = DistributedDataParallel(model)
    half = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    loss = rank_n_contrast(gather_batches(wrapped(x[half])), gather_batches(ef[half]))
    loss.backward()
    torch.save((loss.detach(), model.weight.grad), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.heavy
def test_a_contrast_over_processes_has_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    model, x, ef = make()
    loss = rank_n_contrast(gather_batches(model(x)), gather_batches(ef))
    loss.backward()
    multiprocessing.spawn(learn_half, args=(str(tmp_path),), nprocs=2)
    for rank in range(2):
        other, grad = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(other, loss.detach())
        torch.testing.assert_close(grad, model.weight.grad)


def test_one_process_gathers_itself() -> None:
    x = torch.randn(3, 2)
    assert gather_batches(x) is x


def test_batch_normalisation_is_synchronised_or_said_not_to_be(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2)))
    names = list(model.state_dict())
    synchronise_batch_norm(model, 1, torch.device("cpu"))
    synchronise_batch_norm(nn.Linear(2, 2), 4, torch.device("cpu"))
    assert not caplog.records
    synchronise_batch_norm(model, 4, torch.device("cpu"))
    assert "each of the 4 CPU processes alone" in caplog.text
    synchronise_batch_norm(model, 4, torch.device("cuda"))
    assert isinstance(model[1][0], nn.SyncBatchNorm)  # type: ignore[index]
    assert list(model.state_dict()) == names

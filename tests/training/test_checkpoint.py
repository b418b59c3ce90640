"""The learning rate's law, and checkpoints that are complete or absent."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers.training_utils import EMAModel
from safetensors.torch import save_file

from echosynth.errors import CheckpointError, OutputError
from echosynth.training.engine import checkpoint
from echosynth.training.engine.checkpoint import load_checkpoint, load_weights, save_checkpoint
from echosynth.training.engine.optim import OptimConfig, learning_rate, make_optimizer
from echosynth.training.engine.state import TrainState


def make_state(seed: int, steps: int = 2) -> TrainState:
    torch.manual_seed(seed)
    model = torch.nn.Linear(3, 2)
    optimizer = make_optimizer(model, OptimConfig(steps=10))
    ema = EMAModel(model.parameters(), decay=0.9)
    for _ in range(steps):
        model(torch.randn(4, 3)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        ema.step(model.parameters())
    return TrainState(model, ema, optimizer)


def same(one: TrainState, two: TrainState) -> bool:
    shadows = zip(one.ema.shadow_params, two.ema.shadow_params, strict=True)
    weights = zip(one.model.parameters(), two.model.parameters(), strict=True)
    moments = [[s["exp_avg"] for s in state.optimizer.state.values()] for state in (one, two)]
    pairs = [*shadows, *weights, *zip(*moments, strict=True)]
    return all(torch.equal(a, b) for a, b in pairs) and one.ema.optimization_step == two.ema.optimization_step


def test_the_learning_rate_rises_stays_and_falls() -> None:
    config = OptimConfig(steps=1000, lr=2e-3, warmup_steps=100, decay_share=0.4)
    rates = [learning_rate(step, config) for step in range(1000)]
    assert rates[0] == pytest.approx(2e-5)
    assert rates[99] == pytest.approx(2e-3)
    assert rates[99:601] == pytest.approx([2e-3] * 502)
    assert rates[800] == pytest.approx(2e-3 * 0.505)
    assert rates[-1] == pytest.approx(2e-5, rel=0.02)
    assert all(a > b for a, b in pairwise(rates[601:]))


def test_weight_decay_spares_biases() -> None:
    decays = {p.ndim: g["weight_decay"] for g in make_state(0).optimizer.param_groups for p in g["params"]}
    assert decays == {2: 0.01, 1: 0.0}


def test_a_checkpoint_restores_everything(tmp_path: Path) -> None:
    saved, fresh = make_state(0), make_state(1)
    assert load_checkpoint(tmp_path, fresh, "config") == 0
    save_checkpoint(tmp_path, 7, saved, "config")
    assert not same(saved, fresh)
    assert load_checkpoint(tmp_path, fresh, "config") == 7
    assert same(saved, fresh)


def test_only_the_newest_two_stay(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        save_checkpoint(tmp_path, step, make_state(0), "config")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000010"]


@pytest.mark.parametrize(
    "killed_before", ["model.safetensors", "ema.safetensors", "optimizer.pt", "state.json", "rename"]
)
def test_a_kill_between_files_leaves_the_last_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_before: str
) -> None:
    first = make_state(0)
    save_checkpoint(tmp_path, 1, first, "config")

    class Killed(BaseException):
        pass

    save_file, save = checkpoint.save_file, torch.save

    def die(*args: object, **kwargs: object) -> None:
        raise Killed

    def tensors(data: dict[str, torch.Tensor], path: Path) -> None:
        die() if path.name == killed_before else save_file(data, path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", tensors)
        if killed_before == "optimizer.pt":
            patch.setattr(torch, "save", die)
        if killed_before == "state.json":
            patch.setattr(Path, "write_text", die)
        if killed_before == "rename":
            patch.setattr(Path, "rename", die)
        with pytest.raises(Killed):
            save_checkpoint(tmp_path, 2, make_state(3), "config")
    assert torch.save is save
    restored = make_state(5)
    assert load_checkpoint(tmp_path, restored, "config") == 1
    assert same(first, restored)
    # the half-written one does no harm
    again = make_state(3)
    save_checkpoint(tmp_path, 2, again, "config")
    assert load_checkpoint(tmp_path, restored, "config") == 2
    assert same(again, restored)


def test_another_config_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, make_state(0), "one config")
    with pytest.raises(CheckpointError, match="another config"):
        load_checkpoint(tmp_path, make_state(0), "another")


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "optimizer.pt", "state.json"])
def test_a_damaged_file_is_reported_in_one_line(tmp_path: Path, name: str) -> None:
    folder = save_checkpoint(tmp_path, 1, make_state(0), "config")
    (folder / name).write_bytes(b"\x00 not what it was")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path, make_state(0), "config")


@pytest.mark.parametrize(
    "state", ["[]", "null", '{"fingerprint": "config", "ema_steps": 2}', '{"step": "4", "fingerprint": "config"}']
)
def test_a_state_of_another_kind_is_reported_in_one_line(tmp_path: Path, state: str) -> None:
    folder = save_checkpoint(tmp_path, 1, make_state(0), "config")
    (folder / "state.json").write_text(state)
    with pytest.raises(CheckpointError, match=r"cannot be read \(state\.json lacks"):
        load_checkpoint(tmp_path, make_state(0), "config")


@pytest.mark.parametrize("moments", [[], {"state": {7: {"step": 1}}, "param_groups": []}, {"state": {0: {"step": 1}}}])
def test_moments_of_another_kind_are_reported_in_one_line(tmp_path: Path, moments: object) -> None:
    folder = save_checkpoint(tmp_path, 1, make_state(0), "config")
    torch.save(moments, folder / "optimizer.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path, make_state(0), "config")


@pytest.fixture
def small_files() -> Iterator[int]:
    """No file may grow beyond some bytes: what a full disk is to a writer, without one."""
    resource = pytest.importorskip("resource")
    limit = 100_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("too_large", ["model.safetensors", "optimizer.pt"])
def test_a_disk_that_refuses_is_one_line_and_leaves_no_half(
    tmp_path: Path, small_files: int, too_large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = save_checkpoint(tmp_path, 1, make_state(0), "config")
    model = torch.nn.Linear(small_files // 4, 2)
    optimizer = make_optimizer(model, OptimConfig(steps=10))
    if too_large == "optimizer.pt":
        monkeypatch.setattr(checkpoint, "save_file", lambda data, path: path.write_bytes(b""))
        model(torch.ones(small_files // 4)).sum().backward()
        optimizer.step()
    state = TrainState(model, EMAModel(model.parameters()), optimizer)
    with pytest.raises(OutputError, match=r"cannot write .*step-00000002: File too large"):
        save_checkpoint(tmp_path, 2, state, "config")
    assert list(tmp_path.iterdir()) == [whole]


def test_checkpoints_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, 1, make_state(0), "config")
    (tmp_path / "plain").write_text("")
    assert {path.stat().st_mode for path in folder.iterdir()} == {(tmp_path / "plain").stat().st_mode}


def test_the_state_is_plain_json(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, 4, make_state(0), "config")
    assert json.loads((folder / "state.json").read_text()) == {"step": 4, "fingerprint": "config", "ema_steps": 2}


def test_weights_to_start_from_must_be_there_and_fit(tmp_path: Path) -> None:
    save_file(torch.nn.Linear(3, 2).state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
    model = torch.nn.Linear(3, 2)
    load_weights(model, tmp_path, parts=("wei",))
    with pytest.raises(CheckpointError, match="no weights there begin with wieght"):
        load_weights(model, tmp_path, parts=("wei", "wieght"))
    with pytest.raises(CheckpointError, match="size mismatch for weight"):
        load_weights(torch.nn.Linear(4, 2), tmp_path)

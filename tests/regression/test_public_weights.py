"""Public weights: files of each layout, made by an independent construction, give the EF of that network.

The reference networks are plain torch, written from the layout's names alone; nothing of echosynth is in them.
"""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from echosynth.errors import CheckpointError
from echosynth.regression.public_weights import read_public_weights
from tests.public_networks import Maker, batch_norm, r2plus1d, r2plus1d_state, uniformer, uniformer_state


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    """One window of grey values, 0-255."""
    return torch.randint(0, 256, (1, 1, 8, 112, 112), generator=torch.Generator().manual_seed(3)).float()


@pytest.mark.heavy
@torch.no_grad()
def test_echonet_weights_give_echonet_s_ef(tmp_path: Path, pixels: torch.Tensor) -> None:
    state = r2plus1d_state()
    checkpoint = {
        "epoch": 3,
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "period": 2,
        "frames": 32,
        "r2": np.float64(0.81),
        "best_loss": np.float32(30.0),
    }
    torch.save(checkpoint, tmp_path / "best.pt")
    found = read_public_weights(tmp_path / "best.pt")
    assert (found.kind, found.model.contract.fps, found.model.contract.frames) == ("regressor", 25.0, 32)
    theirs = r2plus1d(state, ((pixels - 32.7) / 49.9).expand(-1, 3, -1, -1, -1))
    torch.testing.assert_close(found.model(pixels / 127.5 - 1), theirs, atol=1e-2, rtol=0)
    assert read_public_weights(tmp_path / "best.pt", fps=32.0).model.contract.fps == 16.0


@pytest.mark.heavy
@torch.no_grad()
def test_the_judge_of_echodiffusion_sees_pixels_from_0_to_1(tmp_path: Path, pixels: torch.Tensor) -> None:
    state = r2plus1d_state()
    torch.save({"state_dict": {f"model.model.{k}": v for k, v in state.items()}, "epoch": 1}, tmp_path / "a.ckpt")
    found = read_public_weights(tmp_path / "a.ckpt")
    assert (found.model.contract.fps, found.model.contract.frames) == (32.0, 64)
    theirs = r2plus1d(state, (pixels / 255).expand(-1, 3, -1, -1, -1))
    torch.testing.assert_close(found.model(pixels / 127.5 - 1), theirs, atol=1e-2, rtol=0)


@pytest.mark.heavy
@torch.no_grad()
def test_coreecho_weights_give_coreecho_s_ef(tmp_path: Path, pixels: torch.Tensor) -> None:
    state, head = uniformer_state(), Maker()
    head.norm("0", 512), head.linear("2", 512, 512), head.norm("3", 512), head.linear("6", 1, 512)
    head.state["6.bias"] += 55.6
    checkpoint = {
        "epoch": 24,
        "model": {f"module.{k}": v for k, v in state.items()},
        "regressor": {f"module.{k}": v for k, v in head.state.items()},
        "best_error": 3.9,
        "opt": argparse.Namespace(seed=1, trial="0"),
    }
    torch.save(checkpoint, tmp_path / "last.pth")
    found = read_public_weights(tmp_path / "last.pth")
    assert (found.kind, found.model.contract.fps, found.model.contract.frames) == ("regressor", 12.5, 36)
    s = head.state
    h = batch_norm(uniformer(state, ((pixels - 32.7) / 49.9).expand(-1, 3, -1, -1, -1)), s, "0")
    h = F.gelu(batch_norm(F.linear(h, s["2.weight"], s["2.bias"]), s, "3"))
    theirs = F.linear(h, s["6.weight"], s["6.bias"])[:, 0]
    torch.testing.assert_close(found.model(pixels / 127.5 - 1), theirs, atol=1e-2, rtol=0)


@pytest.mark.heavy
@torch.no_grad()
@pytest.mark.parametrize(
    ("prefix", "wrap"), [("", None), ("encoder.", "state_dict"), ("module.video.", "model"), ("", "model_state_dict")]
)
def test_uniformer_weights_become_an_encoder(
    tmp_path: Path, pixels: torch.Tensor, prefix: str, wrap: str | None
) -> None:
    state = uniformer_state(outputs=400)
    names = {prefix + name: value for name, value in state.items()} | {"diffusion.time.weight": torch.ones(2)}
    more = {"epoch": 9, "config": {"model": {}}} if wrap == "model_state_dict" else {}  # as MCSDR keeps them
    torch.save(names if wrap is None else {wrap: names} | more, tmp_path / "encoder.pth")
    found = read_public_weights(tmp_path / "encoder.pth")
    assert found.kind == "encoder"
    theirs = uniformer(state, ((pixels - 32.7) / 49.9).expand(-1, 3, -1, -1, -1))
    torch.testing.assert_close(found.model.features(pixels / 127.5 - 1), theirs, atol=1e-3, rtol=1e-3)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("boom",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"state_dict": {"conv.weight": torch.ones(1)}}, "not known here"),
        ({}, "not known here"),
        ([1, 2], "not named weights"),
        ({"state_dict": r2plus1d_state(outputs=400)}, "400 outputs"),
        (
            {"state_dict": {"stem.0.weight": torch.ones(45, 3, 1, 7, 7), "fc.weight": torch.ones(1, 512)}},
            "does not fit",
        ),
        ({"model": Bomb()}, "cannot be read"),
        ({"model": uniformer_state(), "regressor": 5}, "does not fit"),
        ({"state_dict": r2plus1d_state(), "period": "two"}, "does not fit"),
        ({"state_dict": r2plus1d_state(), "frames": -4}, "shown -4 frames"),
    ],
)
def test_everything_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, reason: str
) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=reason):
        read_public_weights(tmp_path / "x.pt")
    assert "boom" not in capsys.readouterr().out


def test_broken_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"no weights")
    (tmp_path / "x.safetensors").write_bytes(b"no weights")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.pt").write_text("hello")
    reasons = {"x.pt": "", "x.safetensors": "", "none.pt": "is not a file", "empty.pt": "empty", "text.pt": "no torch"}
    for name, reason in reasons.items():
        with pytest.raises(CheckpointError, match=f"{name}.*{reason}"):
            read_public_weights(tmp_path / name)

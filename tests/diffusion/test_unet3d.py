"""UNet3D: shapes, conditions that matter, saving, and the xformers hook."""

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from echosynth.diffusion.attention import HEAD_DIM, Attention, rotate_by_position
from echosynth.diffusion.ef_guide import EFGuide
from echosynth.diffusion.embeddings import ScalarEmbedding
from echosynth.diffusion.unet3d import UNet3D
from echosynth.errors import MissingDependencyError
from tests.pipelines import FRAME, make_pipeline, seeds

SHAPE: dict[str, Any] = {"patch": 2, "widths": [32, 64], "blocks": [1, 1], "emb_dim": 32, "frame_patch": 4}
SHAPE |= {"space_attention": [False, True], "time_attention": [True, True]}


def make_unet(**changes: Any) -> UNet3D:
    torch.manual_seed(0)
    unet = UNet3D(**(SHAPE | changes)).eval()
    for parameter in unet.parameters():  # fresh residual branches and the last layer are zero
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return unet


def make_inputs(batch: int = 2, frames: int = 3, size: int = 16, lowres: bool = False) -> dict[str, Any]:
    g = torch.Generator().manual_seed(1)
    inputs: dict[str, Any] = {
        "x": torch.randn(batch, 1, frames, size, size, generator=g),
        "c_noise": torch.linspace(-1, 0.5, batch),
        "scalars": {"ef": torch.linspace(30, 60, batch)},
        "frame": torch.rand(batch, 1, 2 * size, 2 * size, generator=g) * 2 - 1,
        "frame_given": torch.ones(batch, dtype=torch.bool),
    }
    if lowres:
        inputs |= {"lowres": torch.randn(inputs["x"].shape, generator=g), "lowres_sigma": torch.full((batch,), 0.1)}
    return inputs


@pytest.mark.parametrize(("frames", "size", "lowres"), [(1, 8, False), (5, 16, False), (4, 12, True)])
@torch.no_grad()
def test_it_gives_the_clip_s_shape_at_any_length_and_size(frames: int, size: int, lowres: bool) -> None:
    inputs = make_inputs(2, frames, size, lowres)
    assert make_unet(lowres=lowres)(**inputs).shape == inputs["x"].shape


def test_fresh_weights_say_nothing() -> None:
    assert not UNet3D(**SHAPE)(**make_inputs()).any()


def test_levels_must_agree() -> None:
    with pytest.raises(ValueError, match="same number of levels"):
        UNet3D(**(SHAPE | {"blocks": [1]}))


@torch.no_grad()
def test_every_condition_changes_the_answer_of_its_sample_alone() -> None:
    unet, inputs = make_unet(lowres=True), make_inputs(lowres=True)
    plain = unet(**inputs)
    second = torch.tensor([False, True])
    changes: dict[str, Any] = {
        "c_noise": torch.tensor([-1.0, 0.2]),
        "scalars": {"ef": torch.tensor([30.0, 20.0])},
        "frame_given": ~second,
        "lowres_sigma": torch.tensor([0.1, 0.3]),
    }
    for name in ("frame", "lowres", "x"):
        changes[name] = torch.where(second.reshape(2, 1, 1, 1, *[1] * (inputs[name].ndim - 4)), 0.3, inputs[name])
    for name, value in changes.items():
        made = unet(**(inputs | {name: value}))
        torch.testing.assert_close(made[0], plain[0], atol=1e-5, rtol=1e-4)
        assert float((made[1] - plain[1]).abs().max()) > 1e-3, name


@torch.no_grad()
def test_a_missing_scalar_is_nan_and_an_unsupported_one_is_ignored() -> None:
    unet, inputs = make_unet(), make_inputs()
    absent = unet(**(inputs | {"scalars": {}}))
    assert torch.equal(absent, unet(**(inputs | {"scalars": {"ef": torch.full((2,), torch.nan)}})))
    without_scalars = make_unet(scalars=[])
    assert torch.equal(
        without_scalars(**inputs), without_scalars(**(inputs | {"scalars": {"ef": torch.tensor([1.0, 2.0])}}))
    )


@torch.no_grad()
def test_a_fresh_scalar_has_no_effect_yet() -> None:
    torch.manual_seed(0)
    embed = ScalarEmbedding(0.0, 100.0, 8)
    assert not embed(torch.tensor([0.0, 35.0, 100.0, torch.nan])).any()


@torch.no_grad()
@pytest.mark.parametrize("octaves", [0, 2])
def test_without_octaves_a_scalar_enters_as_a_straight_line(octaves: int) -> None:
    embed = ScalarEmbedding(20.0, 80.0, 8, octaves)
    torch.manual_seed(0)
    torch.nn.init.normal_(embed.project.weight)
    at = embed(torch.tensor([20.0, 35.0, 50.0]))
    assert torch.allclose(at[1] - at[0], at[2] - at[1], atol=1e-5) == (octaves == 0)


@torch.no_grad()
def test_a_frame_that_is_not_given_is_not_looked_at() -> None:
    unet, inputs = make_unet(), make_inputs()
    inputs["frame_given"] = torch.zeros(2, dtype=torch.bool)
    assert torch.equal(unet(**inputs), unet(**(inputs | {"frame": -inputs["frame"]})))


@torch.no_grad()
def test_saving_and_loading_changes_nothing(tmp_path: Path) -> None:
    unet, inputs = make_unet(), make_inputs()
    unet.save_pretrained(tmp_path)
    assert [p.suffix for p in tmp_path.iterdir() if p.suffix != ".json"] == [".safetensors"]
    loaded = UNet3D.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded(**inputs), unet(**inputs), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_it_runs_in_double_precision() -> None:
    unet, inputs = make_unet(), make_inputs()
    single = unet(**inputs)
    double = {k: v.double() if isinstance(v, torch.Tensor) and v.is_floating_point() else v for k, v in inputs.items()}
    double["scalars"] = {"ef": inputs["scalars"]["ef"].double()}
    made = unet.to(torch.float64)(**double)
    assert made.dtype == torch.float64
    torch.testing.assert_close(made.float(), single, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_time_attention_sees_distances_not_places() -> None:
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    dots = rotate_by_position(x) @ rotate_by_position(x).mT
    later = torch.cat([torch.zeros(1, 3, 8), x], 1)
    moved = (rotate_by_position(later) @ rotate_by_position(later).mT)[:, 3:, 3:]
    torch.testing.assert_close(dots, moved, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="axis"):
        Attention(32, "depth")


def test_gradients_are_the_same_when_activations_are_computed_again() -> None:
    found = []
    for again in (False, True):
        unet = make_unet().train()
        if again:
            unet.enable_gradient_checkpointing()
        unet(**make_inputs()).square().mean().backward()
        found.append({name: p.grad for name, p in unet.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_missing_xformers_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    unet = make_unet()
    with pytest.raises(MissingDependencyError, match=r"echosynth\[xformers\]"):
        unet.enable_xformers_memory_efficient_attention()


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Shapes of the queries that a stand-in for xformers is given; it pretends to have the CUDA device it needs."""
    calls: list[torch.Size] = []

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        calls.append(q.shape)  # xformers' layout: (batch, tokens, heads, width)
        scores = torch.einsum("bnhd,bmhd->bhnm", q, k) / q.shape[-1] ** 0.5
        return torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), v)

    fake, ops = types.ModuleType("xformers"), types.ModuleType("xformers.ops")
    ops.memory_efficient_attention = attend  # type: ignore[attr-defined]
    fake.__spec__ = importlib.util.spec_from_loader("xformers", loader=None)
    monkeypatch.setitem(sys.modules, "xformers", fake)
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return calls


@torch.no_grad()
def test_the_xformers_hook_switches_every_attention(attended: list[torch.Size]) -> None:
    unet, inputs = make_unet(), make_inputs()
    plain = unet(**inputs)
    assert not attended
    attentions = [module for module in unet.modules() if isinstance(module, Attention)]
    unet.enable_xformers_memory_efficient_attention()
    torch.testing.assert_close(unet(**inputs), plain, atol=1e-5, rtol=1e-4)
    assert len(attended) == len(attentions) == 6
    assert all(shape[-1] == HEAD_DIM for shape in attended)
    unet.disable_xformers_memory_efficient_attention()
    unet(**inputs)
    assert len(attended) == 6


def test_the_pipeline_switches_every_network(attended: list[torch.Size]) -> None:
    pipeline = make_pipeline()
    plain = pipeline(FRAME[:1], 50.0, generator=seeds(1), output_type="pt").clips
    pipeline.enable_xformers_memory_efficient_attention()
    switched = pipeline(FRAME[:1], 50.0, generator=seeds(1), output_type="pt").clips
    assert len(attended) > 0
    assert float((switched - plain).abs().mean()) < 0.02
    attended.clear()
    pipeline.disable_xformers_memory_efficient_attention()
    assert torch.equal(pipeline(FRAME[:1], 50.0, generator=seeds(1), output_type="pt").clips, plain)
    assert not attended


def test_without_a_cuda_device_xformers_is_refused_in_one_line(
    attended: list[torch.Size], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="runs on CUDA devices alone") as caught:
        make_pipeline().enable_xformers_memory_efficient_attention()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("width", [8, 16, 48])
def test_a_level_with_attention_is_a_whole_number_of_heads_wide(width: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 32 channels wide, got {width}"):
        Attention(width, "time")
    with pytest.raises(ValueError, match=f"got {width}"):
        UNet3D(patch=2, widths=[32, width], blocks=[1, 1], emb_dim=32, frame_patch=4)
    with pytest.raises(ValueError, match=f"got {width}"):
        EFGuide(size=14, patch=1, widths=[32, width], blocks=[1, 1], emb_dim=32)
    UNet3D(widths=[width, 32], blocks=[1, 1], space_attention=[False, True], time_attention=[False, True], emb_dim=32)

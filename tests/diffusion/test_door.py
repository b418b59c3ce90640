"""The pipeline's door: names, folders and the Hub; diffusers' own loader; half precision."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import dynamic_modules_utils

from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.pipeline_folder import PIPELINE_CODE, locate_cascade
from echosynth.errors import CheckpointError
from echosynth.storage.bundled import bundled_folder
from tests.models import CASCADE, make_tiny_bundle, make_tiny_cascade
from tests.pipelines import FRAME, make_pipeline, seeds


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No network; the hosts that were asked for."""
    hosts: list[str] = []

    def refuse(host: Any, *rest: Any, **named: Any) -> None:
        hosts.append(str(host))
        raise socket.gaierror("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return hosts


def test_a_bundled_name_is_found_without_the_network(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(make_tiny_bundle(tmp_path)))
    loaded = EchoCascadePipeline.from_pretrained(CASCADE)
    assert [spec.name for spec in loaded.stages] == ["base", "sr1", "sr2"]
    config = tmp_path / CASCADE / "base_scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("2.0", "3.0"))
    with pytest.raises(CheckpointError, match="damaged or was changed"):
        EchoCascadePipeline.from_pretrained(CASCADE)
    assert not asked


@pytest.mark.parametrize("name", ["phantom_fats", "./phantom_fast_2", "a/b/c", "", "runs/mine/pipeline"])
def test_an_unknown_name_is_reported_without_the_network(asked: list[str], name: str) -> None:
    with pytest.raises(CheckpointError, match="no model"):
        EchoCascadePipeline.from_pretrained(name)
    assert not asked


def test_a_path_into_a_folder_that_is_here_is_no_repository(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="no model 'runs/mine'"):
        EchoCascadePipeline.from_pretrained("runs/mine")
    with pytest.raises(CheckpointError, match="no model 'other/mine'"):
        EchoCascadePipeline.from_pretrained(Path("other/mine"))
    assert locate_cascade("other/mine") is None
    assert not asked


def test_only_a_repository_is_asked_of_the_hub_and_its_absence_is_one_line(asked: list[str]) -> None:
    with pytest.raises(CheckpointError, match="'nobody/nothing' is no known model and no folder here") as caught:
        EchoCascadePipeline.from_pretrained("nobody/nothing")
    assert "\n" not in str(caught.value)
    assert all("huggingface" in host for host in asked)


def test_another_kind_of_model_is_refused(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(make_tiny_bundle(tmp_path)))
    with pytest.raises(CheckpointError, match="regressor"):
        EchoCascadePipeline.from_pretrained("r2plus1d_small")
    assert not asked


@pytest.mark.heavy
def test_a_saved_folder_opens_in_every_way(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    pipeline, folder = make_pipeline(), tmp_path / "saved"
    pipeline.save_pretrained(folder)
    opened = [
        EchoCascadePipeline.from_pretrained(folder),
        EchoCascadePipeline.from_pretrained(str(folder)),
        load_cascade(folder),
        DiffusionPipeline.from_pretrained(folder, custom_pipeline=str(folder), trust_remote_code=True),
    ]
    truth = pipeline(FRAME[:1], 50.0, generator=seeds(1), output_type="pt").clips
    for made in opened:
        assert type(made) is EchoCascadePipeline
        made.set_progress_bar_config(disable=True)
        assert torch.equal(made(FRAME[:1], 50.0, generator=seeds(1), output_type="pt").clips, truth)
    assert not asked


def test_a_file_runs_only_for_who_trusts_it(tmp_path: Path) -> None:
    folder = make_tiny_cascade(tmp_path / "tiny")
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        DiffusionPipeline.from_pretrained(folder, custom_pipeline=str(folder))


def test_the_published_folder_has_the_file_that_saving_writes() -> None:
    folder = bundled_folder("checkpoints") / CASCADE
    assert (folder / "pipeline.py").read_text() == PIPELINE_CODE
    assert "  pipeline.py\n" in (folder / "SHA256SUMS").read_text()


@pytest.mark.heavy
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("way", ["to", "dtype", "torch_dtype"])
def test_networks_run_in_the_type_that_they_were_given(tmp_path: Path, dtype: torch.dtype, way: str) -> None:
    pipeline = make_pipeline()
    truth = pipeline(FRAME[:2], [30.0, 60.0], generator=seeds(1, 2), output_type="pt").clips
    if way == "to":
        made = pipeline.to(dtype)
    else:
        pipeline.save_pretrained(tmp_path)
        made = EchoCascadePipeline.from_pretrained(tmp_path, **{way: dtype})
        made.set_progress_bar_config(disable=True)
    seen: list[torch.dtype] = []
    handle = made.sr1_unet.register_forward_hook(lambda module, given, answer: seen.append(answer.dtype))
    states: list[torch.dtype] = []

    def note(pipe: EchoCascadePipeline, step: int, sigma: torch.Tensor, given: dict[str, torch.Tensor]) -> None:
        states.append(given["latents"].dtype)

    clips = made(FRAME[:2], [30.0, 60.0], generator=seeds(1, 2), output_type="pt", callback_on_step_end=note).clips
    handle.remove()
    assert set(seen) == {dtype}
    assert set(states) == {torch.float32}, "the sampler's state stays in single precision"
    assert clips.dtype == torch.float32
    assert float((clips - truth).abs().mean()) < 0.02


@pytest.mark.heavy
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_guide_tracker_and_frame_stage_run_in_half_precision(dtype: torch.dtype) -> None:
    pipeline = load_cascade(CASCADE).to(dtype)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(None, 30.0, num_frames=4, ef_guidance_scale=1.0, generator=seeds(1), output_type="pt").clips
    assert made.shape == (1, 1, 4, 112, 112)
    assert bool(made.isfinite().all())

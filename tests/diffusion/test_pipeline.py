"""EchoCascadePipeline: the diffusers contract, seeds, and what it refuses."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echosynth.diffusion import precision
from echosynth.diffusion.cascade import StageSpec
from echosynth.diffusion.cascade_output import EchoCascadeOutput
from echosynth.diffusion.conditions import read_conditions
from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.observed import ObservedFrames
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.errors import CheckpointError
from echosynth.storage.checksums import write_sums
from tests.models import make_tiny_cascade
from tests.pipelines import FRAME, make_pipeline, seeds

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "model_index.json"


@pytest.fixture(scope="module")
def pipeline() -> EchoCascadePipeline:
    return make_pipeline()


@pytest.fixture
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision.torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())


def test_output_types(pipeline: EchoCascadePipeline) -> None:
    made = pipeline(FRAME[:2], [30.0, 60.0], generator=seeds(1, 2))
    assert isinstance(made, EchoCascadeOutput)
    assert made.clips.shape == (2, 8, 56, 56)
    assert made.clips.dtype == np.uint8
    assert made.fps == 16.0
    (tensor,) = pipeline(FRAME[:2], [30.0, 60.0], generator=seeds(1, 2), output_type="pt", return_dict=False)
    assert tensor.shape == (2, 1, 8, 56, 56)
    assert float(tensor.abs().max()) <= 1
    assert np.array_equal(((tensor[:, 0].numpy() + 1) * 127.5).round().astype(np.uint8), made.clips)


@pytest.mark.usefixtures("full_precision")
def test_a_clip_does_not_depend_on_its_batch(pipeline: EchoCascadePipeline) -> None:
    together = pipeline(FRAME, [20.0, 50.0, 80.0], generator=seeds(1, 2, 3), output_type="pt").clips
    alone = pipeline(FRAME[1:2], 50.0, generator=seeds(2), output_type="pt").clips
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=0)


def test_in_bf16_a_clip_nearly_does_not_depend_on_its_batch(pipeline: EchoCascadePipeline) -> None:
    together = pipeline(FRAME, [20.0, 50.0, 80.0], generator=seeds(1, 2, 3), output_type="pt").clips
    alone = pipeline(FRAME[1:2], 50.0, generator=seeds(2), output_type="pt").clips
    assert float((together[1:2] - alone).abs().mean()) < 0.01


def test_the_same_seed_gives_the_same_clip_and_another_another(pipeline: EchoCascadePipeline) -> None:
    one, two, other = (pipeline(FRAME[:1], 50.0, generator=seeds(s)).clips for s in (7, 7, 8))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_ef_and_guidance_change_the_clip(pipeline: EchoCascadePipeline) -> None:
    plain = pipeline(FRAME[:1], 50.0, generator=seeds(1)).clips
    assert not np.array_equal(plain, pipeline(FRAME[:1], 20.0, generator=seeds(1)).clips)
    assert not np.array_equal(plain, pipeline(FRAME[:1], 50.0, generator=seeds(1), guidance_scale=4.0).clips)


def test_fresh_networks_give_noise_around_the_frame_at_any_ef() -> None:
    fresh = make_pipeline(fresh=True)
    one, two = (fresh(FRAME[:1], ef, generator=seeds(1), guidance_scale=1.0).clips for ef in (20.0, 80.0))
    assert np.array_equal(one, two)


def test_callbacks_come_once_a_step(pipeline: EchoCascadePipeline) -> None:
    seen: list[tuple[int, float]] = []

    def note(
        pipe: EchoCascadePipeline, step: int, sigma: torch.Tensor, given: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        assert pipe is pipeline
        assert given["latents"].dtype == torch.float32
        seen.append((step, float(sigma)))
        return given

    pipeline(FRAME[:1], 50.0, num_inference_steps=5, callback_on_step_end=note)
    assert [step for step, _ in seen] == [0, 1, 2, 3, 4, 0, 1, 0, 1]
    assert [sigma for step, sigma in seen if step == 4] == [0.0]


def test_passes_are_what_the_networks_see(pipeline: EchoCascadePipeline) -> None:
    counts = {"base": 0, "sr1": 0, "sr2": 0}
    handles = []
    for name in counts:

        def count(module: torch.nn.Module, given: tuple[torch.Tensor, ...], name: str = name) -> None:
            counts[name] += len(given[0])

        handles.append(getattr(pipeline, f"{name}_unet").register_forward_pre_hook(count))
    try:
        pipeline(FRAME[:1], 50.0)
    finally:
        for handle in handles:
            handle.remove()
    assert counts == pipeline.passes() == {"base": 6, "sr1": 2, "sr2": 2}
    assert pipeline.passes(10, 1.0)["base"] == 10


def test_the_stage_hook_surrounds_every_stage_and_changes_nothing(pipeline: EchoCascadePipeline) -> None:
    events: list[str] = []

    @contextlib.contextmanager
    def hook(spec: StageSpec) -> Iterator[None]:
        events.append(f"enter {spec.name}")
        yield
        events.append(f"leave {spec.name}")

    plain = pipeline(FRAME[:1], 50.0, generator=seeds(3)).clips
    handle = pipeline.sr1_unet.register_forward_hook(lambda *_: events.append("sr1 runs"))
    pipeline.stage_hook = hook
    try:
        watched = pipeline(FRAME[:1], 50.0, generator=seeds(3)).clips
    finally:
        pipeline.stage_hook = None
        handle.remove()
    expected = ["enter base", "leave base", "enter sr1", "sr1 runs", "sr1 runs", "leave sr1", "enter sr2", "leave sr2"]
    assert events == expected
    assert np.array_equal(plain, watched)


@pytest.mark.parametrize("ef", [0.5, 96.0, float("nan"), [50.0, 200.0]])
def test_an_ef_that_no_heart_has_is_refused(pipeline: EchoCascadePipeline, ef: float) -> None:
    with pytest.raises(ValueError, match="per cent"):
        pipeline(FRAME[:2], ef)


def test_unsupported_conditions_are_refused(pipeline: EchoCascadePipeline) -> None:
    assert pipeline.supported_conditions == ["ef"]
    with pytest.raises(ValueError, match="does not support heart_rate, phase, only ef"):
        pipeline(FRAME[:1], 50.0, heart_rate=60, phase=0.5)
    made = [pipeline(FRAME[:1], 50.0, generator=seeds(4), **kw).clips for kw in ({}, {"heart_rate": None})]
    assert np.array_equal(*made)


@pytest.mark.heavy
def test_without_a_frame_there_are_as_many_patients_as_efs(pipeline: EchoCascadePipeline) -> None:
    made = pipeline(None, [30.0, 60.0], generator=seeds(1, 2)).clips
    assert made.shape == (2, 8, 56, 56)
    assert np.array_equal(made, pipeline(None, [30.0, 60.0], generator=seeds(1, 2)).clips)
    given = pipeline(FRAME[:2], [30.0, 60.0], generator=seeds(1, 2)).clips
    assert np.abs(made.astype(int) - given).mean() > 5, "the frame was looked at"
    with pytest.raises(ValueError, match="generators"):
        pipeline(None, 50.0, generator=seeds(1, 2))


@pytest.mark.heavy
@pytest.mark.parametrize("num_frames", [2, 8, 12, 40])
def test_a_clip_has_the_length_that_was_asked_for(pipeline: EchoCascadePipeline, num_frames: int) -> None:
    made = pipeline(FRAME[:1], 50.0, num_frames, generator=seeds(3)).clips
    assert made.shape == (1, num_frames, 56, 56)
    if num_frames == 8:
        assert np.array_equal(made, pipeline(FRAME[:1], 50.0, generator=seeds(3)).clips)


@pytest.mark.parametrize("num_frames", [0, 7, -2])
def test_a_length_that_the_stages_cannot_make_is_refused(pipeline: EchoCascadePipeline, num_frames: int) -> None:
    with pytest.raises(ValueError, match="multiple of 2"):
        pipeline(FRAME[:1], 50.0, num_frames)


@pytest.mark.parametrize("kept", [[0, 1, 2], [2, 3, 6], []])
def test_observed_frames_stay_and_the_others_are_made(pipeline: EchoCascadePipeline, kept: list[int]) -> None:
    clip = torch.rand(2, 1, 8, 56, 56, generator=torch.Generator().manual_seed(9)) * 2 - 1
    where = torch.zeros(2, 8, dtype=torch.bool)
    where[:, kept] = True
    call = {"generator": seeds(1, 2), "output_type": "pt"}
    made = pipeline(FRAME[:2], 50.0, observed=ObservedFrames(clip, where), **call).clips
    torch.testing.assert_close(made[:, :, kept], clip[:, :, kept], atol=1e-5, rtol=0)
    plain = pipeline(FRAME[:2], 50.0, **call | {"generator": seeds(1, 2)}).clips
    others = [k for k in range(8) if k not in kept]
    assert torch.equal(made, plain) == (not kept)
    assert float((made[:, :, others] - clip[:, :, others]).abs().mean()) > 0.1


def test_observed_frames_of_another_shape_are_refused(pipeline: EchoCascadePipeline) -> None:
    clip, where = torch.zeros(1, 1, 8, 56, 56), torch.ones(1, 8, dtype=torch.bool)
    with pytest.raises(ValueError, match="observed frames"):
        pipeline(FRAME[:2], 50.0, observed=ObservedFrames(clip, where))
    with pytest.raises(ValueError, match="observed frames"):
        ObservedFrames(clip, where[:, :7])


def test_volumes_must_be_those_of_the_ef() -> None:
    with pytest.raises(ValueError, match=r"make an EF of 60\.0 per cent, but 62 was asked for"):
        read_conditions({"ef": [60.0, 62.0], "edv": 100, "esv": 40}, 2, "cpu")
    read = read_conditions({"ef": 60.4, "edv": 100, "esv": [40, 39]}, 2, "cpu")
    assert read["esv"].tolist() == [40, 39]
    assert read["quality"].isnan().all()
    with pytest.raises(ValueError, match="one value or 2, got 3"):
        read_conditions({"ef": [60.0, 61.0, 62.0]}, 2, "cpu")


@pytest.mark.parametrize("timing", [{"heart_rate": 10}, {"heart_rate": 400.0}, {"phase": 1.5}, {"phase": float("nan")}])
def test_a_timing_that_no_heart_has_is_refused(pipeline: EchoCascadePipeline, timing: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(timing))):
        pipeline(FRAME[:2], 50.0, **timing)


def test_wrong_arguments_are_refused(pipeline: EchoCascadePipeline) -> None:
    with pytest.raises(ValueError, match="56, 56"):
        pipeline(FRAME[:, :, :28, :28], 50.0)
    with pytest.raises(ValueError, match="56, 56"):
        pipeline(FRAME[0], 50.0)
    with pytest.raises(ValueError, match="output_type"):
        pipeline(FRAME[:1], 50.0, output_type="pil")
    with pytest.raises(ValueError, match="num_inference_steps"):
        pipeline(FRAME[:1], 50.0, num_inference_steps=0)
    with pytest.raises(ValueError, match="generators"):
        pipeline(FRAME[:2], 50.0, generator=seeds(1))
    with pytest.raises(ValueError, match="stages is missing"):
        EchoCascadePipeline(pipeline.base_unet, pipeline.base_scheduler)


@pytest.mark.parametrize(
    ("ef", "frame", "generator", "words"),
    [
        ("35", FRAME[:1], None, "ef must be a number"),
        (35.0, FRAME[:1], 3, "generator must be a torch.Generator"),
        (35.0, np.zeros((56, 56, 3), np.uint8), None, "must be grey"),
    ],
)
def test_what_is_no_number_generator_or_grey_picture_is_refused_by_name(
    pipeline: EchoCascadePipeline, ef: Any, frame: Any, generator: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        pipeline(frame, ef, generator=generator)


@torch.no_grad()
def test_saving_and_loading_changes_nothing(pipeline: EchoCascadePipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    loaded = EchoCascadePipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert loaded.stages == pipeline.stages
    made = [p(FRAME[:1], 50.0, generator=seeds(3)).clips.astype(int) for p in (pipeline, loaded)]
    assert int(np.abs(made[0] - made[1]).max()) <= 1


def test_the_last_stages_can_be_left_out(pipeline: EchoCascadePipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    short = EchoCascadePipeline.from_pretrained(tmp_path, sr2_unet=None, sr2_scheduler=None)
    short.set_progress_bar_config(disable=True)
    assert [spec.name for spec in short.stages] == ["base", "sr1"]
    assert short(FRAME[:1], 50.0).clips.shape == (1, 8, 14, 14)


@pytest.mark.usefixtures("full_precision")
def test_it_moves_to_double_precision() -> None:
    made = make_pipeline().to(torch.float64)
    assert made.dtype == torch.float64
    assert {p.dtype for p in made.sr2_unet.parameters()} == {torch.float64}


def test_module_paths_on_disk_are_the_published_ones(tmp_path: Path) -> None:
    """A class that moves breaks every saved model: this file may change only together with a migration."""
    index = json.loads((make_tiny_cascade(tmp_path / "tiny") / "model_index.json").read_text())
    golden = json.loads(GOLDEN.read_text())
    del index["_diffusers_version"]
    # The published files name EF guidance steering; what is written today reads as the same stages.
    written, published = ([StageSpec.from_dict(stage) for stage in one.pop("stages")] for one in (index, golden))
    assert written == published
    assert index == golden


def test_a_calibrated_cascade_loads_and_samples_another_ef(pipeline: EchoCascadePipeline, tmp_path: Path) -> None:
    plain = pipeline(FRAME[:1], 40.0, generator=seeds(5)).clips
    pipeline.register_to_config(ef_calibration=[[20.0, 30.0], [30.0, 40.0], [60.0, 70.0]])
    try:
        pipeline.save_pretrained(tmp_path / "calibrated")
    finally:
        pipeline.register_to_config(ef_calibration=None)
    write_sums(tmp_path / "calibrated")
    calibrated = load_cascade(str(tmp_path / "calibrated"))
    calibrated.set_progress_bar_config(disable=True)
    made = calibrated(FRAME[:1], 30.0, generator=seeds(5)).clips
    assert int(np.abs(made.astype(int) - plain.astype(int)).max()) <= 1


def test_the_loader_checks_hashes(tmp_path: Path) -> None:
    folder = make_tiny_cascade(tmp_path / "tiny")
    assert isinstance(load_cascade(str(folder)), EchoCascadePipeline)
    config = folder / "base_scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("2.0", "3.0"))
    with pytest.raises(CheckpointError, match="damaged or was changed"):
        load_cascade(str(folder))

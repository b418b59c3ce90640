"""What a GPU must agree on with a CPU: phantoms, training batches, networks, and clips. Skipped where there is none."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from echosynth.diffusion.loading import load_cascade
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.seeding import make_generator
from echosynth.training.clips.phantom_set_config import PhantomSetConfig
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.engine.optim import OptimConfig
from echosynth.training.engine.run import TrainingJob, run_training
from echosynth.training.engine.schedule import LogSchedule
from echosynth.training.tasks.denoising import DiffusionTask
from tests.fake_set import write_fake_set
from tests.stages import make_stage

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SEEDS = [3, 8, 21, 40]


def render(device: str) -> torch.Tensor:
    patients = [sample_patient(seed) for seed in SEEDS]
    views = [sample_view(seed, p.long_axis, "wide") for seed, p in zip(SEEDS, patients, strict=True)]
    phantom = Phantom(patients, views, SEEDS, device=device)
    return phantom.render([55.0, 30.0, 70.0, 15.0], 20, 32.0, [0.0, 0.4, 0.8, 0.2])[0].cpu()


def test_a_phantom_is_the_same_clip() -> None:
    off = (render("cuda").int() - render("cpu").int()).abs()
    assert int(off.max()) <= 1
    assert float((off > 0).float().mean()) < 0.01


def test_end_diastole_is_the_same_picture_at_every_ef() -> None:
    patient = sample_patient(3)
    phantom = Phantom([patient], [sample_view(3, patient.long_axis)], [3], device="cuda")
    low, high = (phantom.render([ef], 8)[0] for ef in (15.0, 75.0))
    assert torch.equal(low[:, 0], high[:, 0])
    assert not torch.equal(low[:, 7], high[:, 7])


def test_batches_are_made_there_of_the_same_patients(tmp_path: Path) -> None:
    config = write_fake_set(tmp_path)
    stage = make_stage("base", 4, 8.0, 16, frame_dropout=0.0)
    drawn = {}
    for device in ("cpu", "cuda"):
        task = DiffusionTask(stage, None, PhantomSource(config, device), traced=True)
        drawn[device] = task.make_batch(5, make_generator(3))
    for name in ("residual", "reference", "frame"):
        assert drawn["cuda"][name].is_cuda
        torch.testing.assert_close(drawn["cuda"][name].cpu(), drawn["cpu"][name])
    torch.testing.assert_close(drawn["cuda"]["landmarks"].cpu(), drawn["cpu"]["landmarks"], atol=1e-5, rtol=0)
    noise = drawn["cuda"]["noise"]
    assert abs(float(noise.mean())) < 0.05
    assert float(noise.std()) == pytest.approx(1.0, abs=0.05)


def test_tissue_moves_the_same_way(tmp_path: Path) -> None:
    config = write_fake_set(tmp_path)
    moved = [
        PhantomSource(config, device).set.displacement([0, 5, 9], [None, 0, 1], slice(0, 8), 28).cpu()
        for device in ("cpu", "cuda")
    ]
    torch.testing.assert_close(*moved, atol=2e-3, rtol=0, equal_nan=True)


def test_a_set_is_rendered_on_the_device(tmp_path: Path) -> None:
    from echosynth.training.clips.phantom_set import SHARD, PhantomSet, render_phantom_set

    config = PhantomSetConfig(root=tmp_path, patients=SHARD, num_frames=4, frames_per_clip=1)
    assert list(render_phantom_set(config)) == [1]
    known = PhantomSet.open(config, "cuda")
    patient = sample_patient(7)
    phantom = Phantom([patient], [sample_view(7, patient.long_axis, "wide")], [7])
    facts = known.facts
    again, _ = phantom.render([float(facts["targets"][7, 0])], 4, 32.0, [float(facts["phase"][7])])
    assert int((known.clip(7).cpu().int() - again[0].int()).abs().max()) <= 1


def test_fp16_learns_and_is_continued(tmp_path: Path) -> None:
    stage = make_stage("base", 4, 8.0, 16, frame_dropout=0.0)
    task = DiffusionTask(stage, None, PhantomSource(write_fake_set(tmp_path / "set"), "cuda"))
    optim = OptimConfig(steps=8, batch_size=8, warmup_steps=1, mixed_precision="fp16")

    def train() -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        pace = LogSchedule(log_every=1, validate_every=0, save_every=4)
        made = run_training(TrainingJob("base", task, None, optim, pace, 0, "one"), stage.network(), tmp_path)
        return load_file(made / "diffusion_pytorch_model.safetensors")

    whole = train()
    assert all(bool(value.isfinite().all()) for value in whole.values())
    torch.manual_seed(0)
    assert any(not torch.equal(value, whole[name]) for name, value in stage.network().state_dict().items())
    for spent in ("model", "checkpoints/step-00000008"):
        shutil.rmtree(tmp_path / "base" / spent)
    assert json.loads((tmp_path / "base" / "checkpoints" / "step-00000004" / "state.json").read_text())["scaler"]
    for name, value in train().items():
        torch.testing.assert_close(value, whole[name], atol=1e-3, rtol=1e-2)


def test_the_bundled_networks_say_the_same() -> None:
    pipeline = load_cascade().to(torch.float32)
    torch.manual_seed(0)
    x, frame = torch.randn(2, 1, 16, 28, 28), torch.rand(2, 1, 112, 112) * 2 - 1
    given = {"c_noise": torch.tensor([-0.5, 0.1]), "frame_given": torch.tensor([True, True])}
    scalars = {"ef": torch.tensor([30.0, 60.0])}
    said = []
    for device in ("cpu", "cuda"):
        network = pipeline.base_unet.to(device)
        values = {name: value.to(device) for name, value in scalars.items()}
        with torch.no_grad():
            there = {name: value.to(device) for name, value in given.items()}
            said.append(network(x.to(device), scalars=values, frame=frame.to(device), **there).cpu())
    torch.testing.assert_close(*said, atol=2e-3, rtol=1e-2)


def test_a_clip_is_much_the_same_clip() -> None:
    frame = torch.from_numpy(np.linspace(-1, 1, 112 * 112, dtype=np.float32).reshape(1, 1, 112, 112))
    made = []
    for device in ("cpu", "cuda"):
        pipeline = load_cascade(device=device)
        made.append(pipeline(frame, 40.0, generator=torch.Generator().manual_seed(1), output_type="pt").clips.cpu())
    assert float((made[0] - made[1]).abs().mean()) < 0.02  # networks run in bfloat16, and round differently


@torch.no_grad()
def test_xformers_attends_as_torch_does() -> None:
    pytest.importorskip("xformers.ops")
    pipeline = load_cascade(device="cuda")
    torch.manual_seed(0)
    x, frame = torch.randn(2, 1, 16, 28, 28, device="cuda"), torch.rand(2, 1, 112, 112, device="cuda") * 2 - 1
    given = {"frame": frame, "frame_given": torch.tensor([True, True], device="cuda")}
    scalars = {"ef": torch.tensor([30.0, 60.0], device="cuda")}
    said = []
    for switch in ("disable", "enable"):
        getattr(pipeline, f"{switch}_xformers_memory_efficient_attention")()
        said.append(pipeline.base_unet(x, torch.tensor([-0.5, 0.1], device="cuda"), scalars=scalars, **given))
    torch.testing.assert_close(*said, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_cascade_in_half_precision_makes_much_the_same_clip(dtype: torch.dtype) -> None:
    frame = torch.from_numpy(np.linspace(-1, 1, 112 * 112, dtype=np.float32).reshape(1, 1, 112, 112))
    made = []
    for wanted in (torch.float32, dtype):
        pipeline = load_cascade(device="cuda").to(wanted)
        made.append(pipeline(frame, 40.0, generator=torch.Generator().manual_seed(1), output_type="pt").clips.cpu())
    assert float((made[0] - made[1]).abs().mean()) < 0.02

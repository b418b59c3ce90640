"""Tiny models with random weights, in the folders and with the hashes that real ones have."""

import json
from pathlib import Path

import torch

from echosynth.diffusion.cascade import StageSpec
from echosynth.diffusion.loading import DEFAULT_CASCADE
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.unet3d import UNet3D
from echosynth.evaluation.panel import load_panel
from echosynth.regression.base import EFRegressor
from echosynth.regression.frame_transformer import FrameTransformer
from echosynth.regression.loading import DEFAULT_GATE, DEFAULT_JUDGE
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.storage.checksums import write_sums

CASCADE, GATE, JUDGE = DEFAULT_CASCADE, DEFAULT_GATE, DEFAULT_JUDGE


def make_tiny_cascade(folder: Path, seed: int = 0) -> Path:
    """Base 4 x 28 x 28 -> 16 frames -> 112 x 112, two steps each; the last layers are random, so that seeds matter.

    Before them a stage that draws frames of fictional patients, conditioned on their quality.
    """
    torch.manual_seed(seed)
    specs = [
        StageSpec("frame", "frame", 1, 8.0, 28, 2),
        StageSpec("base", "base", 4, 8.0, 28, 2),
        StageSpec("sr1", "temporal", 16, 32.0, 28, 2, lowres_sigma=0.02),
        StageSpec("sr2", "spatial", 16, 32.0, 112, 2, lowres_sigma=0.02),
    ]
    networks = {}
    for spec in specs:
        network = UNet3D(
            patch=8 if spec.name == "sr2" else 2,
            widths=[32, 32],
            blocks=[1, 1],
            space_attention=[False, False],
            time_attention=[False, True],
            emb_dim=32,
            scalars={"frame": ["quality"], "sr2": []}.get(spec.name, ["ef"]),
            frame_patch=None if spec.name == "frame" else 8,
            lowres=spec.name in ("sr1", "sr2"),
        )
        torch.nn.init.normal_(network.last.weight, std=0.05)
        networks[spec.name] = network
    schedulers = {spec.name: EDMScheduler(sigma_min=0.01, sigma_max=2.0, sigma_data=0.2) for spec in specs}
    EchoCascadePipeline.from_stages(specs, networks, schedulers).save_pretrained(folder)
    return publish(folder, "cascade", "echosynth.diffusion.pipeline.EchoCascadePipeline")


def make_tiny_regressor(folder: Path, name: str, model_class: type[EFRegressor], seed: int = 0) -> Path:
    """Write a random regressor `folder/name` that is shown 8 frames at 16 Hz."""
    torch.manual_seed(seed)
    model: EFRegressor
    if model_class is R2Plus1D:
        model = R2Plus1D(fps=16.0, frames=8, size=56, widths=[8, 8, 8, 8], blocks=[1, 1, 1, 1], stem_width=8)
    else:
        model = FrameTransformer(fps=16.0, frames=8, size=112, patch=4, widths=[8, 16, 24], dim=16, depth=1, heads=2)
    model.save_pretrained(folder / name)
    return publish(folder / name, "regressor", f"{model_class.__module__}.{model_class.__name__}")


def make_tiny_bundle(folder: Path) -> Path:
    """Write a cascade and a panel's readers under the bundled ones' names; point ECHOSYNTH_CHECKPOINTS at it."""
    make_tiny_cascade(folder / CASCADE)
    make_tiny_regressor(folder, GATE, R2Plus1D, seed=1)
    make_tiny_regressor(folder, JUDGE, FrameTransformer, seed=2)
    for seed, name in enumerate(sorted(load_panel().regressors.keys() - {GATE, JUDGE}), 3):
        make_tiny_regressor(folder, name, R2Plus1D, seed)
    return folder


def publish(folder: Path, kind: str, class_name: str) -> Path:
    """Write the card and the hashes of a model's folder."""
    card = {"name": folder.name, "kind": kind, "class": class_name, "license": "Apache-2.0"}
    (folder / "card.json").write_text(json.dumps(card))
    write_sums(folder)
    return folder

"""A phantom set that was never rendered: blobs that shrink with their EF, in the set's layout on disk."""

from pathlib import Path
from typing import Any

import numpy as np

from echosynth.training.clips.phantom_set import SHARD, sample_facts
from echosynth.training.clips.phantom_source import PhantomSourceConfig
from echosynth.training.engine.optim import OptimConfig
from echosynth.training.regressor import RegressorConfig


def write_fake_set(root: Path, first_seed: int = 0, frames: int = 16, size: int = 32) -> PhantomSourceConfig:
    """Write one shard of moving blobs and return the config that opens it."""
    config = PhantomSourceConfig(
        root=root, patients=SHARD, first_seed=first_seed, num_frames=frames, size=size, frames_per_clip=2
    )
    rng = np.random.default_rng(first_seed)
    ef = rng.uniform(10, 85, SHARD).astype(np.float32)
    y, x = np.mgrid[:size, :size] / size - 0.5
    phase = 2 * np.pi * np.arange(frames) / 12

    def draw(beat: np.ndarray, strength: np.ndarray) -> np.ndarray:
        radius = 0.35 * (1 - 0.5 * strength[:, None] / 100 * (0.5 - 0.5 * np.cos(beat)))
        distance = np.hypot(x, y)[None, None] - radius[..., None, None]
        return (255 / (1 + np.exp(-distance * 40)) * shade[:, None, None, None]).astype(np.uint8)

    shade = rng.uniform(0.5, 1.0, SHARD)
    folder = config.folder() / "00000"
    folder.mkdir(parents=True)
    np.save(folder / "clips.npy", draw(phase[None], ef))
    others = [draw(phase[None, :1], rng.uniform(10, 85, SHARD))[:, 0] for _ in range(config.frames_per_clip)]
    np.save(folder / "frames.npy", np.stack(others, 1))
    facts = sample_facts(range(first_seed, first_seed + SHARD), config)
    facts["targets"][:, 0], facts["patient.heart_rate"][:], facts["phase"][:] = ef, 60 * config.fps / 12, 0.0
    np.savez(folder / "facts.npz", allow_pickle=False, **facts)
    np.save(folder / "curve.npy", (1 - ef[:, None] / 100 * (0.5 - 0.5 * np.cos(phase[None]))).astype(np.float32))
    return config


def one_step(
    root: PhantomSourceConfig, network: str, arguments: dict[str, Any], batch_size: int = 4
) -> RegressorConfig:
    """A regressor that learns one step of a fake set."""
    return RegressorConfig.model_validate(
        {
            "kind": "regressor",
            "name": "fake",
            "data": root,
            "validation": root,
            "network": network,
            "arguments": arguments,
            "optim": OptimConfig(steps=1, batch_size=batch_size),
        }
    )

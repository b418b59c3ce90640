"""Phantom patients rendered once to disk, for training: clips, frames of the same patients at other EFs, and their EF.

A sample of patient s is one clip at EF b, and a few frames of the SAME patient, view and cardiac phase as the clip's
first frame, at other EFs. Conditioning on those frames teaches the counterfactual itself: the frame tells who the
patient is, never which EF to show.

On disk: one folder per 64 patients, written under a temporary name and renamed, so a set can be rendered by many
processes, killed and continued.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from echosynth.config import StrictModel
from echosynth.errors import ConfigError
from echosynth.phantom.contours import trace_contours, trace_epicardium
from echosynth.phantom.maps import displace_pixels
from echosynth.phantom.patient import RESERVED_PATIENT_SEEDS
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.seeding import derive_seed

Family = Literal["wide", "echonet", "camus", "point-of-care"]

SHARD = 64
LOW_EF, HIGH_EF = 10.0, 85.0
SCALARS = ("ef", "heart_rate", "phase")


class PhantomSetConfig(StrictModel):
    """Which patients to render and how.

    Attributes:
        root: folder that holds rendered sets; the set's own folder in it is named by a hash of this config.
        patients: how many.
        first_seed: patient seeds are first_seed, first_seed + 1, ...
        num_frames: frames of a clip.
        fps: Hz.
        size: side of the picture, pixels.
        frames_per_clip: frames at other EFs.
        views: family of views, see `sample_view`; or several, of which each patient has one.
        workers: processes that render.
    """

    root: Path = Path("runs/phantoms")
    patients: int = 1024
    first_seed: int = 0
    num_frames: int = 64
    fps: float = 32.0
    size: int = 112
    frames_per_clip: int = 3
    views: Family | tuple[Family, ...] = "wide"
    workers: int = 2

    def family(self, seed: int) -> Family:
        """Family of a patient's view."""
        if isinstance(self.views, str):
            return self.views
        return self.views[derive_seed(seed, "family") % len(self.views)]

    def folder(self) -> Path:
        """Where this set lies: a change of what is rendered changes the name, more patients or workers do not."""
        what = {
            k: v for k, v in self.model_dump(mode="json").items() if k not in ("source", "root", "patients", "workers")
        }
        return self.root / hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def _draw_targets(seeds: Sequence[int], frames_per_clip: int) -> tuple[np.ndarray, list[float]]:
    """EF of each patient's clip and of its frames, (B, 1 + K) in per cent, and the phase at which all of them begin."""
    draws = [np.random.default_rng(derive_seed(seed, "training clip")) for seed in seeds]
    targets = np.array([[d.uniform(LOW_EF, HIGH_EF) for _ in range(frames_per_clip + 1)] for d in draws])
    return targets, [float(d.uniform(0, 1)) for d in draws]


def _look_at(seeds: Sequence[int], config: PhantomSetConfig, size: int, device: str = "cpu") -> Phantom:
    patients = [sample_patient(seed) for seed in seeds]
    views = [sample_view(seed, p.long_axis, config.family(seed)) for seed, p in zip(seeds, patients, strict=True)]
    return Phantom(patients, views, seeds, size, device)


def render_shard(config: PhantomSetConfig, index: int, device: str = "cpu") -> None:
    """Render one shard of patients; does nothing if it is already there."""
    target = config.folder() / f"{index:05d}"
    if target.exists():
        return
    seeds = range(config.first_seed + index * SHARD, config.first_seed + (index + 1) * SHARD)
    clips = np.empty((SHARD, config.num_frames, config.size, config.size), np.uint8)
    frames = np.empty((SHARD, config.frames_per_clip, config.size, config.size), np.uint8)
    scalars = {name: np.empty((SHARD,), np.float32) for name in SCALARS}
    curve = np.empty((SHARD, config.num_frames), np.float32)
    step = 1 if device == "cpu" else 16
    for begin in range(0, SHARD, step):
        some = list(seeds[begin : begin + step])
        targets, phases = _draw_targets(some, config.frames_per_clip)
        phantom = _look_at(some, config, config.size, device)
        pixels, truth = phantom.render(targets[:, 0].tolist(), config.num_frames, config.fps, phases)
        cut = slice(begin, begin + len(some))
        clips[cut], scalars["ef"][cut] = pixels.cpu().numpy(), targets[:, 0]
        scalars["heart_rate"][cut], scalars["phase"][cut] = phantom.patient["heart_rate"].cpu(), phases
        curve[cut] = (truth.motion.volume / phantom.patient["edv"][:, None]).cpu().numpy()
        for k in range(config.frames_per_clip):
            one, _ = phantom.render(targets[:, k + 1].tolist(), 1, config.fps, phases)
            frames[cut, k] = one[:, 0].cpu().numpy()
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {"clips": clips, "frames": frames, "curve": curve, **scalars}
    for name, array in arrays.items():
        np.save(part / f"{name}.npy", array)
    try:
        part.rename(target)
    except OSError:  # another process finished the same shard first
        shutil.rmtree(part)


def _render_job(job: tuple[PhantomSetConfig, int]) -> int:
    torch.set_num_threads(1)
    render_shard(*job)
    return job[1]


def render_phantom_set(config: PhantomSetConfig) -> Iterator[int]:
    """Render what is missing; yields the number of shards done after each one.

    Raises:
        ConfigError: the seeds run into those reserved for acceptance.
    """
    if config.first_seed + config.patients > RESERVED_PATIENT_SEEDS:
        raise ConfigError(
            f"patient seeds from {RESERVED_PATIENT_SEEDS} up are reserved for acceptance; lower first_seed"
        )
    shards = range(-(-config.patients // SHARD))
    missing = [k for k in shards if not (config.folder() / f"{k:05d}").exists()]
    done = len(shards) - len(missing)
    if missing and torch.cuda.is_available():
        for index in missing:
            render_shard(config, index, "cuda")
            yield (done := done + 1)
    elif missing:
        with multiprocessing.get_context("spawn").Pool(min(config.workers, len(missing))) as pool:
            for _ in pool.imap_unordered(_render_job, [(config, k) for k in missing]):
                yield (done := done + 1)


@dataclass(frozen=True)
class PhantomSet:
    """A rendered set, memory-mapped.

    Attributes:
        config: what was rendered.
        clips: per shard uint8 (64, T, S, S).
        frames: per shard uint8 (64, K, S, S), other EFs at the first frame's phase.
        scalars: name -> float32 (N,): `ef` per cent, `heart_rate` beats per minute, `phase` share of a beat at frame 0.
        curve: float32 (N, T), volume of every frame as a share of EDV.
        traced: landmarks of the clips that were traced, see `trace`.
    """

    config: PhantomSetConfig
    clips: list[np.ndarray]
    frames: list[np.ndarray]
    scalars: dict[str, np.ndarray]
    curve: np.ndarray
    traced: dict[int, torch.Tensor] = field(default_factory=dict)

    @staticmethod
    def open(config: PhantomSetConfig) -> "PhantomSet":
        """Open a set that `render_phantom_set` has finished."""
        folders = [config.folder() / f"{k:05d}" for k in range(-(-config.patients // SHARD))]
        clips = [np.load(f / "clips.npy", mmap_mode="r") for f in folders]
        frames = [np.load(f / "frames.npy", mmap_mode="r") for f in folders]

        def join(name: str) -> np.ndarray:
            return np.concatenate([np.load(f / f"{name}.npy") for f in folders])[: config.patients]

        return PhantomSet(config, clips, frames, {name: join(name) for name in SCALARS}, join("curve"))

    def __len__(self) -> int:
        return len(self.curve)

    def clip(self, index: int) -> np.ndarray:
        """uint8 (T, S, S)."""
        return self.clips[index // SHARD][index % SHARD]

    def frame(self, index: int, which: int) -> np.ndarray:
        """uint8 (S, S): the patient at another EF, at the phase of the clip's first frame."""
        return self.frames[index // SHARD][index % SHARD, which]

    def displacement(self, indices: Sequence[int], which: Sequence[int | None], cut: slice, size: int) -> torch.Tensor:
        """Where the tissue of some of the clips' frames is in frames of the same patients, from what is known of them.

        Args:
            indices: of the clips.
            which: of `frame`, None for the clip's own first frame.
            cut: the clips' frames.
            size: side of the pictures in whose pixels it is given.

        Returns:
            Float32 (B, T, 2, size, size), see `displace_pixels`.
        """
        seeds = [self.config.first_seed + index for index in indices]
        targets, phases = _draw_targets(seeds, self.config.frames_per_clip)
        phantom = _look_at(seeds, self.config, size)
        shown = [row[0 if k is None else k + 1] for row, k in zip(targets, which, strict=True)]
        truth = phantom.move(targets[:, 0].tolist(), self.config.num_frames, self.config.fps, phases)
        return displace_pixels(phantom, truth.cut(cut), phantom.move(shown, 1, self.config.fps, phases))

    def trace(self, indices: Sequence[int]) -> torch.Tensor:
        """The borders in every frame of some clips, from what is known of them; a clip is traced once.

        Returns:
            Landmarks float32 (B, T, 2, 21, 2, 2) of endocardium and epicardium, see video/volumes.py.
        """
        missing = sorted(set(indices) - self.traced.keys())
        if missing:
            seeds = [self.config.first_seed + index for index in missing]
            targets, phases = _draw_targets(seeds, self.config.frames_per_clip)
            phantom = _look_at(seeds, self.config, self.config.size)
            truth = phantom.move(targets[:, 0].tolist(), self.config.num_frames, self.config.fps, phases)
            borders = [
                torch.cat([axis[:, :, None], chords], dim=2)
                for axis, chords in (trace_contours(phantom, truth), trace_epicardium(phantom, truth))
            ]
            places = (torch.stack(borders, dim=2) + 0.5) / self.config.size
            self.traced.update(zip(missing, places.float(), strict=True))
        return torch.stack([self.traced[index] for index in indices])

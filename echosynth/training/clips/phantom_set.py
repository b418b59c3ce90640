"""Phantom patients rendered once to disk, for training: clips, frames of the same patients at other EFs, and their EF.

A sample of patient s is one clip at EF b, and a few frames of the SAME patient, view and cardiac phase as the clip's
first frame, at other EFs. Conditioning on those frames trains the counterfactual directly: the frame identifies
the patient and holds no information on the EF to show.

On disk: one folder per 64 patients, written under a temporary name and renamed, so a set can be rendered by many
processes, killed and continued.
"""

import multiprocessing
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from echosynth.errors import ConfigError, DatasetError
from echosynth.phantom.contours import trace_contours, trace_epicardium
from echosynth.phantom.maps import displace_pixels
from echosynth.phantom.motion import Fields
from echosynth.phantom.patient import RESERVED_PATIENT_SEEDS
from echosynth.phantom.render import Phantom, Truth, stack_fields
from echosynth.phantom.scanner import view_quality
from echosynth.seeding import derive_seed
from echosynth.storage.atomic import ABANDONED, new_folder, remove_leftovers
from echosynth.training.clips.phantom_set_config import PhantomSetConfig

SHARD = 64
GPU_BATCH = 32  # patients that a GPU renders at once


def _draw_targets(seeds: Sequence[int], config: PhantomSetConfig) -> tuple[np.ndarray, np.ndarray]:
    """EF of each patient's clip and of its frames, (B, 1 + K) in per cent, and the phase at which all of them begin."""
    draws = [np.random.default_rng(derive_seed(seed, "training clip")) for seed in seeds]
    targets = np.array([[d.uniform(*config.efs) for _ in range(config.frames_per_clip + 1)] for d in draws])
    return targets, np.array([d.uniform(0, 1) for d in draws])


def sample_facts(seeds: Sequence[int], config: PhantomSetConfig) -> dict[str, np.ndarray]:
    """All that there is to know of some patients, float64, (B,) or (B, 1 + K); pictures and truth follow from it."""
    targets, phase = _draw_targets(seeds, config)
    patients = [config.patient(seed, float(own[0])) for seed, own in zip(seeds, targets, strict=True)]
    views = [config.view(seed, p.long_axis) for seed, p in zip(seeds, patients, strict=True)]
    facts = {f"patient.{name}": column for name, column in stack_fields(patients).items()}
    facts |= {f"view.{name}": column for name, column in stack_fields(views).items()}
    return {name: column.double().numpy() for name, column in facts.items()} | {"targets": targets, "phase": phase}


class Patients:
    """Some patients of a set.

    Args:
        facts: see `sample_facts`, as tensors.
        config: of the set.
        size: side of the pictures, pixels.
        device: where to render and to compute.
    """

    def __init__(
        self, facts: dict[str, torch.Tensor], config: PhantomSetConfig, size: int, device: torch.device | str
    ) -> None:
        def fields(kind: str) -> Fields:
            mine = {name.removeprefix(kind): v for name, v in facts.items() if name.startswith(kind)}
            return mine | {"seed": mine["seed"].long()}

        patient = fields("patient.")
        self.phantom = Phantom(patient, fields("view."), patient["seed"], size, device)
        self.config, self.targets, self.phase = config, facts["targets"].to(device), facts["phase"].to(device)

    def render(self) -> tuple[torch.Tensor, Truth]:
        """The clips, uint8 (B, T, S, S), and their truth."""
        return self.phantom.render(self.targets[:, 0], self.config.num_frames, self.config.fps, self.phase)

    def render_frame(self, which: int) -> torch.Tensor:
        """The first moment at another EF, uint8 (B, S, S)."""
        return self.phantom.render(self.targets[:, which + 1], 1, self.config.fps, self.phase)[0][:, 0]

    def move(self) -> Truth:
        """The truth of the clips."""
        return self.phantom.move(self.targets[:, 0], self.config.num_frames, self.config.fps, self.phase)

    def move_frame(self, which: Sequence[int | None]) -> Truth:
        """The truth of the first moment, at one of the other EFs each, None for the clip's own."""
        column = torch.tensor([0 if k is None else k + 1 for k in which], device=self.targets.device)
        return self.phantom.move(self.targets.gather(1, column[:, None])[:, 0], 1, self.config.fps, self.phase)


def render_shard(config: PhantomSetConfig, index: int, device: str = "cpu") -> None:
    """Render one shard of patients; does nothing if it is already there.

    Raises:
        OutputError: the disk refused.
    """
    target = config.folder() / f"{index:05d}"
    if target.exists():
        return
    seeds = [config.seed(number) for number in range(index * SHARD, (index + 1) * SHARD)]
    facts = sample_facts(seeds, config)
    clips = np.empty((SHARD, config.num_frames, config.size, config.size), np.uint8)
    frames = np.empty((SHARD, config.frames_per_clip, config.size, config.size), np.uint8)
    curve = np.empty((SHARD, config.num_frames), np.float32)
    step = 1 if device == "cpu" else GPU_BATCH
    for begin in range(0, SHARD, step):
        cut = slice(begin, begin + step)
        some = {name: torch.from_numpy(column[cut]) for name, column in facts.items()}
        patients = Patients(some, config, config.size, device)
        pixels, truth = patients.render()
        clips[cut] = pixels.cpu().numpy()
        curve[cut] = (truth.motion.volume / patients.phantom.patient["edv"][:, None]).cpu().numpy()
        for k in range(config.frames_per_clip):
            frames[cut, k] = patients.render_frame(k).cpu().numpy()
    with new_folder(target) as part:  # another process may finish the same shard first
        np.savez(part / "facts.npz", allow_pickle=False, **facts)
        np.save(part / "clips.npy", clips)
        np.save(part / "frames.npy", frames)
        np.save(part / "curve.npy", curve)


def _render_job(job: tuple[PhantomSetConfig, int, str]) -> int:
    torch.set_num_threads(1)
    render_shard(*job)
    return job[1]


def render_phantom_set(config: PhantomSetConfig) -> Iterator[int]:
    """Render what is missing, on a GPU where there is one; yields the number of shards done after each one.

    Raises:
        ConfigError: the seeds run into those reserved for acceptance.
        OutputError: the disk refused.
    """
    if max(config.seed(number) for number in range(max(1, config.patients))) >= RESERVED_PATIENT_SEEDS:
        raise ConfigError(
            f"patient seeds from {RESERVED_PATIENT_SEEDS} up are reserved for acceptance; lower first_seed"
        )
    remove_leftovers(config.folder(), older_than=ABANDONED)
    shards = range(-(-config.patients // SHARD))
    missing = [k for k in shards if not (config.folder() / f"{k:05d}").exists()]
    done = len(shards) - len(missing)
    if not missing:
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with multiprocessing.get_context("spawn").Pool(min(config.workers, len(missing))) as pool:
        for _ in pool.imap_unordered(_render_job, [(config, k, device) for k in missing]):
            yield (done := done + 1)


def _load(path: Path, mmap_mode: Literal["c"] | None = None) -> Any:
    """Read an array, or an archive as a dict of arrays.

    Raises:
        DatasetError: it is missing or damaged.
    """
    try:
        found = np.load(path, mmap_mode=mmap_mode)
        return dict(found) if isinstance(found, np.lib.npyio.NpzFile) else found
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0]
        raise DatasetError(
            f"{path} is missing or damaged ({reason}); remove {path.parent}, and it is rendered again"
        ) from error


@dataclass(frozen=True)
class PhantomSet:
    """A rendered set: memory-mapped, or in a GPU's memory.

    Attributes:
        config: what was rendered.
        device: where pictures and truth are asked for.
        clips: per shard uint8 (64, T, S, S).
        frames: per shard uint8 (64, K, S, S), other EFs at the first frame's phase.
        facts: what is known of the patients, see `sample_facts`: float64, (N,) or (N, 1 + K).
        curve: float32 (N, T), volume of every frame as a share of EDV, on the CPU.
    """

    config: PhantomSetConfig
    device: torch.device
    clips: list[torch.Tensor]
    frames: list[torch.Tensor]
    facts: dict[str, torch.Tensor]
    curve: torch.Tensor

    @staticmethod
    def open(config: PhantomSetConfig, device: torch.device | str = "cpu") -> "PhantomSet":
        """Open a set that `render_phantom_set` has finished.

        Raises:
            DatasetError: a file of the set is missing or damaged.
        """
        folders = [config.folder() / f"{k:05d}" for k in range(-(-config.patients // SHARD))]
        device = torch.device(device)

        def pictures(name: str) -> list[torch.Tensor]:
            # Mapped copy-on-write, although nothing is written: torch does not accept read-only arrays.
            return [torch.from_numpy(_load(f / f"{name}.npy", "c")).to(device) for f in folders]

        def join(parts: list[np.ndarray]) -> torch.Tensor:
            return torch.from_numpy(np.concatenate(parts)[: config.patients])

        known = [_load(f / "facts.npz") for f in folders]
        # Copied once: a hundred small copies a batch would each wait for the device.
        facts = {name: join([part[name] for part in known]).to(device) for name in known[0]}
        curve = join([_load(f / "curve.npy") for f in folders])
        return PhantomSet(config, device, pictures("clips"), pictures("frames"), facts, curve)

    def __len__(self) -> int:
        return len(self.curve)

    def conditions(self) -> dict[str, torch.Tensor]:
        """What is known of every clip, by the names of diffusion's `CONDITIONS`: float32 (N,) each, on the CPU."""
        facts = self.facts
        ef, edv = facts["targets"][:, 0], facts["patient.edv"]
        view = {name.removeprefix("view."): column for name, column in facts.items() if name.startswith("view.")}
        known = {
            "ef": ef,
            "heart_rate": facts["patient.heart_rate"],
            "phase": facts["phase"],
            "quality": view_quality(view),
            "edv": edv,
            "esv": edv * (1 - ef / 100),
        }
        return {name: column.float().cpu() for name, column in known.items()}

    def clip(self, index: int) -> torch.Tensor:
        """uint8 (T, S, S)."""
        return self.clips[index // SHARD][index % SHARD]

    def frame(self, index: int, which: int | None) -> torch.Tensor:
        """uint8 (S, S): the patient at another EF, at the phase of the clip's first frame; None for that frame."""
        return self.clip(index)[0] if which is None else self.frames[index // SHARD][index % SHARD, which]

    def _patients(self, indices: Sequence[int], size: int) -> Patients:
        chosen = torch.tensor(list(indices), device=self.device)
        facts = {name: column[chosen] for name, column in self.facts.items()}
        return Patients(facts, self.config, size, self.device)

    def displacement(self, indices: Sequence[int], which: Sequence[int | None], cut: slice, size: int) -> torch.Tensor:
        """Where the tissue of some of the clips' frames is in frames of the same patients, from what is known of them.

        Args:
            indices: of the clips.
            which: of `frame`.
            cut: the clips' frames.
            size: side of the pictures in whose pixels it is given.

        Returns:
            Float32 (B, T, 2, size, size), see `displace_pixels`.
        """
        patients = self._patients(indices, size)
        return displace_pixels(patients.phantom, patients.move().cut(cut), patients.move_frame(which))

    def trace(self, indices: Sequence[int]) -> torch.Tensor:
        """The borders in every frame of some clips, from what is known of them.

        Returns:
            Landmarks float32 (B, T, 2, 21, 2, 2) of endocardium and epicardium, see cardiac/landmarks.py.
        """
        patients = self._patients(indices, self.config.size)
        truth = patients.move()
        borders = [
            torch.cat([axis[:, :, None], chords], dim=2)
            for axis, chords in (trace_contours(patients.phantom, truth), trace_epicardium(patients.phantom, truth))
        ]
        return ((torch.stack(borders, dim=2) + 0.5) / self.config.size).float()

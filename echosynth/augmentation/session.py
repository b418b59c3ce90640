"""Frames and target EFs -> gated clips on disk. What `generate` and `demo` share.

    OUT/run.json                     settings, hashes, starts
    OUT/manifest.jsonl               every attempt
    OUT/clips/NAME_ef30_s0.avi       lossless; of the accepted attempt, else of the best refused one
    OUT/clips/NAME_ef30_s0.mp4 .gif  to look at

Order on disk: clip, manifest line, previews. A kill between any two loses and doubles nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from echosynth.augmentation.attempts import generate_samples, is_finished
from echosynth.augmentation.conditioning import ConditioningFrame, hash_frames
from echosynth.augmentation.loaded import choose_device, identify, open_cascade, open_regressor, refuse_judge_as_gate
from echosynth.augmentation.manifest import Manifest, ManifestEntry, best_entries
from echosynth.augmentation.plan import PlannedSample, plan_targets
from echosynth.augmentation.sampling import Sampling
from echosynth.diffusion.conditions import CONDITIONS
from echosynth.errors import ConfigError, OutputError
from echosynth.progress import Reporter
from echosynth.storage.run_folder import claim
from echosynth.video.clip import EchoClip
from echosynth.video.files import load_video, write_avi, write_gif, write_mp4

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class GenerationJob:
    """Everything that decides which clips are made.

    Attributes:
        command: "generate" or "demo".
        frames: the conditioning frames.
        efs: target EFs, per cent.
        samples: per frame and EF.
        out: the run's folder.
        cascade: name or folder.
        gate: name or folder.
        judge: name or folder; not the gate.
        sampling: seeds, attempts, tolerance, steps, guidance.
        device: "auto", "cpu" or "cuda".
    """

    command: str
    frames: Sequence[ConditioningFrame]
    efs: Sequence[float]
    samples: int
    out: Path
    cascade: str
    gate: str
    judge: str
    sampling: Sampling = Sampling()  # noqa: RUF009
    device: str = "auto"

    def plan(self) -> list[PlannedSample]:
        """The samples, in the order in which they are made."""
        return plan_targets([f.name for f in self.frames], self.efs, self.samples, self.frames[0].frame)

    def settings(self) -> dict[str, object]:
        """What `run.json` holds: a run with other settings is another run."""
        return {
            "sources": [frame.source for frame in self.frames],
            "frame": self.frames[0].frame,
            "frames_hash": hash_frames(list(self.frames)),
            "ef": [float(ef) for ef in self.efs],
            "samples": self.samples,
            "seed": self.sampling.seed,
            "max_attempts": self.sampling.max_attempts,
            "tolerance": self.sampling.tolerance.points,
            "steps": self.sampling.num_inference_steps,
            "guidance": self.sampling.guidance_scale,
            "conditions": dict(self.sampling.conditions),
            "seconds": self.sampling.seconds,
            "fps": self.sampling.fps,
            "size": self.sampling.size,
            "model": list(identify(self.cascade)),
            "gate": list(identify(self.gate)),
            "judge": list(identify(self.judge)),
        }


@dataclass(frozen=True)
class FinishedSample:
    """One finished sample.

    Attributes:
        sample: what was asked for.
        entry: the attempt whose clip was kept.
        attempts: how many were made.
        seconds: for all of them.
    """

    sample: PlannedSample
    entry: ManifestEntry
    attempts: int
    seconds: float


def run_generation(job: GenerationJob) -> list[FinishedSample]:
    """Make what is missing and return every sample of the plan, in order. Does nothing if nothing is missing.

    Raises:
        EchosynthError: models, sources or folder cannot be used.
    """
    plan = job.plan()
    refuse_judge_as_gate(job.gate, job.judge)
    with claim(job.out, job.command, job.settings()) as out:
        manifest = Manifest(out / MANIFEST)
        done: dict[str, list[ManifestEntry]] = {}
        for entry in manifest.entries:
            done.setdefault(entry.sample_id, []).append(entry)
        _refuse_missing_clips(out, done)
        open_samples = [s for s in plan if not is_finished(done.get(s.sample_id, []), job.sampling.max_attempts)]
        if open_samples:
            _make(job, out, manifest, open_samples)
        for sample in plan:  # a run killed between the manifest line and the previews
            clip_file = out / "clips" / f"{sample.sample_id}.avi"
            if not all(clip_file.with_name(f"{sample.sample_id}.{kind}").exists() for kind in ("mp4", "gif")):
                _write_previews(out, sample, load_clip(out, sample))
        best = best_entries(manifest.entries)
        made = {s.sample_id: [e for e in manifest.entries if e.sample_id == s.sample_id] for s in plan}
        return [
            FinishedSample(
                s, best[s.sample_id], len(made[s.sample_id]), round(sum(e.seconds for e in made[s.sample_id]), 3)
            )
            for s in plan
        ]


def load_clip(out: Path, sample: PlannedSample) -> EchoClip:
    """Read a finished sample's clip back; the FFV1 file holds every pixel."""
    return load_video(out / "clips" / f"{sample.sample_id}.avi").replace(ef=sample.target_ef)


def _make(job: GenerationJob, out: Path, manifest: Manifest, plan: Sequence[PlannedSample]) -> None:
    device = choose_device(job.device)
    cascade = open_cascade(job.cascade, device)
    for name in job.sampling.conditions:
        if name not in cascade.model.supported_conditions:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{job.cascade} does not listen to the {CONDITIONS[name].title}; leave {option} out")
    gate, judge = open_regressor(job.gate, device), open_regressor(job.judge, device)
    specs, asked = cascade.model.stages, job.sampling.num_inference_steps
    steps = (asked or specs[0].num_inference_steps) + sum(spec.num_inference_steps for spec in specs[1:])
    with Reporter(steps * len(plan), f"generating {len(plan)} clips") as reporter:
        attempts = generate_samples(
            cascade,
            gate,
            judge,
            plan,
            lambda sample: job.frames[sample.source_index].start,
            job.sampling,
            manifest.entries.copy(),
            on_step=reporter.step,
        )
        for attempt in attempts:
            if attempt.best:
                clip_file = out / "clips" / f"{attempt.sample.sample_id}.avi"
                write_avi(clip_file, attempt.clip, lossless=True, synthetic=True)
                for stale in ("mp4", "gif"):
                    clip_file.with_name(f"{attempt.sample.sample_id}.{stale}").unlink(missing_ok=True)
            manifest.append(attempt.entry)
            entry = attempt.entry
            verdict = "accepted" if entry.accepted else "refused"
            reporter.say(
                f"{entry.sample_id}, attempt {entry.attempt + 1}: asked {entry.target_ef:g}, gate {entry.gate_ef:.1f}, "
                f"{verdict} ({entry.seconds:.1f} s)"
            )
            if attempt.last:
                _write_previews(out, attempt.sample, load_clip(out, attempt.sample))
            else:
                reporter.expect(steps)


def _write_previews(out: Path, sample: PlannedSample, clip: EchoClip) -> None:
    stem = out / "clips" / sample.sample_id
    write_mp4(f"{stem}.mp4", clip, synthetic=True)
    write_gif(f"{stem}.gif", clip, synthetic=True)


def _refuse_missing_clips(out: Path, done: dict[str, list[ManifestEntry]]) -> None:
    missing = [name for name in done if not (out / "clips" / f"{name}.avi").is_file()]
    if missing:
        raise OutputError(
            f"{out / 'clips' / missing[0]}.avi was made (see {out / MANIFEST}) but is gone; "
            "restore it, or choose another --out"
        )

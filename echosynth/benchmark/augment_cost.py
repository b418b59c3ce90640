"""What an augmentation will take, before it is started: attempts, network passes, hours, bytes, files.

The plan is counted. How often the gate accepts is read from the cascade's card, where it was measured on test patients
with the bundled gate: another gate, tolerance or dataset accepts other shares. One attempt is made here, to time it and
to weigh its file.
"""

import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from echosynth.augmentation.attempts import make_attempts
from echosynth.augmentation.augment import Augmentation
from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.augmentation.clip_folder import ClipFolder
from echosynth.augmentation.models import RunModels
from echosynth.errors import ConfigError
from echosynth.storage.model_files import CARD_FILE
from echosynth.video.writers import write_avi

PROCESSES = (1, 2, 4, 8, 64)
FILES_BESIDE = 8  # tables, card, manifest, records


@dataclass(frozen=True)
class AugmentCost:
    """What a run of `augment` will take.

    Attributes:
        clips: planned.
        acceptance: share of attempts that the gate accepts; None where the card does not say, then none is taken to be.
        attempts: expected, for all clips.
        accepted: clips expected in the dataset.
        passes: network evaluations of the expected attempts.
        seconds: of one attempt, measured and gated.
        device: where that was timed.
        hours: number of such devices -> expected hours.
        gigabytes: of the expected clips.
        parts: of the plan, at most so many processes have work.
        files: of the finished run.
    """

    clips: int
    acceptance: float | None
    attempts: float
    accepted: float
    passes: float
    seconds: float
    device: str
    hours: dict[int, float]
    gigabytes: float
    parts: int
    files: int

    def to_dict(self) -> dict[str, Any]:
        """The object of `augment --estimate --json`."""
        return asdict(self)


def estimate_augmentation(config: AugmentConfig) -> AugmentCost:
    """Count what a run of `augment` will take; nothing is kept.

    Raises:
        ConfigError: the plan is empty: every bin of the dataset is full.
        EchosynthError: models or source cannot be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Augmentation(config, folder)
        work = run.work
        if not len(work.plan):
            raise ConfigError("nothing to make: the dataset fills every bin already", "per_bin")
        seconds, passes, size = _time_attempt(run, Path(folder))
    rate = _acceptance(work.models)
    tries = config.max_attempts
    each = tries if not rate else (1 - (1 - rate) ** tries) / rate
    attempts, accepted = len(work.plan) * each, len(work.plan) * (1 - (1 - (rate or 0)) ** tries)
    videos = accepted if config.format == "echonet" else work.parts.count
    return AugmentCost(
        clips=len(work.plan),
        acceptance=rate,
        attempts=round(attempts, 1),
        accepted=round(accepted, 1),
        passes=round(attempts * passes),
        seconds=round(seconds, 3),
        device=work.models.device,
        hours={n: round(attempts * seconds / 3600 / min(n, work.parts.count), 3) for n in PROCESSES},
        gigabytes=round(accepted * size / 1e9, 3),
        parts=work.parts.count,
        files=round(videos) + 4 * work.parts.count + FILES_BESIDE,
    )


def _time_attempt(run: Augmentation, folder: Path) -> tuple[float, int, int]:
    """Seconds and network passes of an attempt at the first sample, after one to warm up, and bytes of its clip."""
    work, sample, calls = run.work, run.work.plan[0], [0]

    def count(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        calls[0] += len(given[0])  # a batched pair of guidance is two

    pipeline: Any = work.models.pipeline
    networks = [getattr(pipeline, f"{stage.name}_unet") for stage in pipeline.stages]
    networks += [helper for helper in (pipeline.ef_guide, pipeline.tissue_tracker) if helper is not None]
    with ExitStack() as hooks:
        for network in networks:
            hooks.callback(network.register_forward_pre_hook(count).remove)
        for _ in range(2):
            calls[0], began = 0, time.perf_counter()
            attempt = next(make_attempts(sample, work.start_of(sample), work.models, work.sampling, ClipFolder(folder)))
            write_avi(folder / "clip.avi", attempt.clip, lossless=run.config.format != "echonet", synthetic=True)
            seconds = time.perf_counter() - began
    return seconds, calls[0], (folder / "clip.avi").stat().st_size


def _acceptance(models: RunModels) -> float | None:
    """Share of attempts that the gate accepted when the cascade was evaluated, as its card says."""
    try:
        card = json.loads((models.cascade.folder / CARD_FILE).read_text())
        return float(card["scores"]["gated"]["attempt_rate"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

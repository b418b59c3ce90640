"""The verb `adapt`: readers tuned to a scanner from clips of it that nobody has labelled.

    clips --measured--> scanner --matched--> phantoms that look like it --training--> readers

No EF of the clips is used, since none is known. What can be learnt without one is how the scanner draws: its greys,
grain, noise and sector. Half of the phantoms that are learnt are chosen for looking like the scanner's clips, the
others are any, so that a reader loses nothing that it knew. All are shown through the scanner's grey map and, around
that, as random scanners.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from echosynth.config import VerbConfig
from echosynth.data.layouts import iter_clips
from echosynth.phantom.kinds import ViewFamily
from echosynth.progress import SILENT, Progress
from echosynth.seeding import derive_seed
from echosynth.storage.atomic import write_text
from echosynth.storage.config_file import read_config
from echosynth.storage.run_folder import RunFolder
from echosynth.training.adaptation.matching import choose_alike, profile_phantoms
from echosynth.training.adaptation.scanner_profile import ScannerProfile, describe_change, map_greys, profile_scanner
from echosynth.training.regressor import RegressorConfig, train_regressor
from echosynth.video.clip import EchoClip

logger = logging.getLogger(__name__)

FAMILY: ViewFamily = "wide"
FIRST_CANDIDATE = 4_000_000  # patient seeds that nothing bundled was trained on
FIRST_HELD_OUT = 1_000_000  # patient seeds of validation, and from there on of tests
SCANNER_FILE = "scanner.json"


class AdaptConfig(VerbConfig):
    """What `adapt` does.

    Attributes:
        source: clips of one scanner: a dataset or a folder of files.
        regressors: names of bundled readers; each is tuned by its own config (configs/regression).
        clips: at most so many of the source's are measured.
        candidates: phantoms among which those that look alike are chosen.
        patients: phantoms that are learnt, half of them chosen.
        steps: of every reader's training.
        lr: highest learning rate.
        workers: processes that render.
    """

    source: Path
    regressors: tuple[str, ...] = Field(
        ("echo_e3net_small", "judge_frame_transformer", "motion_frame_transformer", "r2plus1d_small"), min_length=1
    )
    clips: int = Field(default=200, ge=4)
    candidates: int = Field(default=1024, ge=16)
    patients: int = Field(default=512, ge=8)
    steps: int = Field(default=300, ge=1)
    lr: float = Field(default=2e-4, gt=0)
    workers: int = Field(default=2, ge=1)


@dataclass(frozen=True, eq=False)
class AdaptResult:
    """What was adapted.

    Attributes:
        run: the run's folder.
        scanner: what the clips look like.
        changes: how far phantoms at large, and the chosen ones, look from the scanner's; see `describe_change`.
        models: folder of each tuned reader, by its name.
    """

    run: Path
    scanner: ScannerProfile
    changes: list[dict[str, Any]]
    models: dict[str, Path]

    def to_dict(self) -> dict[str, Any]:
        """The `--json` object."""
        models = {name: str(folder) for name, folder in self.models.items()}
        return {
            "run": str(self.run),
            "scanner": self.scanner.to_dict(),
            "changes": self.changes,
            "models": models,
        }


def adapt(config: AdaptConfig, out: str | Path, progress: Progress = SILENT) -> AdaptResult:
    """Tune readers to a scanner; the same call continues one that was interrupted.

    Args:
        config: what, and how.
        out: the run's folder.
        progress: counts phantoms that are looked at or rendered, and steps.

    Raises:
        SourceError: the source cannot be used.
        DatasetError: fewer than four clips can be measured.
        ConfigError: no config trains a reader of one of the names.
        OutputError: the folder holds another run, or the system refused.
    """
    with RunFolder.open(out, "adapt", config, may_change=("workers",), may_rise=("steps",)) as run:
        clips = (clip for _, clip in iter_clips(config.source))
        scanner = profile_scanner(islice(_films(clips), config.clips))
        seeds = range(FIRST_CANDIDATE, FIRST_CANDIDATE + config.candidates)
        candidates = profile_phantoms(seeds, FAMILY, progress)
        chosen = choose_alike(scanner, candidates, config.patients // 2)
        alike = candidates.take(chosen)
        grey_map = map_greys(alike.greys.mean(0), scanner.greys.mean(0))
        changes = describe_change(candidates, alike, scanner)
        found = {"scanner": scanner.to_dict(), "grey_map": list(grey_map), "changes": changes}
        write_text(run.path / SCANNER_FILE, json.dumps(found, indent=2) + "\n")
        models = {}
        for name in config.regressors:
            training = plan_training(config, name, [seeds[k] for k in chosen], grey_map)
            models[name] = train_regressor(training, run.path, progress)
        return AdaptResult(run.path, scanner, changes, models)


def _films(clips: Iterator[EchoClip]) -> Iterator[EchoClip]:
    return (clip for clip in clips if clip.num_frames > 1)


def plan_training(config: AdaptConfig, name: str, alike: list[int], grey_map: tuple[float, ...]) -> RegressorConfig:
    """The training of one reader: its own config, from its bundled weights, on phantoms of which half look alike.

    Raises:
        ConfigError: there is no config of this name.
    """
    others = [derive_seed(seed, "any patient") % FIRST_HELD_OUT for seed in alike]
    values = read_config(Path("regression") / name)
    data = {"views": FAMILY, "remodelled": 0.5, "frames_per_clip": 0, "workers": config.workers}
    seeds = np.array([alike, others]).T.ravel().tolist()
    changed = {
        "init": name,
        "data": {"source": "phantom", **data, "patients": len(seeds), "seeds": seeds},
        "validation": {"source": "phantom", **data, "patients": 64, "first_seed": FIRST_HELD_OUT},
        "appearance": {**(values.get("appearance") or {}), "grey_map": grey_map},
        "optim": {**values["optim"], "steps": config.steps, "lr": config.lr, "warmup_steps": 30},
    }
    return RegressorConfig.model_validate(values | changed)

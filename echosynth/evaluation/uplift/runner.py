"""`uplift`: trains and tests the regressors of every arm, size and repetition, and compares the arms.

OUT/sets/           the clips of the arms, see sets.py
OUT/cells.jsonl     a line for every trained regressor: what it read in every test
OUT/uplift.json     all scores
OUT/.parts/         what is finished so far, see storage/parts.py; processes share the cells
"""

import json
import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from echosynth.data.dataset import Split, choose_split, read_clips
from echosynth.data.layouts import open_dataset
from echosynth.diffusion.loading import DEFAULT_CASCADE
from echosynth.errors import ConfigError, DatasetError
from echosynth.evaluation.uplift.config import ARMS, REFERENCE, Arm, UpliftConfig
from echosynth.evaluation.uplift.scores import ArmScores, score_arms
from echosynth.evaluation.uplift.sets import ArmSets
from echosynth.progress import SILENT, Progress, share_progress
from echosynth.regression.loading import DEFAULT_GATE, DEFAULT_JUDGE, load_regressor
from echosynth.runtime import choose_device, one_thread, process_place
from echosynth.stopping import StopRequest
from echosynth.storage.atomic import write_text
from echosynth.storage.jsonl import append_record, read_typed
from echosynth.storage.model_files import CARD_FILE
from echosynth.storage.model_ref import resolve
from echosynth.storage.parts import Parts
from echosynth.storage.run_folder import RunFolder
from echosynth.storage.shared_run import SharedRun
from echosynth.training.train import train

CELLS, SCORES = "cells.jsonl", "uplift.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cell:
    """One regressor that was trained.

    Attributes:
        size: number of real clips.
        seed: number of the repetition.
        arm: which.
        real: clips of the arm that are real.
        other: clips that are not.
        read: test -> EF that it read in every clip, per cent.
        seconds: to train and test it.
    """

    size: int
    seed: int
    arm: str
    real: int
    other: int
    read: dict[str, list[float]]
    seconds: float


@dataclass(frozen=True)
class UpliftResult:
    """What a study found.

    Attributes:
        run: its folder.
        scores: size -> test -> arm -> scores.
        cells: every trained regressor.
        tests: test -> number of clips.
        hours: of all trainings and tests.
    """

    run: Path
    scores: dict[int, dict[str, dict[str, ArmScores]]]
    cells: tuple[Cell, ...]
    tests: dict[str, int]
    hours: float

    def to_dict(self) -> dict[str, Any]:
        """The object of `--json`."""
        scores = {
            str(size): {test: {arm: one.to_dict() for arm, one in arms.items()} for test, arms in tests.items()}
            for size, tests in self.scores.items()
        }
        clips = [{k: getattr(c, k) for k in ("size", "seed", "arm", "real", "other")} for c in self.cells]
        return {"run": str(self.run), "hours": self.hours, "tests": self.tests, "scores": scores, "clips": clips}


@dataclass(frozen=True)
class Test:
    """The clips of one test, and their EF, per cent."""

    folder: Path
    truth: np.ndarray


def uplift(config: UpliftConfig, out: str | Path, progress: Progress = SILENT) -> UpliftResult:
    """Train and test what is missing, and compare the arms; the same call again goes on, processes share the work.

    Args:
        config: what is compared.
        out: folder of the run.
        progress: counts trained regressors.

    Raises:
        ConfigError: the regressor learns from the gate or the judge, or the cascade has learnt from a test patient.
        DatasetError: a dataset cannot be used.
        OutputError: the folder holds another run, or the disk refused.
    """
    if process_place().count > 1:  # the processes of a launch train one network together
        raise ConfigError(
            "uplift trains each regressor in one process: start the command several times, without a launcher"
        )
    out = Path(out)
    cells = list(product(config.sizes, range(config.seeds), config.arms))
    inputs = _check(config)
    tests = {name: _open_test(name, folder, config.test_split) for name, folder in config.tests.items()}
    parts = Parts(out, len(cells), size=1)
    with (
        RunFolder.open(out, "uplift", config, inputs, may_change=["device"], shared=True),
        share_progress(
            progress,
            "training {} regressors",
            len(cells),
            lambda: 1,
            lambda: parts.count - len(parts.unfinished()),
        ) as shown,
    ):

        def make(part: int, stop: StopRequest) -> dict[str, Any]:
            stop.here_if_asked()
            made = read_typed(parts.journal(part), Cell)  # by a process that was killed before it could say so
            cell = made[0] if made else _train_and_test(config, out, tests, *cells[part])
            if not made:
                append_record(parts.journal(part), asdict(cell))
            log.info(_describe(cell, tests))
            shown.advance()
            shown.finish()
            return {"seconds": cell.seconds}

        SharedRun(parts, out / CELLS, lambda: None).finish(make, shown)
    result = _score(config, out, tests, read_typed(out / CELLS, Cell))
    write_text(out / SCORES, json.dumps(result.to_dict(), indent=2) + "\n")
    return result


def _check(config: UpliftConfig) -> dict[str, Any]:
    """Refuse what would make the comparison worthless, and return what else decides it.

    Raises:
        ConfigError: see `uplift`.
    """
    cascade = resolve(config.model or DEFAULT_CASCADE, "cascade")
    gate = resolve(config.gate or DEFAULT_GATE, "regressor")
    init = config.training.get("init")
    if init is not None:
        learner, judge = resolve(init, "regressor"), resolve(DEFAULT_JUDGE, "regressor")
        for role, other in (("gate", gate), ("judge", judge)):
            if learner.sha256 == other.sha256:
                raise ConfigError(f"the trained regressor starts from the {role}, {other.name}", "training")
    card = cascade.folder / CARD_FILE  # one's own cascade may have none
    seen = json.loads(card.read_text()).get("patient_seeds") if card.is_file() else None
    for name, folder in config.tests.items():
        for entry in open_dataset(folder).entries:
            seed = int(entry.facts.get("patient_seed", -1))
            if seen and seed >= 0 and seen[0] <= seed <= seen[1]:
                raise ConfigError(f"{cascade.name} has learnt from patient {seed}, who is in the test {name}", "tests")
    return {"model": [cascade.name, cascade.sha256], "gate": [gate.name, gate.sha256]}


def _open_test(name: str, folder: Path, split: Split | None) -> Test:
    dataset = open_dataset(folder)
    truth = [dataset.entries[index].ef for index in choose_split(dataset, split)]
    if len(truth) < 2 or None in truth:
        raise DatasetError(f"test {name}: {folder} needs at least two clips, each with an EF")
    return Test(folder, np.array(truth, float))


def _train_and_test(config: UpliftConfig, out: Path, tests: dict[str, Test], size: int, seed: int, arm: Arm) -> Cell:
    began = time.perf_counter()
    sets = ArmSets(config, out / "sets" / f"n{size}_s{seed}", size, seed)
    real, other = sets.make(arm)
    folder = out / "training" / f"n{size}_s{seed}_{arm}"
    model = train(config.regressor(arm, seed, real, other, out / "decoded"), folder).model
    assert model is not None
    reader = load_regressor(str(model), choose_device(config.device))
    read = {}
    for name, test in tests.items():
        clips = (clip for _, clip in read_clips(open_dataset(test.folder), split=config.test_split))
        with one_thread():
            read[name] = [reader.predict([clip])[0].ef for clip in clips]
    shutil.rmtree(folder)  # checkpoints of hundreds of regressors would fill the disk
    counts = [0 if root is None else len(open_dataset(root).entries) for root in (real, other)]
    used = 0 if arm == "synthetic" else counts[0]
    return Cell(size, seed, arm, used, counts[1], read, round(time.perf_counter() - began, 1))


def _score(config: UpliftConfig, out: Path, tests: dict[str, Test], cells: Iterable[Cell]) -> UpliftResult:
    made = {(cell.size, cell.seed, cell.arm): cell for cell in cells}
    scores = {
        size: {
            name: score_arms(
                test.truth,
                {arm: _table(made, name, size, arm, config.seeds) for arm in config.arms},
                REFERENCE,
                config.n_bootstrap,
                config.seed,
            )
            for name, test in tests.items()
        }
        for size in config.sizes
    }
    hours = round(sum(cell.seconds for cell in made.values()) / 3600, 2)
    counts = {name: len(test.truth) for name, test in tests.items()}
    return UpliftResult(out, scores, tuple(made.values()), counts, hours)


def _table(made: dict[tuple[int, int, str], Cell], test: str, size: int, arm: Arm, seeds: int) -> np.ndarray:
    return np.array([made[size, seed, arm].read[test] for seed in range(seeds)])


def _describe(cell: Cell, tests: dict[str, Test]) -> str:
    errors = {name: float(np.abs(np.array(cell.read[name]) - test.truth).mean()) for name, test in tests.items()}
    said = ", ".join(f"{name} {error:.2f}" for name, error in errors.items())
    arm = ARMS[cell.arm].partition(":")[0] if cell.arm in ARMS else cell.arm
    return f"n {cell.size}, repetition {cell.seed + 1}, arm {arm}: MAE {said} ({cell.seconds:.0f} s)"

"""Probing: what regressors' embeddings know of a fact of a dataset's tables, frozen and fine-tuned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from echosynth.config import VerbConfig
from echosynth.data.dataset import ClipDataset
from echosynth.data.layouts import open_dataset
from echosynth.errors import ConfigError, DatasetError
from echosynth.evaluation.fine_tune import fine_tune
from echosynth.evaluation.linear_probe import probe_embeddings
from echosynth.evaluation.readers import load_readers
from echosynth.progress import SILENT, Progress
from echosynth.regression.loading import DEFAULT_GATE, DEFAULT_JUDGE
from echosynth.runtime import choose_device


class ProbeConfig(VerbConfig):
    """What `probe` does.

    Attributes:
        dataset: its folder, e.g. HMC-QU.
        fact: a column of its tables that says "yes" or "no".
        view: of a dataset that has several; None for A4C.
        regressors: names or folders.
        folds: parts of the cross-validation.
        fine_tune: then train the whole network for so many steps, in every part; 0 for not.
        device: "auto", "cpu" or "cuda".
    """

    dataset: Path
    fact: str = "infarction"
    view: Literal["A4C", "A2C", "PSAX"] | None = None
    regressors: tuple[str, ...] = Field(default=(DEFAULT_GATE, DEFAULT_JUDGE), min_length=1)
    folds: int = 5
    fine_tune: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @field_validator("folds")
    @classmethod
    def _check_folds(cls, folds: int) -> int:
        if folds < 2:
            raise ConfigError(f"folds must be at least 2, got {folds}", "folds")
        return folds

    @field_validator("fine_tune")
    @classmethod
    def _check_steps(cls, steps: int) -> int:
        if steps < 0:
            raise ConfigError(f"fine_tune must be at least 0, got {steps}", "fine_tune")
        return steps


@dataclass(frozen=True)
class ProbeResult:
    """What was found.

    Attributes:
        fact: its name.
        clips: of which it is known.
        scores: of each regressor, and of "NAME, fine-tuned"; see `cross_validate`.
    """

    fact: str
    clips: int
    scores: dict[str, dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """The object that `probe --json` prints."""
        return dict(vars(self))


def probe(config: ProbeConfig, progress: Progress = SILENT) -> ProbeResult:
    """Embed every clip of which the fact is known and cross-validate, for every regressor.

    Args:
        config: which fact, which regressors.
        progress: shows every clip, and every step of fine-tuning.

    Raises:
        DatasetError: the dataset cannot be used, or says too little of the fact.
        CheckpointError: a regressor is not there or damaged.
    """
    dataset = open_dataset(config.dataset, config.view)
    rows, labels = find_fact(dataset, config.fact)
    patients = [dataset.entries[row].patient for row in rows]
    readers = load_readers(config.regressors, choose_device(config.device))
    embeddings: dict[str, list[np.ndarray]] = {reader.ref.name: [] for reader in readers}
    with progress.task(len(rows), "embedding clips") as task:
        for row in rows:
            clip = dataset.clip(row)
            for reader in readers:
                embeddings[reader.ref.name].append(reader.model.embed_clip(clip))
            task.advance()
    scores = {}
    for reader in readers:
        name = reader.ref.name
        try:
            scores[name] = probe_embeddings(np.stack(embeddings[name]), labels, patients, config.folds)
        except ValueError as error:
            raise DatasetError(f"{config.dataset}: {error}") from error
        if config.fine_tune:
            windows = [reader.model.windows(dataset.clip(row)) for row in rows]
            with progress.task(config.folds * config.fine_tune, f"fine-tuning {name}") as task:
                scores[f"{name}, fine-tuned"] = fine_tune(
                    reader.model, windows, labels, patients, config.folds, config.fine_tune, task.advance
                )
    return ProbeResult(config.fact, len(rows), scores)


def find_fact(dataset: ClipDataset, fact: str) -> tuple[list[int], list[bool]]:
    """Clips of which a fact is known, and whether it holds.

    Raises:
        DatasetError: of no clip; the facts that there are stand in the message.
    """
    values = [entry.facts.get(fact, "").lower() for entry in dataset.entries]
    rows = [row for row, value in enumerate(values) if value in ("yes", "no")]
    if not rows:
        names = sorted({n for entry in dataset.entries for n, v in entry.facts.items() if v.lower() in ("yes", "no")})
        others = f"; it tells {', '.join(names)}" if names else " nor of any other fact"
        raise DatasetError(f"{dataset.root} says neither yes nor no of {fact!r}{others}")
    return rows, [values[row] == "yes" for row in rows]

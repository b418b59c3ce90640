"""Regressors by name or folder -> networks in memory, each under a name that no other one has."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from echosynth.evaluation.reading import PANEL
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import DEFAULT_JUDGE, load_regressor
from echosynth.storage.model_ref import LoadedModel, resolve_all
from echosynth.storage.model_store import find_model

RESERVED_NAMES = (PANEL, "files")
"""Names that results use beside those of regressors."""


def load_readers(models: Iterable[str], device: str) -> list[LoadedModel[EFRegressor]]:
    """Load regressors; the same weights twice are one reader.

    Args:
        models: names or folders.
        device: "cpu" or "cuda".

    Raises:
        CheckpointError: one is not there, damaged, or no regressor.
    """
    refs = resolve_all(models, "regressor")
    refs = [replace(ref, name=f"{ref.name}@{ref.sha256}") if ref.name in RESERVED_NAMES else ref for ref in refs]
    return [LoadedModel(ref, load_regressor(ref, device)) for ref in refs]


def load_beat_finder(readers: Sequence[LoadedModel[EFRegressor]], device: str) -> EFRegressor:
    """The bundled judge, which finds beats: the one among the readers, if it is there.

    Raises:
        CheckpointError: it is not there or damaged.
    """
    folder = find_model(DEFAULT_JUDGE)
    loaded = next((reader.model for reader in readers if reader.ref.folder == folder), None)
    return load_regressor(DEFAULT_JUDGE, device) if loaded is None else loaded

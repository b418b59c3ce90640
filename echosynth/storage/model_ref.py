"""Which model is meant: found, hashed and checked once, then handed on as a reference."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from echosynth.errors import CheckpointError, ConfigError
from echosynth.storage.checksums import SUMS_FILE, WEIGHT_SUFFIXES, check_sums, hash_files
from echosynth.storage.model_files import CARD_FILE, read_card_json
from echosynth.storage.model_store import find_model, named_folders

_WHAT_IT_IS = {
    "cascade": "a cascade, which makes clips and reads no EF",
    "regressor": "a regressor, which reads EF and makes no clips",
    "encoder": "an encoder, which reads no EF and only starts a training (key 'init')",
}

ModelT = TypeVar("ModelT")


@dataclass(frozen=True)
class ModelRef:
    """A model that was found and checked: what configs, manifests and loaders take.

    Attributes:
        name: as results and manifests call it.
        folder: where it is.
        kind: one of `KINDS`.
        sha256: identifies what it computes, its weights and configs; the first 12 hex digits.
    """

    name: str
    folder: Path
    kind: str
    sha256: str


@dataclass(frozen=True, eq=False)
class LoadedModel(Generic[ModelT]):
    """A model in memory, and which one it is.

    Attributes:
        ref: its name, folder and hash.
        model: the pipeline or regressor.
    """

    ref: ModelRef
    model: ModelT


def resolve(model: str | Path | ModelRef, kind: str | None = None) -> ModelRef:
    """Find a model and check its bytes; every file is read once, and the reference spares the next reading.

    A model found by name must have its `SHA256SUMS`. A folder given by path is checked if it has one: what
    `save_pretrained` writes has none.

    Args:
        model: name or folder of a model; a reference is returned as it is.
        kind: one of `KINDS` that the model must be.

    Raises:
        CheckpointError: there is no such model, it is of another kind, holds no weights, or its bytes are not the
            published ones.
    """
    if isinstance(model, ModelRef):
        ref = model
    else:
        folder = find_model(model)
        found = hash_files(folder)
        if str(model) in named_folders() or (folder / SUMS_FILE).is_file():
            check_sums(folder, found)
        ref = ModelRef(_name_of(folder), folder, _kind_of(folder), _identity(folder, found))
    if kind is not None and ref.kind != kind:
        raise CheckpointError(f"{ref.folder} holds {_WHAT_IT_IS[ref.kind]}; a {kind} is needed here")
    return ref


def resolve_all(models: Iterable[str | Path | ModelRef], kind: str | None = None) -> list[ModelRef]:
    """Resolve several models so that each is there once, under a name of its own.

    The same weights under two names are one model. Different weights of one name are distinguished: the model that is
    looked up by this name keeps it, any other becomes `NAME@SHA256`.

    Raises:
        CheckpointError: as `resolve`.
    """
    refs: dict[str, ModelRef] = {}
    for model in models:
        ref = resolve(model, kind)
        refs.setdefault(ref.sha256, ref)
    counts, owners = Counter(ref.name for ref in refs.values()), named_folders()
    clashes = [ref for ref in refs.values() if counts[ref.name] > 1 and owners.get(ref.name) != ref.folder]
    return [replace(ref, name=f"{ref.name}@{ref.sha256}") if ref in clashes else ref for ref in refs.values()]


def refuse_judge_as_gate(gate: ModelRef, judge: ModelRef) -> None:
    """Raise ConfigError if both are the same weights: a score by the model that chose the clips is no score."""
    if gate.sha256 == judge.sha256:
        raise ConfigError(f"the judge must not be the gate, and '{gate.name}' and '{judge.name}' are the same weights")


def _identity(folder: Path, found: dict[str, str]) -> str:
    names = [name for name in found if name != CARD_FILE and Path(name).suffix.lower() not in (".md", ".txt", ".py")]
    if not any(Path(name).suffix.lower() in WEIGHT_SUFFIXES for name in names):
        raise CheckpointError(f"no weight file in {folder}")
    listing = "".join(f"{found[name]}  {name}\n" for name in names)
    return hashlib.sha256(listing.encode()).hexdigest()[:12]


def _name_of(folder: Path) -> str:
    """Training leaves RUN/NAME/model and NAME/pipeline: the folder above says which one it is."""
    folder = folder.resolve()
    return folder.parent.name if folder.name in ("model", "pipeline") else folder.name


def _kind_of(folder: Path) -> str:
    """What the card says. Without one, only a cascade has an index; which network the rest is, its loader knows."""
    if (folder / CARD_FILE).is_file():
        return str(read_card_json(folder)["kind"])
    return "cascade" if (folder / "model_index.json").is_file() else "regressor"

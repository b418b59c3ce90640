"""Weights on disk: where they are, what they are, and whether they are the published bytes.

A model is a folder `<name>/` with `card.json` ({"name", "kind", "class", "license", ...}), `SHA256SUMS` (the format of
`sha256sum`, so that `sha256sum -c SHA256SUMS` checks it too) and the files of `save_pretrained`. It is looked for in

    $ECHOSYNTH_CHECKPOINTS
    checkpoints/ of the source checkout, or the copy in an installed package
    $XDG_DATA_HOME/echosynth/checkpoints, that is ~/.local/share/echosynth/checkpoints
"""

import difflib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from safetensors import SafetensorError

from echosynth.errors import CheckpointError, ConfigError
from echosynth.storage.bundled import bundled_folder
from echosynth.storage.checksums import SUMS_FILE, WEIGHT_SUFFIXES, check_sums, hash_files, write_sums

__all__ = ["CARD_FILE", "KINDS", "LOADING_FAULTS", "LoadedModel", "ModelEntry", "ModelRef", "find_model", "first_line"]
__all__ += [
    "list_models",
    "read_json_object",
    "refuse_judge_as_gate",
    "resolve",
    "resolve_all",
    "search_roots",
    "user_root",
    "verify",
]
__all__ += ["write_sums"]

CARD_FILE = "card.json"
KINDS = ("cascade", "regressor", "encoder")  # an encoder is there to start training from
_WHAT_IT_IS = {
    "cascade": "a cascade, which makes clips and reads no EF",
    "regressor": "a regressor, which reads EF and makes no clips",
    "encoder": "an encoder, which reads no EF and only starts a training (key 'init')",
}

# What diffusers, torch and our constructors throw at a folder whose files do not fit together.
LOADING_FAULTS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    OverflowError,
    SafetensorError,
)

ModelT = TypeVar("ModelT")


@dataclass(frozen=True)
class ModelEntry:
    """One model that can be used.

    Attributes:
        name: the folder's name.
        kind: one of `KINDS`.
        class_name: dotted path of the class that loads it (key "class" of the card).
        license: SPDX name, or words.
        size: bytes of all its files.
        folder: where it is.
    """

    name: str
    kind: str
    class_name: str
    license: str
    size: int
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """The entry of `models list --json`."""
        return {
            "name": self.name,
            "kind": self.kind,
            "class": self.class_name,
            "license": self.license,
            "mib": round(self.size / 2**20, 2),
            "folder": str(self.folder),
        }


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


def search_roots() -> list[Path]:
    """Return the folders that may hold models, first match wins; only those that exist.

    Raises:
        CheckpointError: `ECHOSYNTH_CHECKPOINTS` is set to something that is not a folder.
    """
    chosen = os.environ.get("ECHOSYNTH_CHECKPOINTS")
    if chosen and not Path(chosen).is_dir():
        raise CheckpointError(f"ECHOSYNTH_CHECKPOINTS names {chosen}, which is not a folder; mend or unset it")
    roots = [bundled_folder("checkpoints"), user_root()]
    return ([Path(chosen)] if chosen else []) + [root for root in roots if root.is_dir()]


def user_root() -> Path:
    """Return the folder where models that a user adds belong; it may not exist yet."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "echosynth" / "checkpoints"


def find_model(name_or_dir: str | Path) -> Path:
    """Return the folder of a model given by name or by path. Does not check the bytes: see `verify`.

    A plain name is looked up among the known models first, then as a folder here.

    Raises:
        CheckpointError: there is no such model; the message lists those there are.
    """
    asked = str(name_or_dir)
    folders = _named_folders()
    if asked in folders:
        return folders[asked]
    path = Path(name_or_dir).expanduser()
    if asked and path.is_dir():
        return path
    near = difflib.get_close_matches(asked, folders, n=1, cutoff=0.4)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    known = f"there are: {', '.join(sorted(folders))}" if folders else "it holds no models"
    roots = ", ".join(str(root) for root in search_roots()) or str(user_root())
    raise CheckpointError(f"no model '{asked}'{hint} Looked in {roots}; {known}")


def list_models() -> list[ModelEntry]:
    """Return every model that has a card, by name.

    Raises:
        CheckpointError: a card is not JSON, lacks a key, or names another folder.
    """
    return [_read_entry(folder) for _, folder in sorted(_named_folders().items())]


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
        if str(model) in _named_folders() or (folder / SUMS_FILE).is_file():
            check_sums(folder, found)
        ref = ModelRef(_name_of(folder), folder, _kind_of(folder), _identity(folder, found))
    if kind is not None and ref.kind != kind:
        raise CheckpointError(f"{ref.folder} holds {_WHAT_IT_IS[ref.kind]}; a {kind} is needed here")
    return ref


def resolve_all(models: Iterable[str | Path | ModelRef], kind: str | None = None) -> list[ModelRef]:
    """Resolve several models so that each is there once, under a name of its own.

    The same weights under two names are one model. Different weights of one name are told apart: the model that is
    looked up by this name keeps it, any other becomes `NAME@SHA256`.

    Raises:
        CheckpointError: as `resolve`.
    """
    refs: dict[str, ModelRef] = {}
    for model in models:
        ref = resolve(model, kind)
        refs.setdefault(ref.sha256, ref)
    counts, owners = Counter(ref.name for ref in refs.values()), _named_folders()
    clashes = [ref for ref in refs.values() if counts[ref.name] > 1 and owners.get(ref.name) != ref.folder]
    return [replace(ref, name=f"{ref.name}@{ref.sha256}") if ref in clashes else ref for ref in refs.values()]


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of a model's folder: its config or its index.

    Raises:
        CheckpointError: it is not there, or is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a JSON object: {error}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} is not a JSON object but a {type(found).__name__}")
    return found


def first_line(error: Exception) -> str:
    """Return what an error says, without what follows on other lines."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def refuse_judge_as_gate(gate: ModelRef, judge: ModelRef) -> None:
    """Raise ConfigError if both are the same weights: a score by the model that chose the clips is no score."""
    if gate.sha256 == judge.sha256:
        raise ConfigError(f"the judge must not be the gate, and '{gate.name}' and '{judge.name}' are the same weights")


def verify(folder: str | Path) -> None:
    """Hash every file of a model and compare with its `SHA256SUMS`.

    Raises:
        CheckpointError: there is no list, a file is missing or has another hash (both are shown), or a weight file is
            not on the list.
    """
    check_sums(Path(folder), hash_files(Path(folder)))


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
        return str(_read_card(folder)["kind"])
    return "cascade" if (folder / "model_index.json").is_file() else "regressor"


def _named_folders() -> dict[str, Path]:
    """Return name -> folder; a root that comes earlier hides the same name in a later one."""
    found: dict[str, Path] = {}
    for root in search_roots():
        for card in sorted(root.glob(f"*/{CARD_FILE}")):
            found.setdefault(card.parent.name, card.parent)
    return found


def _read_card(folder: Path) -> dict[str, Any]:
    """Read a card, whose required keys are there and whose kind is one of `KINDS`."""
    path = folder / CARD_FILE
    card = read_json_object(path)
    missing = [key for key in ("name", "kind", "class", "license") if key not in card]
    if missing:
        raise CheckpointError(f"{path}: key '{missing[0]}' is missing")
    if card["kind"] not in KINDS:
        raise CheckpointError(f"{path}: kind must be one of {', '.join(KINDS)}, got {card['kind']!r}")
    return card


def _read_entry(folder: Path) -> ModelEntry:
    card = _read_card(folder)
    if card["name"] != folder.name:
        raise CheckpointError(f"{folder / CARD_FILE}: name must be the folder's, '{folder.name}', got {card['name']!r}")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return ModelEntry(folder.name, card["kind"], card["class"], card["license"], size, folder)

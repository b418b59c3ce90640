"""Weights on disk: where they are, what they are, and whether they are the published bytes.

A model is a folder `<name>/` with `card.json` ({"name", "kind", "class", "license", ...}), `SHA256SUMS` (the format of
`sha256sum`, so that `sha256sum -c SHA256SUMS` checks it too) and the files of `save_pretrained`. It is looked for in

    $ECHOSYNTH_CHECKPOINTS
    checkpoints/ of the source checkout
    $XDG_DATA_HOME/echosynth/checkpoints, that is ~/.local/share/echosynth/checkpoints

Like `config`, `errors` and `seeding`, this module is open to every folder of the package.
"""

import difflib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from echosynth.errors import CheckpointError
from echosynth.storage.atomic import write_text

SUMS_FILE = "SHA256SUMS"
CARD_FILE = "card.json"
KINDS = ("cascade", "regressor", "encoder")  # an encoder is there to start training from
WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".npz", ".npy", ".onnx", ".pkl", ".jit"})


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


def search_roots() -> list[Path]:
    """Return the folders that may hold models, first match wins; only those that exist.

    Raises:
        CheckpointError: `ECHOSYNTH_CHECKPOINTS` is set to something that is not a folder.
    """
    chosen = os.environ.get("ECHOSYNTH_CHECKPOINTS")
    if chosen and not Path(chosen).is_dir():
        raise CheckpointError(f"ECHOSYNTH_CHECKPOINTS names {chosen}, which is not a folder; mend or unset it")
    roots = [Path(__file__).resolve().parents[2] / "checkpoints", user_root()]
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


def verify(folder: str | Path) -> None:
    """Hash every listed file of a model and compare with its `SHA256SUMS`.

    Raises:
        CheckpointError: there is no list, a file is missing or has another hash (both are shown), or a weight file is
            not on the list.
    """
    folder = Path(folder)
    expected = _read_sums(folder)
    for name, published in expected.items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder / name} is missing, but {SUMS_FILE} lists it. Fetch the model again")
        found = _hash_file(folder / name)
        if found != published:
            raise CheckpointError(
                f"{folder / name} is damaged or was changed: sha256 is {found}, published is {published}. "
                "Fetch the model again"
            )
    for name in _files(folder):
        if name not in expected and Path(name).suffix.lower() in WEIGHT_SUFFIXES:
            raise CheckpointError(f"{folder / name} is a weight file that {SUMS_FILE} does not list; remove it")


def write_sums(folder: str | Path) -> Path:
    """Hash every file of a model folder and write `SHA256SUMS`, atomically. Return its path.

    Raises:
        CheckpointError: the folder is missing or empty.
    """
    folder = Path(folder)
    names = _files(folder) if folder.is_dir() else []
    if not names:
        raise CheckpointError(f"no files to hash in {folder}")
    write_text(folder / SUMS_FILE, "".join(f"{_hash_file(folder / name)}  {name}\n" for name in names))
    return folder / SUMS_FILE


def weights_hash(folder: str | Path) -> str:
    """Return 12 hex digits that identify what a model computes: its weights and configs, not its card or texts.

    Raises:
        CheckpointError: the folder holds no weight file.
    """
    folder = Path(folder)
    names = [name for name in _files(folder) if name != CARD_FILE and Path(name).suffix.lower() not in (".md", ".txt")]
    if not any(Path(name).suffix.lower() in WEIGHT_SUFFIXES for name in names):
        raise CheckpointError(f"no weight file in {folder}")
    listing = "".join(f"{_hash_file(folder / name)}  {name}\n" for name in names)
    return hashlib.sha256(listing.encode()).hexdigest()[:12]


def _named_folders() -> dict[str, Path]:
    """Return name -> folder; a root that comes earlier hides the same name in a later one."""
    found: dict[str, Path] = {}
    for root in search_roots():
        for card in sorted(root.glob(f"*/{CARD_FILE}")):
            found.setdefault(card.parent.name, card.parent)
    return found


def _files(folder: Path) -> list[str]:
    """Return the relative POSIX names of all files but the list itself and hidden ones, sorted."""
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    return sorted(name.as_posix() for name in visible if name.as_posix() != SUMS_FILE)


def _hash_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_sums(folder: Path) -> dict[str, str]:
    """Read name -> sha256 from a list in the format of `sha256sum`."""
    path = folder / SUMS_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {SUMS_FILE}, so its weights cannot be trusted")
    sums: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        digest, _, name = line.partition(" ")
        name = name[1:]  # the second separator is a space (text) or a star (binary)
        is_hash = len(digest) == 64 and set(digest.lower()) <= set("0123456789abcdef")
        if not is_hash or not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise CheckpointError(f"{path}, line {number}: expected '<64 hex digits>  <file inside the folder>'")
        sums[name] = digest.lower()
    if not sums:
        raise CheckpointError(f"{path} is empty")
    return sums


def _read_entry(folder: Path) -> ModelEntry:
    path = folder / CARD_FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        fields = {key: card[key] for key in ("name", "kind", "class", "license")}
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not a JSON object: {error}") from None
    except KeyError as error:
        raise CheckpointError(f"{path}: key {error} is missing") from None
    if fields["name"] != folder.name or fields["kind"] not in KINDS:
        raise CheckpointError(
            f"{path}: name must be the folder's ('{folder.name}') and kind one of {', '.join(KINDS)}; "
            f"got name {fields['name']!r}, kind {fields['kind']!r}"
        )
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return ModelEntry(folder.name, fields["kind"], fields["class"], fields["license"], size, folder)

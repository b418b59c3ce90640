"""The models on this machine: where they are looked for, and what each is.

A model is a folder `<name>/` with `card.json` ({"name", "kind", "class", "license", ...}), `SHA256SUMS` (the format of
`sha256sum`, so that `sha256sum -c SHA256SUMS` checks it too) and the files of `save_pretrained`. It is looked for in

    $ECHOSYNTH_CHECKPOINTS
    checkpoints/ of the source checkout, or the copy in an installed package
    $XDG_DATA_HOME/echosynth/checkpoints, that is ~/.local/share/echosynth/checkpoints
"""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echosynth.errors import CheckpointError
from echosynth.storage.bundled import bundled_folder
from echosynth.storage.model_files import CARD_FILE, read_card_json


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

    A plain name is looked up among the known models first, then as a folder here; NAME/PART is a network of a known
    cascade, e.g. phantom_fast/base_unet.

    Raises:
        CheckpointError: there is no such model; the message lists those there are.
    """
    asked = str(name_or_dir)
    folders = named_folders()
    if asked in folders:
        return folders[asked]
    whole, _, part = asked.partition("/")
    if part and part not in (".", "..") and whole in folders and (folders[whole] / part / "config.json").is_file():
        return folders[whole] / part
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
    return [_read_entry(folder) for _, folder in sorted(named_folders().items())]


def named_folders() -> dict[str, Path]:
    """Return name -> folder; a root that comes earlier hides the same name in a later one."""
    found: dict[str, Path] = {}
    for root in search_roots():
        for card in sorted(root.glob(f"*/{CARD_FILE}")):
            found.setdefault(card.parent.name, card.parent)
    return found


def _read_entry(folder: Path) -> ModelEntry:
    card = read_card_json(folder)
    if card["name"] != folder.name:
        raise CheckpointError(f"{folder / CARD_FILE}: name must be the folder's, '{folder.name}', got {card['name']!r}")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return ModelEntry(folder.name, card["kind"], card["class"], card["license"], size, folder)

"""`echosynth models list | verify [NAME] | add DIR|FILE`: the weights at hand, and whether they are as published."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from echosynth.errors import CheckpointError, OutputError
from echosynth.storage.model_store import CARD_FILE, ModelEntry, find_model, list_models, user_root, verify, write_sums


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("action", choices=("list", "verify", "add"), help="what to do")
    parser.add_argument(
        "target", nargs="?", metavar="NAME|DIR|FILE", help="verify: a model; add: a folder, or public weights"
    )
    parser.add_argument("--name", help="add FILE: what to call it (default: the file's name)")
    parser.add_argument("--fps", type=float, help="add FILE: frame rate it was trained at, Hz (default: its project's)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """List, verify or add."""
    if args.action == "list":
        models = [_describe(entry) for entry in list_models()]
        for model in models:
            size = f"{model['mib']:7.2f} MiB"
            print(f"{model['name']:28} {model['kind']:10} {size}  {model['license']:12} {model['folder']}")
        if not models:
            print("no models; see `echosynth models add --help`", file=sys.stderr)
        return {"models": models}
    if args.action == "verify":
        folders = [find_model(args.target)] if args.target else [entry.folder for entry in list_models()]
        for folder in folders:
            verify(folder)
            print(f"{folder}: all hashes are the published ones")
        return {"verified": [str(folder) for folder in folders]}
    if not args.target:
        raise CheckpointError("models add: name the model folder or the weight file to add")
    target = Path(args.target)
    folder = add_model(target) if target.is_dir() else add_file(target, args.name or target.stem, args.fps)
    print(f"added {folder}")
    return {"added": str(folder)}


def add_model(source: Path) -> Path:
    """Verify a model folder and copy it to where the user's models belong; it is there whole or not at all.

    Raises:
        CheckpointError: it is no model folder, its hashes differ, or a model of this name is there already.
        OutputError: it cannot be copied.
    """
    if not (source / CARD_FILE).is_file():
        raise CheckpointError(f"{source} is no model folder: it has no {CARD_FILE}")
    source = source.resolve()
    verify(source)
    with _new_folder(source.name) as (part, target):
        shutil.copytree(source, part)
        verify(part)
    return target


def add_file(source: Path, name: str, fps: float | None = None) -> Path:
    """Convert public weights and keep them where the user's models belong.

    Raises:
        CheckpointError: the file is not known as public weights, the name is no folder's, or is taken.
        OutputError: it cannot be written.
    """
    from echosynth.data.layouts import check_rate
    from echosynth.regression.public_weights import read_public_weights

    check_rate(fps)
    if name != Path(name).name or name.startswith("."):
        raise CheckpointError(f"'{name}' cannot be the name of a folder; choose another --name")
    found = read_public_weights(source, fps)
    kind = type(found.model)
    card = {
        "name": name,
        "kind": found.kind,
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "license": "its source's",
        "source": found.source,
        "file": source.name,
    }
    with _new_folder(name) as (part, target):
        found.model.save_pretrained(part)
        (part / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        write_sums(part)
    return target


@contextmanager
def _new_folder(name: str) -> Iterator[tuple[Path, Path]]:
    """Give a folder to fill and the one that it becomes in the user's collection, once it is whole."""
    target = user_root() / name
    if target.exists():
        raise CheckpointError(f"{target} is there already; remove it first")
    part = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part, target
        part.rename(target)
    except OSError as error:
        raise OutputError(f"cannot add the model as {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _describe(entry: ModelEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "class": entry.class_name,
        "license": entry.license,
        "mib": round(entry.size / 2**20, 2),
        "folder": str(entry.folder),
    }

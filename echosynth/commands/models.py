"""`echosynth models list | verify [NAME] | add DIR`: the weights at hand, and whether they are the published bytes."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from echosynth.checkpoints import CARD_FILE, ModelEntry, find_model, list_models, user_root, verify
from echosynth.errors import CheckpointError, OutputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("action", choices=("list", "verify", "add"), help="what to do")
    parser.add_argument("target", nargs="?", metavar="NAME|DIR", help="verify: a model; add: a model folder")
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
        raise CheckpointError("models add: name the model folder to add")
    folder = add_model(Path(args.target))
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
    target = user_root() / source.name
    if target.exists():
        raise CheckpointError(f"{target} is there already; remove it first")
    part = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, part)
        verify(part)
        part.rename(target)
    except OSError as error:
        raise OutputError(f"cannot copy the model to {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _describe(entry: ModelEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "class": entry.class_name,
        "license": entry.license,
        "mib": round(entry.size / 2**20, 2),
        "folder": str(entry.folder),
    }

"""`echosynth models list | verify [NAME] | add DIR|FILE`: the weights at hand, and whether they are as published."""

import argparse
import sys
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_json
from echosynth.errors import CheckpointError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("action", choices=("list", "verify", "add"), help="what to do")
    parser.add_argument(
        "target", nargs="?", metavar="NAME|DIR|FILE", help="verify: a model; add: a folder, or public weights"
    )
    parser.add_argument("--name", help="add FILE: what to call it (default: the file's name)")
    parser.add_argument("--fps", type=float, help="add FILE: frame rate it was trained at, Hz (default: its project's)")
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """List, verify or add, and return the object of `--json`."""
    from echosynth.storage.checksums import verify
    from echosynth.storage.model_store import find_model, list_models

    if args.action == "list":
        return _list(args.json)
    if args.action == "verify":
        folders = [find_model(args.target)] if args.target else [entry.folder for entry in list_models()]
        for folder in folders:
            verify(folder)
            print(f"{folder}: all hashes are the published ones")
        return {"verified": [str(folder) for folder in folders]}
    if not args.target:
        raise CheckpointError("models add: name the model folder or the weight file to add")
    added = _add(Path(args.target), args.name, args.fps)
    print(f"added {added}")
    return {"added": str(added)}


def _list(json: bool) -> dict[str, Any]:
    from echosynth.commands.console import print_table
    from echosynth.report.tables import Table
    from echosynth.storage.model_store import list_models

    models = [entry.to_dict() for entry in list_models()]
    if not models:
        print("no models; see `echosynth models add --help`", file=sys.stderr)
    elif not json:
        columns = ("name", "kind", "license", "folder")
        rows = [[*(model[key] for key in columns), f"{model['mib']:.2f}"] for model in models]
        print_table(Table("Models", [*columns, "MiB"], rows, text_columns=range(len(columns))))
    return {"models": models}


def _add(target: Path, name: str | None, fps: float | None) -> Path:
    if target.is_dir():
        from echosynth.storage.added_models import add_model

        return add_model(target)
    from echosynth.regression.public_weights import add_public_weights

    return add_public_weights(target, name or target.stem, fps)

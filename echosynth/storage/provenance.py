"""What a run was made with: its resolved configuration, and one record of versions and platform for each start."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from echosynth import __version__
from echosynth.errors import OutputError
from echosynth.storage.atomic import write_text

RECORDED_PACKAGES = ("torch", "diffusers", "accelerate", "numpy", "scipy", "av", "imageio", "safetensors")
RUN_RECORDS = ("config.yaml", "provenance.json")  # what a run was made with, in its folder


def save_resolved(config: BaseModel, folder: str | Path) -> None:
    """Write `config.yaml` (every default filled in) and `provenance.json` into a run folder, before work starts.

    `provenance.json` is a list with one entry for each start of the run, so that a resumed run keeps its history.

    Args:
        config: the checked configuration.
        folder: the run folder; made if need be.

    Raises:
        OutputError: the folder holds a run with another configuration, or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the run folder {folder}: {error.strerror}") from None
    text = yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True, width=120)
    config_file, provenance_file = (folder / name for name in RUN_RECORDS)
    if config_file.exists() and config_file.read_text(encoding="utf-8") != text:
        raise OutputError(f"{folder} holds a run with another configuration (see {config_file}); choose another --out")
    starts = json.loads(provenance_file.read_text(encoding="utf-8")) if provenance_file.exists() else []
    write_text(config_file, text)
    write_text(provenance_file, json.dumps([*starts, collect_provenance()], indent=2) + "\n")


def collect_provenance() -> dict[str, Any]:
    """Return time (UTC), command line, versions, platform and git commit (None outside a checkout)."""
    versions: dict[str, str | None] = {}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "echosynth": __version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "versions": versions,
    }


def _git_commit() -> str | None:
    """Return the commit of this checkout, with "+changes" if tracked files differ from it."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None  # installed somewhere inside another project's repository, perhaps: its commit is not ours

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None

"""What a start of a run was made with: time, command line, versions, platform and git commit."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from echosynth import __version__

RECORDED_PACKAGES = (
    *("torch", "diffusers", "accelerate", "numpy", "scipy", "scikit-learn"),
    *("av", "imageio", "einops", "safetensors"),
)


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

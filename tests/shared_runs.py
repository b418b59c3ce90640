"""A small augmentation that several processes share, and what it made."""

import json
from pathlib import Path

PATIENCE = 300.0  # seconds for processes on a busy machine
CLIPS = 5


def contents(run: Path) -> dict[str, bytes]:
    """Every file that a run made, and its manifest without the times."""
    files = {path.relative_to(run).as_posix(): path for path in run.rglob("*") if path.is_file()}
    made = {name: path.read_bytes() for name, path in files.items() if name.startswith("dataset/")}
    lines = [json.loads(line) for line in (run / "manifest.jsonl").read_text().splitlines()]
    return {**made, "manifest": json.dumps([{**line, "seconds": 0} for line in lines]).encode()}

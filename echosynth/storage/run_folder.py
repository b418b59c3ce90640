"""One output folder belongs to one run: the same command again continues it, another one is refused.

OUT/run.json   {"command", "settings", "starts": [...]}; settings decide the result, starts are history
OUT/.lock      held while a process works, so that two do not write the same sample
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from echosynth.errors import EchosynthError, OutputError
from echosynth.storage.atomic import write_text
from echosynth.storage.lock import hold
from echosynth.storage.provenance import RUN_RECORDS, collect_provenance

RUN_FILE = "run.json"


@contextmanager
def claim(out: Path, command: str, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Make `out` the folder of this run, or continue it, and hold it until the block ends.

    A run that is refused before it has made anything leaves the folder free for the corrected command.

    Args:
        out: the folder; made if missing.
        command: name of the command.
        settings: everything that decides the result (arguments, hashes of inputs and weights); plain JSON values.

    Raises:
        OutputError: the folder holds another run or other files, another process works in it, or the disk refused.
    """
    settings = json.loads(json.dumps(settings))
    _refuse_other_run(out, command, settings)
    with hold(out):
        starts = []
        if (out / RUN_FILE).is_file():
            _refuse_other_run(out, command, settings)  # another process may have taken it meanwhile
            starts = _read(out).get("starts", [])
        record = {"command": command, "settings": settings, "starts": [*starts, collect_provenance()]}
        write_text(out / RUN_FILE, json.dumps(record, indent=2) + "\n")
        try:
            yield out
        except EchosynthError:
            release(out)
            raise


def release(out: Path) -> None:
    """Free a folder for another run if it holds nothing of this one but its records."""
    records = {RUN_FILE, *RUN_RECORDS}
    if {entry.name for entry in out.iterdir()} <= {*records, ".lock"}:
        for name in records:
            (out / name).unlink(missing_ok=True)


def _refuse_other_run(out: Path, command: str, settings: Mapping[str, Any]) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder with --out")
    if not (out / RUN_FILE).is_file():
        if any(entry.name != ".lock" and not entry.name.endswith(".tmp") for entry in out.iterdir()):
            raise OutputError(
                f"{out} holds other files and no run of echosynth; choose an empty or new folder with --out"
            )
        return
    old = _read(out)
    if old.get("command") != command:
        raise OutputError(f"{out} holds a run of 'echosynth {old.get('command')}'; choose another folder with --out")
    before = old.get("settings", {})
    changed = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
    if changed:
        key = changed[0]
        then, now = (repr(x.get(key))[:80] for x in (before, settings))
        raise OutputError(f"{out} holds another run: {key} was {then}, now {now}; choose another folder with --out")


def _read(out: Path) -> dict[str, Any]:
    try:
        record = json.loads((out / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{out / RUN_FILE} cannot be read ({error}); choose another folder with --out") from None
    return record if isinstance(record, dict) else {}

"""One output folder belongs to one run: the same command again continues it, another one is refused.

A long verb does all of its work inside one `with` block:

    with RunFolder.open(out, "augment", config, inputs={"gate": [name, sha256]}, may_change=["device"]) as run:
        ...                                       # makes what is missing below run.path

The block begins with the folder held (OUT/.lock), freed of what killed processes left half-written, and with the
records of the run on disk (run_records.py). A block that fails before it has made a file frees the folder for the
corrected command.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from echosynth.errors import OutputError
from echosynth.storage.atomic import ABANDONED, LOCK_FILE, is_leftover
from echosynth.storage.lock import hold
from echosynth.storage.provenance import collect_provenance
from echosynth.storage.run_records import RECORDS, RunRecords, config_values, matches

SHARED_WAIT = 30.0  # seconds; a process that shares a folder holds it only while it writes the records


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run that this process works in.

    Attributes:
        path: the folder.
    """

    path: Path

    @staticmethod
    @contextmanager
    def open(
        out: str | Path,
        command: str,
        config: BaseModel,
        inputs: Mapping[str, Any] | None = None,
        may_change: Sequence[str] = (),
        may_rise: Sequence[str] = (),
        shared: bool = False,
    ) -> Iterator["RunFolder"]:
        """Make `out` the folder of this run, or continue it, and hold it until the block ends.

        Keys are dotted ("optim.steps"), "stages.*.optim.steps" is that of every stage, "pace" is all that is below it.

        Args:
            out: the folder; made if missing.
            command: name of the command.
            config: what the user chose; saved before the block begins.
            inputs: what else decides the result, e.g. hashes of data and weights; plain JSON values. An input takes
                the place of the configuration's key of the same name: a model's hash that of its name.
            may_change: keys that do not decide the result; the run goes on with the new value.
            may_rise: keys that may become larger, e.g. the steps of a training.
            shared: several processes of the run work in it, each in a part of its own that it holds by `hold`; the
                folder is held only while its records are written.

        Raises:
            OutputError: the folder holds another run (the message names the key that differs) or other files, its
                records are damaged, another process works in it, or the system refused.
        """
        out = Path(out)
        now = RunRecords(command, config_values(config), json.loads(json.dumps(dict(inputs or {}))), [])

        def look() -> RunRecords | None:
            before = _find(out)
            if before is None:
                return None
            fault = _difference(before.brought_up(type(config), now.inputs or {}), now, may_change, may_rise)
            if fault and not shared and not _has_made_anything(out):
                return None
            if fault:
                raise OutputError(f"{out} holds {fault}; choose another folder")
            return before

        look()  # a folder of somebody else is refused before even the lock is written there
        existed = out.exists()
        with ExitStack() as held:
            held.enter_context(hold(out, SHARED_WAIT, ABANDONED) if shared else hold(out))
            before = look()  # another process may have taken it meanwhile
            try:
                replace(now, starts=[*(before.starts if before else []), collect_provenance()]).write(out)
                if shared:
                    held.close()
                yield RunFolder(out)
            except BaseException:
                if shared:
                    held.close()  # it is held still if the records could not be written
                with suppress(OSError, OutputError), hold(out, SHARED_WAIT, ABANDONED) if shared else nullcontext():
                    _free(out, existed, shared)
                raise


def _find(out: Path) -> RunRecords | None:
    """The records in a folder that is there; None if it is empty or absent."""
    try:
        if out.exists() and not out.is_dir():
            raise OutputError(f"{out} is a file; give a folder with --out")
        names = [entry.name for entry in out.iterdir()] if out.exists() else []
    except OSError as error:
        raise OutputError(f"cannot read the folder {out}: {error.strerror}") from error
    before = RunRecords.read(out) if names else None
    if before is None and any(name != LOCK_FILE and not is_leftover(name) for name in names):
        raise OutputError(f"{out} holds other files and no run of echosynth; choose an empty or new folder")
    return before


def _difference(before: RunRecords, now: RunRecords, may_change: Sequence[str], may_rise: Sequence[str]) -> str:
    """What another run than `now` a folder holds, in words; "" if it holds this one."""
    if before.command not in (None, now.command):
        return f"a run of 'echosynth {before.command}'"
    for key, then, value in before.differences(now):
        rises = isinstance(then, int | float) and isinstance(value, int | float) and value > then
        if not matches(key, may_change) and not (rises and matches(key, may_rise)):
            return f"a run with another configuration: {key} was {then!r:.80}, now {value!r:.80}"
    return ""


def _has_made_anything(out: Path) -> bool:
    """Whether a folder holds a file that is neither a record nor a lock."""
    files = (Path(root) / name for root, _, names in os.walk(out) for name in names)
    records = {out / name for name in RECORDS}
    return any(not (file.name.endswith(LOCK_FILE) or is_leftover(file.name) or file in records) for file in files)


def _free(out: Path, existed: bool, shared: bool) -> None:
    """Free a folder for another run if nothing was made in it; a folder that this run made is removed."""
    if _has_made_anything(out) or (shared and len((RunRecords.read(out) or _NOTHING).starts) > 1):  # others joined
        return
    for entry in out.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != LOCK_FILE:
            entry.unlink(missing_ok=True)
    if not existed:
        with suppress(OSError):  # Windows removes no file that is held
            (out / LOCK_FILE).unlink()
            out.rmdir()


_NOTHING = RunRecords(None, {}, {}, [])

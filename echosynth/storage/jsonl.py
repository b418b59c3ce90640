"""Files of JSON lines that grow while a run works: one object a line, synced before the run goes on.

A process that is killed while it writes leaves its last line without an end. Reading passes over such a line, for it
may be that the process still writes; `append_record` and `cut_torn_line` cut it off. Any other damage is an error.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from pydantic import TypeAdapter, ValidationError

from echosynth.errors import OutputError
from echosynth.storage.atomic import atomic_write, refusal, sync_folder, write_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RecordT = TypeVar("RecordT", bound="DataclassInstance")


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read every whole line; [] if there is no file. The file is not changed.

    Raises:
        OutputError: damaged, or cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror}") from error
    records = []
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise damaged(path, number)
        records.append(record)
    return records


def cut_torn_line(path: Path) -> None:
    """Cut off a last line that a killed process left without an end; whoever calls holds the run's folder.

    Raises:
        OutputError: the system refused.
    """
    try:
        if path.exists():
            with path.open("rb+") as file:
                end = _end_of_lines(file)
                if end < file.seek(0, os.SEEK_END):
                    file.truncate(end)
                    os.fsync(file.fileno())
    except OSError as error:
        raise refusal(path, error) from error


def read_typed(path: Path, kind: type[RecordT]) -> list[RecordT]:
    """Read every whole line as a dataclass; its fields are the keys of a line, their types are checked strictly.

    Raises:
        OutputError: damaged, a value of a wrong type, a key too few or too many, or the file cannot be read.
    """
    adapter = TypeAdapter(kind)
    known = {field.name for field in fields(kind)}
    made = []
    for number, record in enumerate(read_records(path), start=1):
        if set(record) != known:
            raise damaged(path, number, f"its keys are not {', '.join(sorted(known))}")
        try:
            made.append(adapter.validate_json(json.dumps(record), strict=True))
        except ValidationError as error:
            key = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))
            raise damaged(path, number, f"{key} is of a wrong type") from None
    return made


def damaged(path: Path, number: int, reason: str = "") -> OutputError:
    """The error of line `number` (from 1) that is not what a run writes."""
    because = f" ({reason})" if reason else ""
    return OutputError(f"{path}, line {number} is damaged{because}; mend it or use a new folder")


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line; when this returns it is safe on disk. A line that could not be written whole is taken back.

    Raises:
        OutputError: the system refused.
    """
    line = json.dumps(record).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("ab+") as file:
            size = _end_of_lines(file)
            try:
                file.truncate(size)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(path, size)
                raise
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise refusal(path, error) from error


def keep_records(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrite a file with the records for which `keep` is true, whole or not at all; does nothing without a file.

    Raises:
        OutputError: damaged, or the system refused.
    """
    if path.exists():
        kept = [record for record in read_records(path) if keep(record)]
        write_bytes(path, b"".join(json.dumps(record).encode() + b"\n" for record in kept))


def join_records(path: Path, sources: Iterable[Path]) -> None:
    """Write the lines of several files into one, whole or not at all; a source that is not there has none.

    Raises:
        OutputError: the system refused.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as joined:
        for source in sources:
            if source.exists():
                with source.open("rb") as file:
                    shutil.copyfileobj(file, joined)


def _end_of_lines(file: BinaryIO) -> int:
    """Where the last whole line of a file ends, in bytes."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = file.seek(max(0, end - 4096))
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0

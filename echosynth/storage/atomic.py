"""Files and folders that are whole or absent: temporary name beside the target, fsync, rename, fsync of the parent.

    .NAME.HEX.tmp    what is being written; a killed process leaves it behind, see `remove_leftovers`
    .NAME.HEX.old    a folder that steps aside for the one that replaces it

What is written gets the mode that the umask asks for, whatever mode the writing library chose.
"""

import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from echosynth.errors import OutputError

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# seconds; where there is no lock, a file that has not been written for so long was left by a killed process
ABANDONED = 24 * 3600.0
LOCK_FILE = ".lock"  # see lock.py
_LEFTOVER = re.compile(r"\..+\.tmp", re.DOTALL)
_ASIDE = re.compile(r"\.(.+)\.[0-9a-f]{12}\.old", re.DOTALL)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well the file is synced and takes its name at once.

    Raises:
        OutputError: the system refused (disk full, no permission); the old file, if any, is untouched.
    """
    path = Path(path)
    temporary = _beside(path, "tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    try:
        # Made first, so that a folder where nothing can be written is refused before any work, and to learn the mode.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        mode = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        temporary.chmod(mode)
        _sync(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        raise refusal(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8, lines end in LF) whole or not at all.

    Raises:
        OutputError: the system refused.
    """
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OutputError: the system refused.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(data)


@contextmanager
def replace_folder(target: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder; when the block ends well all of it is synced and it becomes `target`.

    A folder of that name steps aside, and is removed only after the new one has the name.

    Raises:
        OutputError: the system refused; the old folder, if any, is untouched.
    """
    target = Path(target)
    with _made_beside(target) as part:
        yield part
        _sync_tree(part)
        if not os.path.lexists(target):
            part.rename(target)
        else:
            if not target.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
            aside = _beside(target, "old")
            target.rename(aside)
            try:
                part.rename(target)
            except OSError:
                aside.rename(target)
                raise
            sync_folder(target.parent)
            _remove(aside)
        sync_folder(target.parent)


@contextmanager
def new_folder(target: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder that becomes `target`; if another process was first, its folder stays.

    Raises:
        OutputError: the system refused.
    """
    target = Path(target)
    with _made_beside(target) as part:
        yield part
        _sync_tree(part)
        try:
            part.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        sync_folder(target.parent)


def remove_leftovers(folder: Path, older_than: float = 0.0) -> None:
    """Remove what killed processes left half-written in a folder and below it.

    A folder that stepped aside gets its name back if the process was killed before the new folder had it. A folder
    below that has a lock of its own is left to whoever holds that.

    Args:
        folder: which; whoever calls holds its lock, or asks for old ones only.
        older_than: seconds since the leftover was last written.
    """
    latest = time.time() - older_than
    for root, folders, files in os.walk(folder):
        if LOCK_FILE in files and Path(root) != folder:
            folders.clear()
            continue
        for name in [*folders, *files]:
            aside = _ASIDE.fullmatch(name)
            if not aside and not _LEFTOVER.fullmatch(name):
                continue
            if name in folders:
                folders.remove(name)  # not visited
            path = Path(root) / name
            with suppress(OSError):
                if older_than and _last_written(path) > latest:
                    continue
                if aside and not os.path.lexists(path.with_name(aside[1])):
                    path.rename(path.with_name(aside[1]))
                else:
                    _remove(path)


def is_leftover(name: str) -> bool:
    """Whether a file or folder of this name is what a killed process left."""
    return bool(_LEFTOVER.fullmatch(name) or _ASIDE.fullmatch(name))


def refusal(path: str | Path, error: OSError | SafetensorError) -> OutputError:
    """The one line that says why `path` could not be written."""
    number = re.search(r"\(os error (\d+)\)", str(error))  # what Rust says of a system's error
    code = error.errno if isinstance(error, OSError) else int(number[1]) if number else None
    if code in DISK_FULL:
        return OutputError(f"cannot write {path}: the disk is full; make room, the same command continues")
    return OutputError(f"cannot write {path}: {os.strerror(code) if code else error}")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable; some file systems do not offer it, and a rename is atomic all the same."""
    with suppress(OSError):
        _sync(folder)


@contextmanager
def _made_beside(target: Path) -> Iterator[Path]:
    part = _beside(target, "tmp")
    try:
        part.mkdir(parents=True)
        yield part
    except (OSError, SafetensorError) as error:
        raise refusal(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.{kind}")


def _sync_tree(folder: Path) -> None:
    """Sync every file and folder, and give files the mode that the folder's mode, by the umask, asks for."""
    mode = stat.S_IMODE(folder.stat().st_mode) & 0o666
    for root, _, files in os.walk(folder, topdown=False):
        for name in files:
            path = Path(root) / name
            path.chmod(mode)
            _sync(path)
        sync_folder(Path(root))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_written(path: Path) -> float:
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return max(part.lstat().st_mtime for part in (path, *inside))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

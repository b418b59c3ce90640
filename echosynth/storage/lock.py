"""A folder that one process at a time works in: FOLDER/.lock, let go of by the system however the process ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from echosynth.errors import OutputError


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold `folder`, made if missing, until the block ends.

    Raises:
        OutputError: another process holds it, or the system refused.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks on Windows: the run goes on without
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise OutputError(f"another process is working in {folder}; wait for it or choose another --out") from None

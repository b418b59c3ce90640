"""A folder that one process at a time works in: FOLDER/.lock, let go of by the system however the process ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from echosynth.errors import OutputError
from echosynth.storage.atomic import LOCK_FILE, remove_leftovers


@contextmanager
def hold(folder: Path, wait: float = 0.0, older_than: float = 0.0) -> Iterator[None]:
    """Hold `folder`, made if missing, until the block ends; what killed processes left half-written in it is removed.

    Args:
        folder: which.
        wait: seconds to wait for another process to let it go.
        older_than: seconds since what was left was last written; more than 0 where others write without holding it.

    Raises:
        OutputError: another process holds it, or the system refused.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=wait)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise OutputError(f"another process is working in {folder}; wait for it or choose another folder") from None
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    try:
        remove_leftovers(folder, older_than)
        yield
    finally:
        lock.release()

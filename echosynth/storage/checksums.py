"""SHA-256 of the files of a folder, and the list that says what they must be.

The list is `SHA256SUMS` in the format of `sha256sum`, so that `sha256sum -c SHA256SUMS` checks a folder too.
"""

import hashlib
from pathlib import Path

from echosynth.errors import CheckpointError
from echosynth.storage.atomic import write_text

SUMS_FILE = "SHA256SUMS"
WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".npz", ".npy", ".onnx", ".pkl", ".jit"})


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None


def hash_files(folder: Path) -> dict[str, str]:
    """Return relative POSIX name -> SHA-256 of all files but the list itself and hidden ones, sorted by name."""
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    visible = [name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)]
    return {name: hash_file(folder / name) for name in sorted(visible) if name != SUMS_FILE}


def check_sums(folder: Path, found: dict[str, str]) -> None:
    """Compare the hashes of a folder's files with its list.

    Args:
        folder: the folder with `SHA256SUMS`.
        found: what `hash_files` returned for it.

    Raises:
        CheckpointError: there is no list, it is malformed, a file is missing or has another hash (both are shown), or
            a weight file is not on the list.
    """
    expected = read_sums(folder)
    for name, published in expected.items():
        if name not in found and not (folder / name).is_file():
            raise CheckpointError(f"{folder / name} is missing, but {SUMS_FILE} lists it. Fetch the model again")
        actual = found[name] if name in found else hash_file(folder / name)  # a hidden file may be listed too
        if actual != published:
            raise CheckpointError(
                f"{folder / name} is damaged or was changed: sha256 is {actual}, published is {published}. "
                "Fetch the model again"
            )
    for name in found:
        if name not in expected and Path(name).suffix.lower() in WEIGHT_SUFFIXES:
            raise CheckpointError(f"{folder / name} is a weight file that {SUMS_FILE} does not list; remove it")


def verify(folder: str | Path) -> None:
    """Hash every file of a model and compare with its `SHA256SUMS`.

    Raises:
        CheckpointError: there is no list, a file is missing or has another hash (both are shown), or a weight file is
            not on the list.
    """
    check_sums(Path(folder), hash_files(Path(folder)))


def write_sums(folder: str | Path) -> Path:
    """Hash every file of a folder and write `SHA256SUMS`, atomically. Return its path.

    Raises:
        CheckpointError: the folder is missing or empty.
    """
    folder = Path(folder)
    found = hash_files(folder) if folder.is_dir() else {}
    if not found:
        raise CheckpointError(f"no files to hash in {folder}")
    return list_sums(folder, found)


def list_sums(folder: Path, found: dict[str, str]) -> Path:
    """Write `SHA256SUMS` with some hashes, atomically. Return its path."""
    write_text(folder / SUMS_FILE, "".join(f"{digest}  {name}\n" for name, digest in found.items()))
    return folder / SUMS_FILE


def read_sums(folder: Path) -> dict[str, str]:
    """Read name -> sha256 from a list in the format of `sha256sum`.

    Raises:
        CheckpointError: there is no list, or it is malformed.
    """
    path = folder / SUMS_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {SUMS_FILE}, so its weights cannot be trusted")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.partition(" ")
        name = name[1:]  # the second separator is a space (text) or a star (binary)
        is_hash = len(digest) == 64 and set(digest.lower()) <= set("0123456789abcdef")
        if not is_hash or not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise CheckpointError(f"{path}, line {number}: expected '<64 hex digits>  <file inside the folder>'")
        sums[name] = digest.lower()
    if not sums:
        raise CheckpointError(f"{path} is empty")
    return sums

"""The models that a user adds to those that came with the package. One is there whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from echosynth.errors import CheckpointError
from echosynth.storage.atomic import new_folder
from echosynth.storage.checksums import verify
from echosynth.storage.model_files import CARD_FILE
from echosynth.storage.model_store import user_root


def add_model(source: str | Path) -> Path:
    """Verify a model folder, copy it to where the user's models belong, and return the copy.

    Raises:
        CheckpointError: it is no model folder, its hashes differ, or a model of this name is there already.
        OutputError: it cannot be copied.
    """
    source = Path(source).resolve()
    if not (source / CARD_FILE).is_file():
        raise CheckpointError(f"{source} is no model folder: it has no {CARD_FILE}")
    verify(source)
    with added_folder(source.name) as part:
        shutil.copytree(source, part, dirs_exist_ok=True)
        verify(part)
    return user_root() / source.name


@contextmanager
def added_folder(name: str) -> Iterator[Path]:
    """Give an empty folder that becomes the user's model `name` when the block ends well.

    Raises:
        CheckpointError: the name is no folder's, or a model of this name is there already.
        OutputError: the system refused.
    """
    if name != Path(name).name or name.startswith("."):
        raise CheckpointError(f"'{name}' cannot be the name of a model; choose another")
    target = user_root() / name
    if target.exists():
        raise CheckpointError(f"{target} is there already; remove it first")
    with new_folder(target) as part:
        yield part

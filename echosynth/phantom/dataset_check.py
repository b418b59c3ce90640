"""What of a simulated dataset is missing or damaged, so that it is rendered again."""

import math
import zipfile
from dataclasses import asdict
from pathlib import Path

from echosynth.data.echonet_tables import EchoNetRow
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import CheckpointError, CorruptVideoError, OutputError
from echosynth.phantom.plan import PhantomRow, SimulateConfig
from echosynth.storage.checksums import SUMS_FILE, hash_file, read_sums
from echosynth.video.container import check_container


def clip_files(config: SimulateConfig, row: PhantomRow) -> list[str]:
    """The files of a clip, relative to the dataset."""
    asked = {"Masks": config.masks, "Motion": config.motion}
    return [f"Videos/{row.file}.avi", *(f"{folder}/{row.file}.npz" for folder, is_asked in asked.items() if is_asked)]


def reopen_damaged(writer: EchoNetWriter, config: SimulateConfig, rows: list[PhantomRow]) -> dict[str, str]:
    """Reopen clips of which a file is missing or damaged, or whose rows in the tables are missing or different.

    Files of a finished dataset must have their hash; those of one that was interrupted must be whole.

    Returns:
        File -> hash of those that were hashed and stay.
    """
    try:
        known = read_sums(writer.root) if (writer.root / SUMS_FILE).exists() else {}
    except CheckpointError as error:
        raise OutputError(f"{error}; remove it, and the same command checks what is there") from None
    sums: dict[str, str] = {}
    for row in rows:
        names = clip_files(config, row)
        if row.file not in writer:
            continue
        found = {name: _hash(writer.root / name) for name in names}
        whole = all(found[name] == known[name] if name in known else _is_whole(writer.root / name) for name in names)
        if whole and _is_recorded(writer, config, row):
            sums |= {name: digest for name, digest in found.items() if digest}
        else:
            writer.reopen(row.file)
    return sums


def _hash(path: Path) -> str | None:
    return hash_file(path) if path.is_file() else None


def _is_whole(path: Path) -> bool:
    """Whether a video or an archive of arrays was not cut off."""
    if path.suffix == ".npz":
        return zipfile.is_zipfile(path)
    try:
        with path.open("rb") as file:
            check_container(file, path.name)
            return file.read(4) == b"RIFF"
    except (OSError, CorruptVideoError):
        return False


def _is_recorded(writer: EchoNetWriter, config: SimulateConfig, row: PhantomRow) -> bool:
    """Whether the tables hold the planned values of a clip, up to rounding differences between machines."""
    recorded = writer.row(row.file)
    planned = EchoNetRow(row.file, row.ef, row.esv, row.edv, config.size, config.size, row.fps, row.frames, row.split)
    traced = [tracing.frame for tracing in writer.tracings(row.file)]
    return traced == [row.ed_frame, row.es_frame] and all(
        math.isclose(a, b, rel_tol=1e-6) if isinstance(b, float) else a == b
        for a, b in zip(asdict(recorded).values() if recorded else [], asdict(planned).values(), strict=True)
    )

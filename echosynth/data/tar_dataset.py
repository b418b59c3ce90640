"""Clips in tar files of about a thousand, which WebDataset, Ray and the Hugging Face Hub stream as they are.

    ROOT/000012.tar      KEY.avi and KEY.json, one pair a clip
    ROOT/index.parquet   a row for every clip: what its JSON says, the tar, where in it the AVI begins, and its SHA-256

The bytes of a tar depend on its members alone: no times, no owners, members in the order in which they are given.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from echosynth.data.dataset import ClipEntry, format_names
from echosynth.errors import DatasetError, MissingDependencyError
from echosynth.storage.atomic import atomic_write
from echosynth.video.clip import EchoClip
from echosynth.video.readers import load_video_bytes

INDEX = "index.parquet"
ROWS_AT_ONCE = 65_536
COLUMNS = {  # of the index; every one but the last four is a key of the JSON too
    "key": "string",
    "ef": "float64",
    "target_ef": "float64",
    "gate_ef": "float64",
    "fps": "float64",
    "num_frames": "int32",
    "height": "int32",
    "width": "int32",
    "split": "string",
    "source": "string",
    "source_frame": "int32",
    "seed": "int64",
    "tar": "string",
    "offset": "int64",
    "size": "int64",
    "sha256": "string",
}


def write_tar(path: Path, members: Iterable[tuple[str, Path, Mapping[str, Any]]]) -> None:
    """Write one tar, whole or not at all.

    Args:
        path: the file.
        members: for each clip its key, its AVI, and what its JSON says.

    Raises:
        OutputError: the system refused.
    """
    with atomic_write(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, video, facts in members:
            with video.open("rb") as file:
                tar.addfile(_member(f"{key}.avi", video.stat().st_size), file)
            text = (json.dumps(facts, indent=1) + "\n").encode()
            tar.addfile(_member(f"{key}.json", len(text)), io.BytesIO(text))


def read_tar(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row of the index for every clip of a tar.

    Raises:
        DatasetError: it is damaged, or no tar of this kind.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            videos = {}
            for member in tar:
                key, _, kind = member.name.rpartition(".")
                content = tar.extractfile(member)
                assert content is not None
                data = content.read()
                if kind == "avi":
                    digest = hashlib.sha256(data).hexdigest()
                    videos[key] = {"offset": member.offset_data, "size": member.size, "sha256": digest}
                else:
                    yield {**json.loads(data), "key": key, "tar": path.name, **videos.pop(key)}
    except (tarfile.TarError, OSError, ValueError, KeyError, AssertionError) as error:
        raise DatasetError(f"{path} is damaged, or no tar of clips: {error}") from None


def write_index(root: Path) -> None:
    """Write the index of all tars of a folder, whole or not at all.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        DatasetError: a tar is damaged.
        OutputError: the system refused.
    """
    pa, pq = require_pyarrow()
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in COLUMNS.items()])
    rows = (row for path in sorted(root.glob("*.tar")) for row in read_tar(path))
    with atomic_write(root / INDEX) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while part := list(islice(rows, ROWS_AT_ONCE)):
            writer.write_table(pa.table({name: [row[name] for row in part] for name in COLUMNS}, schema))


def require_pyarrow() -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and its Parquet module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError("tars of clips need pyarrow: pip install 'echosynth[webdataset]'") from None
    return pyarrow, pyarrow.parquet


class TarDataset:
    """A folder of tars with their index, read only; any clip is read at once, wherever it is.

    Args:
        root: the folder.

    Raises:
        DatasetError: there is no index, or it is damaged, or a tar is missing.
        MissingDependencyError: pyarrow is not installed.
    """

    layout = "tars of clips"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        pa, pq = require_pyarrow()
        try:
            self._table = pq.read_table(self.root / INDEX, columns=list(COLUMNS))
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{self.root / INDEX} cannot be read: {error}") from None
        missing = [name for name in self._table["tar"].unique().to_pylist() if not (self.root / name).is_file()]
        if missing:
            raise DatasetError(f"{len(missing)} tars are missing in {self.root}: {format_names(missing)}")
        shown = self._table.select(["key", "source", "split", "ef", "fps", "num_frames"]).to_pydict()
        self.entries: Sequence[ClipEntry] = [
            ClipEntry(key, source, split, ef=ef, fps=fps, num_frames=frames)
            for key, source, split, ef, fps, frames in zip(*shown.values(), strict=True)
        ]

    def clip(self, index: int) -> EchoClip:
        """See `ClipDataset.clip`."""
        row = self._table.slice(index, 1).to_pylist()[0]
        path = self.root / row["tar"]
        try:
            with path.open("rb") as file:
                file.seek(row["offset"])
                data = file.read(row["size"])
        except OSError as error:
            raise DatasetError(f"cannot read {path}: {error.strerror}") from None
        clip = load_video_bytes(data, f"{row['key']}.avi in {path}")
        return clip.replace(fps=row["fps"], ef=row["ef"], source=row["key"])

    def problems(self) -> list[str]:
        """See `ClipDataset.problems`: a tar that is shorter than the index says."""
        ends: dict[str, int] = {}
        rows = self._table.select(["tar", "offset", "size"]).to_pydict()
        for name, offset, size in zip(*rows.values(), strict=True):
            ends[name] = max(ends.get(name, 0), offset + size)
        short = [name for name, end in ends.items() if (self.root / name).stat().st_size < end]
        return [f"{len(short)} tars are shorter than {INDEX} says: {format_names(short)}"] if short else []


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member

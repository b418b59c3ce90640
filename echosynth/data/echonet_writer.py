"""EchoNet-Dynamic's layout on disk, written, by one process or by several at a time.

Of two tracings the end-systolic rows, those of the smaller volume, come first, as EchoNet's own loader expects.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from echosynth.data.echonet_tables import (
    FILE_LIST_HEADER,
    NAME,
    TRACINGS_HEADER,
    EchoNetRow,
    Tracing,
    make_tracing,
    read_file_list,
    read_tracings,
    stem,
    write_table,
)
from echosynth.errors import DatasetError, OutputError
from echosynth.storage.jsonl import append_record, cut_torn_line, damaged, read_typed
from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_avi

_JOURNAL = ".echosynth-journal.jsonl"


class EchoNetWriter:
    """Writes a dataset in EchoNet format; a killed run goes on where it was by opening the same folder again.

    Every video is complete or absent. Each finished clip is one synced line in a journal; `close` (or the end of a
    `with` block) turns the journal into the two tables. Rows keep the order in which they were added.

    Several writers may fill one folder at a time, each with a journal of its own: then `close` writes no table, and
    `write_tables` makes them of all journals.

    Args:
        root: the folder; made if missing. An existing dataset in it is continued.
        lossless: FFV1 instead of EchoNet's MJPG (here at top quality).
        synthetic: mark every video as synthetic.
        journal: file of this writer alone; None for the only writer of the folder.

    Raises:
        OutputError: the folder cannot be used, or its journal is damaged.
        DatasetError: the folder holds tables that are malformed.
    """

    def __init__(
        self, root: str | Path, lossless: bool = False, synthetic: bool = True, journal: Path | None = None
    ) -> None:
        self.root, self.lossless, self.synthetic = Path(root), lossless, synthetic
        self._journal, self._is_alone = journal or self.root / _JOURNAL, journal is None
        self._rows: dict[str, EchoNetRow] = {}
        self._tracings: dict[str, list[Tracing]] = {}
        self._reopened: set[str] = set()
        try:
            (self.root / "Videos").mkdir(parents=True, exist_ok=True)
            if self._is_alone and (self.root / "FileList.csv").is_file():
                self._rows = {row.file_name: row for row in read_file_list(self.root)}
                self._tracings = read_tracings(self.root)
            self._replay(self._journal)
        except OSError as error:
            raise OutputError(f"cannot use the folder {self.root}: {error.strerror}") from error

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and stem(name) in self._rows and stem(name) not in self._reopened

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, name: str) -> EchoNetRow | None:
        """Return what the list says of a clip that is there."""
        return self._rows.get(stem(name))

    def tracings(self, name: str) -> list[Tracing]:
        """Return the tracings of a clip that is there, by falling volume."""
        return self._tracings.get(stem(name), [])

    def reopen(self, name: str) -> None:
        """Have a clip that is there, but damaged, added once more; it keeps its place in the tables."""
        if stem(name) in self._rows:
            self._reopened.add(stem(name))

    @property
    def names(self) -> list[str]:
        """Names of the clips that are already there, without .avi, in order."""
        return list(self._rows)

    def add(self, name: str, clip: EchoClip, split: str, tracings: Sequence[Tracing] | None = None) -> EchoNetRow:
        """Write one clip; when this returns the clip is safe on disk.

        Args:
            name: file name, with or without .avi; letters, digits, `_`, `-` and `.`.
            clip: must know its ef, edv and esv.
            split: "TRAIN", "VAL" or "TEST".
            tracings: of the ED and the ES frame, in any order.

        Raises:
            ValueError: a bad name, an unknown volume or EF, a tracing outside of the clip.
            DatasetError: the name is there already.
            OutputError: the disk refused.
        """
        name = stem(name)
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a plain file name")
        if name in self:
            raise DatasetError(f"{name} is already in {self.root}")
        if clip.ef is None or clip.edv is None or clip.esv is None:
            raise ValueError(f"{name}: EchoNet format needs ef, edv and esv")
        if any(not 0 <= t.frame < clip.num_frames for t in tracings or ()):
            raise ValueError(f"{name}: a tracing lies outside of the clip's {clip.num_frames} frames")
        # Plain floats: NumPy's would be written as "np.float64(55.0)".
        ef, esv, edv, fps = float(clip.ef), float(clip.esv), float(clip.edv), float(clip.fps)
        height, width = clip.pixels.shape[1:]
        row = EchoNetRow(name, ef, esv, edv, height, width, fps, clip.num_frames, split.upper())
        write_avi(self.root / "Videos" / f"{name}.avi", clip, lossless=self.lossless, synthetic=self.synthetic)
        traced = sorted(tracings or (), key=lambda t: t.volume, reverse=True)
        entry = _JournalEntry(row, [(t.frame, t.rows().tolist()) for t in traced])
        append_record(self._journal, asdict(entry))
        self._reopened.discard(name)
        self._rows[name] = row
        self._tracings[name] = traced
        return row

    def close(self) -> None:
        """Write FileList.csv and VolumeTracings.csv, each at once, and drop the journal. May be called again.

        Raises:
            OutputError: the disk refused; the journal stays, nothing is lost.
        """
        if self._is_alone:
            self._write_tables()
            self._journal.unlink(missing_ok=True)

    def _write_tables(self) -> None:
        # The list goes last: a folder with FileList.csv has its tracings.
        tracings: list[Iterable[object]] = []
        for name in self._rows:
            for traced in reversed(self._tracings.get(name, [])):
                tracings += [[f"{name}.avi", *map(repr, line), traced.frame] for line in traced.rows().tolist()]
        write_table(self.root / "VolumeTracings.csv", TRACINGS_HEADER, tracings)
        write_table(self.root / "FileList.csv", FILE_LIST_HEADER, (asdict(row).values() for row in self._rows.values()))

    def __enter__(self) -> "EchoNetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or self._rows:  # what failed before its first clip leaves no tables of nothing
            self.close()

    def _replay(self, path: Path) -> None:
        """Take over the clips of a journal."""
        for number, entry in enumerate(read_typed(path, _JournalEntry), start=1):
            whole = all(len(rows) > 1 and all(len(row) == 4 for row in rows) for _, rows in entry.tracings)
            if not whole or not NAME.fullmatch(entry.row.file_name):
                raise damaged(path, number)
            self._rows[entry.row.file_name] = entry.row
            traced = [make_tracing(frame, np.array(rows)) for frame, rows in entry.tracings]
            self._tracings[entry.row.file_name] = traced
        cut_torn_line(path)


def write_tables(root: str | Path, journals: Iterable[Path]) -> EchoNetWriter:
    """Write the tables of a folder that several writers filled, and return a writer that knows what they hold.

    Args:
        root: the folder.
        journals: of the writers, none of which still writes; rows come in the order of the journals.

    Raises:
        OutputError: a journal is damaged, or the disk refused.
    """
    writer = EchoNetWriter(root, journal=Path(root) / _JOURNAL)
    for journal in journals:
        writer._replay(journal)
    writer._write_tables()
    return writer


@dataclass(frozen=True)
class _JournalEntry:
    """One line of the journal: a clip, and (frame, rows of VolumeTracings.csv) of what is traced."""

    row: EchoNetRow
    tracings: list[tuple[int, list[list[float]]]]

"""EchoNet-Dynamic's layout on disk, read and written.

    ROOT/FileList.csv, ROOT/VolumeTracings.csv  the tables, see `echonet_tables.py`
    ROOT/Videos/NAME.avi                        MJPG, 112 x 112

Which of two traced frames is end-diastolic is not said in the files, and readers disagree (first row, lower frame
number), so we decide by the larger volume, and write the end-systolic rows first, as EchoNet's own loader expects.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from echosynth.cardiac.landmarks import CHORDS
from echosynth.data.dataset import ClipEntry, format_names
from echosynth.data.echonet_tables import (
    FILE_LIST_HEADER,
    NAME,
    TRACINGS_HEADER,
    EchoNetRow,
    Tracing,
    make_tracing,
    read_file_list,
    read_patients,
    read_tracings,
    stem,
    write_table,
)
from echosynth.data.outlines import Outline
from echosynth.errors import DatasetError, OutputError
from echosynth.storage.jsonl import append_record, cut_torn_line, damaged, read_typed
from echosynth.video.clip import EchoClip
from echosynth.video.readers import load_video
from echosynth.video.writers import write_avi

_JOURNAL = ".echosynth-journal.jsonl"


class EchoNetDataset:
    """A folder in EchoNet format, read only. Videos are opened one by one, when asked for.

    Args:
        root: the folder with FileList.csv.
        complete: insist that every listed video is there, and listed once.

    Attributes:
        rows: the lines of FileList.csv, in order.
        entries: the same as `ClipEntry`; the patient is the video's name, but phantoms know theirs (Phantom.csv).

    Raises:
        DatasetError: a table is missing or malformed, or (if `complete`) a listed video is missing or listed twice.
    """

    layout = "EchoNet-Dynamic"

    def __init__(self, root: str | Path, complete: bool = True) -> None:
        self.root = Path(root)
        self.rows = read_file_list(self.root, unique=complete)
        patients = read_patients(self.root)
        self.entries = [self._entry(row, *patients.get(row.file_name, (row.file_name, ""))) for row in self.rows]
        missing = self._missing_videos()
        if complete and missing:
            where = f"{len(missing)} of {len(self.rows)} videos are missing in {self.root / 'Videos'}"
            raise DatasetError(f"{where}: {format_names(missing)}")
        self._tracings: dict[str, list[Tracing]] | None = None

    @staticmethod
    def _entry(row: EchoNetRow, patient: str, seed: str) -> ClipEntry:
        facts = {"patient_seed": seed} if seed else {}
        return ClipEntry(
            row.file_name, patient, row.split, ef=row.ef, fps=row.fps, num_frames=row.num_frames, facts=facts
        )

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, name: str) -> list[int]:
        """Return the indices of the clips of one split ("TRAIN", "VAL", "TEST"; capitals or not), in order."""
        return [index for index, row in enumerate(self.rows) if row.split == name.upper()]

    def tracings(self, file_name: str) -> list[Tracing]:
        """Return the tracings of a clip (name with or without .avi) by falling volume, ED first; [] if it has none."""
        if self._tracings is None:
            self._tracings = read_tracings(self.root)
        return self._tracings.get(stem(file_name), [])

    def outlines(self, index: int) -> list[Outline]:
        """See `OutlinedDataset.outlines`."""
        traced = self.tracings(self.entries[index].name)
        return [Outline(t.frame, t.rows().reshape(-1, 2, 2)) for t in traced if len(t.chords) == CHORDS]

    def clip(self, index: int) -> EchoClip:
        """Return clip `index` with what the tables say of it.

        ed_frame and es_frame are the largest and the smallest traced volume; None without two tracings inside the clip.

        Raises:
            CorruptVideoError: the video cannot be decoded.
        """
        row = self.rows[index]
        clip = load_video(self.root / "Videos" / f"{row.file_name}.avi")
        traced = [t for t in self.tracings(row.file_name) if 0 <= t.frame < clip.num_frames]
        ed, es = (traced[0].frame, traced[-1].frame) if len(traced) >= 2 else (None, None)
        return EchoClip(clip.pixels, row.fps, row.ef, row.edv, row.esv, ed, es, row.file_name)

    def problems(self) -> list[str]:
        """See `ClipDataset.problems`: missing videos, EF against volumes, frame sizes, tracings."""
        found = []
        if missing := self._missing_videos():
            found.append(f"{len(missing)} videos are missing in {self.root / 'Videos'}: {format_names(missing)}")
        off = [row.file_name for row in self.rows if abs(row.ef - row.ef_of_volumes) > 1]
        if off:
            found.append(f"{len(off)} clips whose EF is more than a point off their volumes: {format_names(off)}")
        odd = [row.file_name for row in self.rows if (row.height, row.width) != (112, 112)]
        if odd:
            found.append(f"{len(odd)} clips are not listed as 112 x 112: {format_names(odd)}")
        length = {row.file_name: row.num_frames for row in self.rows}
        few = [name for name in length if len(self.tracings(name)) < 2]
        if few:
            found.append(f"{len(few)} clips without two traced frames: {format_names(few)}")
        outside = [name for name, count in length.items() if any(not 0 <= t.frame < count for t in self.tracings(name))]
        if outside:
            found.append(f"{len(outside)} clips traced on a frame that they do not have: {format_names(outside)}")
        assert self._tracings is not None or not length
        unknown = [name for name in self._tracings or () if name not in length]
        if unknown:
            found.append(f"{len(unknown)} traced clips are not in FileList.csv: {format_names(unknown)}")
        return found

    def _missing_videos(self) -> list[str]:
        folder = self.root / "Videos"
        try:
            there = set(os.listdir(folder)) if folder.is_dir() else set()
        except OSError as error:
            raise DatasetError(f"cannot read {folder}: {error.strerror}") from error
        return [row.file_name for row in self.rows if f"{row.file_name}.avi" not in there]


class EchoNetWriter:
    """Writes a dataset in EchoNet format; a killed run goes on where it was by opening the same folder again.

    Every video is complete or absent. Each finished clip is one synced line in a journal; `close` (or the end of a
    `with` block) turns the journal into the two tables. Rows keep the order in which they were added.

    Args:
        root: the folder; made if missing. An existing dataset in it is continued.
        lossless: FFV1 instead of EchoNet's MJPG (here at top quality).
        synthetic: mark every video as synthetic.

    Raises:
        OutputError: the folder cannot be used, or its journal is damaged.
        DatasetError: the folder holds tables that are malformed.
    """

    def __init__(self, root: str | Path, lossless: bool = False, synthetic: bool = True) -> None:
        self.root, self.lossless, self.synthetic = Path(root), lossless, synthetic
        self._rows: dict[str, EchoNetRow] = {}
        self._tracings: dict[str, list[Tracing]] = {}
        self._reopened: set[str] = set()
        try:
            (self.root / "Videos").mkdir(parents=True, exist_ok=True)
            if (self.root / "FileList.csv").is_file():
                self._rows = {row.file_name: row for row in read_file_list(self.root)}
                self._tracings = read_tracings(self.root)
            self._replay()
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
        append_record(self.root / _JOURNAL, asdict(entry))
        self._reopened.discard(name)
        self._rows[name] = row
        self._tracings[name] = traced
        return row

    def close(self) -> None:
        """Write FileList.csv and VolumeTracings.csv, each at once, and drop the journal. May be called again.

        Raises:
            OutputError: the disk refused; the journal stays, nothing is lost.
        """
        # The list goes last: a folder with FileList.csv has its tracings.
        tracings: list[Iterable[object]] = []
        for name in self._rows:
            for traced in reversed(self._tracings.get(name, [])):
                tracings += [[f"{name}.avi", *map(repr, line), traced.frame] for line in traced.rows().tolist()]
        write_table(self.root / "VolumeTracings.csv", TRACINGS_HEADER, tracings)
        write_table(self.root / "FileList.csv", FILE_LIST_HEADER, (asdict(row).values() for row in self._rows.values()))
        (self.root / _JOURNAL).unlink(missing_ok=True)

    def __enter__(self) -> "EchoNetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or self._rows:  # what failed before its first clip leaves no tables of nothing
            self.close()

    def _replay(self) -> None:
        """Take over the clips of a journal that a killed run left."""
        path = self.root / _JOURNAL
        for number, entry in enumerate(read_typed(path, _JournalEntry), start=1):
            whole = all(len(rows) > 1 and all(len(row) == 4 for row in rows) for _, rows in entry.tracings)
            if not whole or not NAME.fullmatch(entry.row.file_name):
                raise damaged(path, number)
            self._rows[entry.row.file_name] = entry.row
            traced = [make_tracing(frame, np.array(rows)) for frame, rows in entry.tracings]
            self._tracings[entry.row.file_name] = traced
        cut_torn_line(path)


@dataclass(frozen=True)
class _JournalEntry:
    """One line of the journal: a clip, and (frame, rows of VolumeTracings.csv) of what is traced."""

    row: EchoNetRow
    tracings: list[tuple[int, list[list[float]]]]

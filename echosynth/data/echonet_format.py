"""EchoNet-Dynamic's layout on disk, read; `echonet_writer.py` writes it.

    ROOT/FileList.csv, ROOT/VolumeTracings.csv  the tables, see `echonet_tables.py`
    ROOT/Videos/NAME.avi                        MJPG, 112 x 112

Which of two traced frames is end-diastolic is not said in the files, and readers disagree (first row, lower frame
number), so we decide by the larger volume.
"""

import os
from pathlib import Path

from echosynth.cardiac.landmarks import CHORDS
from echosynth.data.dataset import ClipEntry, format_names
from echosynth.data.echonet_tables import EchoNetRow, Tracing, read_file_list, read_patients, read_tracings, stem
from echosynth.data.outlines import Outline
from echosynth.errors import DatasetError
from echosynth.video.clip import EchoClip
from echosynth.video.readers import load_video


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

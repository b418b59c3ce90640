"""Accepted clips -> tars of about a thousand, see data/tar_dataset.py: for sets too large for a file a clip.

The clips of a part are files of their own, losslessly compressed (FFV1), until the part is finished; then they become
one tar.
"""

import hashlib
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echosynth.augmentation.attempts import Attempt
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.synthetic_dataset import SPLIT, Label, SyntheticDataset
from echosynth.augmentation.tracing import trace
from echosynth.data.tar_dataset import INDEX, TarDataset, require_pyarrow, write_index, write_tar
from echosynth.errors import OutputError
from echosynth.storage.jsonl import append_record, cut_torn_line, read_typed
from echosynth.storage.parts import Parts
from echosynth.video.readers import load_video
from echosynth.video.writers import SYNTHETIC_NOTE, write_avi


@dataclass(frozen=True)
class TarRow:
    """What the JSON of a clip says; EF in per cent.

    Attributes:
        key: name of the clip in its tar.
        sample_id: its name in the plan.
        ef: its label, one of the next two.
        target_ef: asked for.
        gate_ef: measured by the gate.
        fps: Hz.
        num_frames: of the clip.
        height: pixels.
        width: pixels.
        split: "TRAIN".
        source: clip that gave the conditioning frame.
        source_frame: number of that frame.
        seed: of the clip's noise.
        sha256: of its pixels.
        tracings: frame and rows of VolumeTracings.csv as the gate found them, ED and ES; [] if it finds no borders.
        note: that nobody is shown.
    """

    key: str
    sample_id: str
    ef: float
    target_ef: float
    gate_ef: float
    fps: float
    num_frames: int
    height: int
    width: int
    split: str
    source: str
    source_frame: int
    seed: int
    sha256: str
    tracings: list[tuple[int, list[list[float]]]]
    note: str = SYNTHETIC_NOTE

    def facts(self) -> dict[str, Any]:
        """The JSON."""
        return {("pixels_sha256" if name == "sha256" else name): value for name, value in asdict(self).items()}


class TarWriter:
    """Writes the accepted attempts of one part, see `ClipStore`.

    Args:
        root: the dataset's folder.
        part: number of the part, which names the tar.
        journal: file of the part's rows; those of an earlier start are continued.
        models: the gate traces.
        label: which EF is the label.

    Raises:
        OutputError: the journal is damaged.
        MissingDependencyError: pyarrow is not installed.
    """

    keeps_refused = False

    def __init__(self, root: Path, part: int, journal: Path, models: RunModels, label: Label) -> None:
        require_pyarrow()  # before anything is made, not after
        self._tar, self._loose = root / f"{part:06d}.tar", journal.with_suffix("")
        self._journal, self._models, self._label = journal, models, label
        self._rows = {row.sample_id: row for row in read_typed(journal, TarRow)}
        cut_torn_line(journal)

    def file_of(self, sample_id: str) -> str:
        """The tar of a sample's clip and its name there, relative to the run's folder."""
        return f"{self._tar.parent.name}/{self._tar.name}#{_key(sample_id)}.avi"

    def add(self, attempt: Attempt) -> None:
        """Write the clip of an accepted attempt; one that is there already (a run killed before its line) is left."""
        sample, entry, clip = attempt.sample, attempt.entry, attempt.clip
        if not entry.accepted or sample.sample_id in self._rows:
            return
        key = _key(sample.sample_id)
        video = self._loose / f"{key}.avi"
        write_avi(video, clip, lossless=True, synthetic=True)
        if not np.array_equal(load_video(video).pixels, clip.pixels):
            raise OutputError(f"{video} does not hold the pixels that were written to it")
        traced = trace(self._models.gate_regressor, clip)
        row = TarRow(
            key=key,
            sample_id=sample.sample_id,
            ef=entry.target_ef if self._label == "target" else entry.gate_ef,
            target_ef=entry.target_ef,
            gate_ef=entry.gate_ef,
            fps=float(clip.fps),
            num_frames=clip.num_frames,
            height=clip.pixels.shape[1],
            width=clip.pixels.shape[2],
            split=SPLIT,
            source=entry.source,
            source_frame=entry.frame,
            seed=entry.seed,
            sha256=hashlib.sha256(clip.pixels.tobytes()).hexdigest(),
            tracings=[(t.frame, t.rows().tolist()) for t in traced],
        )
        append_record(self._journal, asdict(row))
        self._rows[sample.sample_id] = row

    def close(self) -> None:
        """Put the part's clips into its tar; a part without any has none."""
        if not self._loose.is_dir():
            return
        if not self._tar.is_file():  # else the run was killed while it removed the loose clips
            members = ((row.key, self._loose / f"{row.key}.avi", row.facts()) for row in self._rows.values())
            write_tar(self._tar, members)
        shutil.rmtree(self._loose)


class SyntheticTars(SyntheticDataset):
    """A folder of tars, see `SyntheticDataset`."""

    layout = "- **Layout**: tars of `KEY.avi` (FFV1, lossless) and `KEY.json`; `index.parquet` lists all clips."

    def writer(self, parts: Parts, part: int) -> TarWriter:
        """See `SyntheticDataset.writer`."""
        return TarWriter(self.root, part, parts.journal(part, "rows"), self.models, self.label)

    def write_tables(self, parts: Parts) -> tuple[int, int]:
        """See `SyntheticDataset.write_tables`."""
        write_index(self.root)
        count = traced = 0
        for part in range(parts.count):
            rows = read_typed(parts.journal(part, "rows"), TarRow)
            count, traced = count + len(rows), traced + sum(bool(row.tracings) for row in rows)
        return count, traced

    def is_listed(self) -> bool:
        """See `SyntheticDataset.is_listed`."""
        return (self.root / INDEX).is_file()

    def efs(self) -> list[float]:
        """See `SyntheticDataset.efs`."""
        return [entry.ef for entry in TarDataset(self.root).entries if entry.ef is not None]


def _key(sample_id: str) -> str:
    """A name in a tar: readers of WebDataset end it at the first dot."""
    return sample_id.replace(".", "-")

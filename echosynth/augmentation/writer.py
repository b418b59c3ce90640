"""Accepted clips -> a dataset in EchoNet format.

FileList.csv         ESV and EDV are `nan`: no volume was measured
VolumeTracings.csv   the left ventricle at end-diastole and end-systole as the gate finds it, if it finds borders
Synthetic.csv        for every clip both EFs, the frame it started from, its seed, and who traced it
Videos/              motion JPEG at its best quality, as EchoNet-Dynamic has it
"""

import math
from pathlib import Path

from echosynth.augmentation.attempts import Attempt
from echosynth.augmentation.manifest import Manifest
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.synthetic_dataset import (
    CARD_FILE,
    REFUSED,
    REFUSED_CARD,
    SPLIT,
    Label,
    SyntheticDataset,
    refused_name,
)
from echosynth.augmentation.tracing import trace
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_tables import write_table
from echosynth.data.echonet_writer import EchoNetWriter, write_tables
from echosynth.storage.atomic import write_text
from echosynth.storage.parts import Parts
from echosynth.video.writers import SYNTHETIC_NOTE

FACTS_FILE, TRACED_BY = "Synthetic.csv", "TracedBy"
FACTS = {  # column of Synthetic.csv -> field of the accepted attempt
    "FileName": "sample_id",
    "TargetEF": "target_ef",
    "GateEF": "gate_ef",
    "Source": "source",
    "SourceFrame": "frame",
    "Attempt": "attempt",
    "Seed": "seed",
}


class SyntheticEchoNet(SyntheticDataset):
    """A folder in EchoNet-Dynamic's layout, see `SyntheticDataset`."""

    layout = (
        "- **Layout**: EchoNet-Dynamic's, `FileList.csv`, `VolumeTracings.csv`, `Videos/`; more in `Synthetic.csv`."
    )

    def writer(self, parts: Parts, part: int) -> "SyntheticWriter":
        """See `SyntheticDataset.writer`."""
        refused = parts.journal(part, REFUSED) if self.keep_refused else None
        return SyntheticWriter(self.root, parts.journal(part, "rows"), self.models, self.label, refused)

    def write_tables(self, parts: Parts) -> tuple[int, int]:
        """See `SyntheticDataset.write_tables`."""
        numbers = range(parts.count)
        tables = write_tables(self.root, [parts.journal(part, "rows") for part in numbers])
        facts, count = [], 0
        for part in numbers:
            for entry in Manifest(parts.journal(part)).entries:
                if entry.accepted:
                    traced = bool(tables.tracings(entry.sample_id))
                    gate = self.models.gate.name if traced else ""
                    facts.append([*(getattr(entry, name) for name in FACTS.values()), gate])
                    count += traced
        write_table(self.root / FACTS_FILE, (*FACTS, TRACED_BY), facts)
        if self.keep_refused:
            folder = self.root.with_name(REFUSED)
            refused = write_tables(folder, [parts.journal(part, REFUSED) for part in numbers])
            write_text(folder / CARD_FILE, REFUSED_CARD.format(note=SYNTHETIC_NOTE, count=len(refused)))
        return len(facts), count

    def is_listed(self) -> bool:
        """See `SyntheticDataset.is_listed`."""
        return (self.root / "FileList.csv").is_file()

    def efs(self) -> list[float]:
        """See `SyntheticDataset.efs`."""
        return [row.ef for row in EchoNetDataset(self.root).rows]


class SyntheticWriter:
    """Writes the accepted attempts of one part, see `ClipStore`.

    Args:
        root: the dataset's folder.
        journal: file of the part's rows; those of an earlier start are continued.
        models: the gate traces.
        label: which EF the column EF holds.
        refused: file of the rows of refused attempts; None to keep none.

    Raises:
        OutputError: the folder cannot be used.
    """

    keeps_refused = False

    def __init__(self, root: Path, journal: Path, models: RunModels, label: Label, refused: Path | None = None) -> None:
        self._writer = EchoNetWriter(root, lossless=False, synthetic=True, journal=journal)
        self._refused = None if refused is None else EchoNetWriter(root.with_name(REFUSED), journal=refused)
        self._models, self._label = models, label

    def file_of(self, sample_id: str) -> str:
        """Name of a sample's clip, relative to the run's folder."""
        return f"{self._writer.root.name}/Videos/{sample_id}.avi"

    def add(self, attempt: Attempt) -> None:
        """Write an attempt's clip where it belongs; one that a run killed before its line has written is left."""
        name, entry, writer = attempt.sample.sample_id, attempt.entry, self._writer
        ef = entry.target_ef if self._label == "target" or not entry.accepted else entry.gate_ef
        if not entry.accepted:
            if self._refused is None:
                return
            name, writer = refused_name(name, entry.attempt), self._refused
        if name not in writer:
            clip = attempt.clip.replace(ef=ef, edv=math.nan, esv=math.nan)
            writer.add(name, clip, SPLIT, trace(self._models.gate_regressor, clip))

    def close(self) -> None:
        """Nothing is left to do: the tables are made of all parts together."""

"""Accepted clips -> a dataset in EchoNet format that says on every level that it is synthetic.

    FileList.csv         EF is the EF that was asked for, or the one that the gate measured (`label`); ESV and EDV are
                         `nan`: no volume was measured, and a computed one would be an invention
    VolumeTracings.csv   the left ventricle at end-diastole and end-systole as the gate finds it, if it finds borders
    Synthetic.csv        for every clip both EFs, the frame it started from, its seed, and who traced it
    README.md            the card

Every row is TRAIN: a model must never be validated or tested on clips that another model made.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from echosynth.augmentation.attempts import Attempt
from echosynth.augmentation.manifest import Manifest
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.sampling import Sampling
from echosynth.augmentation.tracing import trace
from echosynth.data.echonet_tables import write_table
from echosynth.data.echonet_writer import EchoNetWriter, write_tables
from echosynth.storage.atomic import write_text
from echosynth.video.writers import SYNTHETIC_NOTE

Label = Literal["target", "gate"]

SPLIT = "TRAIN"
CARD_FILE, FACTS_FILE = "README.md", "Synthetic.csv"
FACTS = {  # column of Synthetic.csv -> field of the accepted attempt
    "FileName": "sample_id",
    "TargetEF": "target_ef",
    "GateEF": "gate_ef",
    "Source": "source",
    "SourceFrame": "frame",
    "Attempt": "attempt",
    "Seed": "seed",
}
TRACED_BY = "TracedBy"
CARD = """# Synthetic echocardiograms

> {note}

{count} clips in EchoNet-Dynamic's layout (`FileList.csv`, `Videos/`), made by echosynth. **No patient is shown.**

- **EF**: {label}, per cent. Each clip was measured by the gate and accepted only within {tolerance:g} points of the EF
  that was asked for. `Synthetic.csv` holds both numbers for every clip, `manifest.jsonl` in the run's folder every
  attempt, refused ones included.
- **ESV, EDV**: `nan`. No volume was measured.
- **Tracings**: {tracings}
- **Split**: TRAIN only. Do not validate or test on these clips.
- **Frames**: conditioned on the TRAIN clips of `{source}`; that dataset's terms of use apply to what is derived
  from it.
- **Made with**: cascade {model} ({model_hash}), gate {gate} ({gate_hash}), root seed {seed}.

Synthetic clips inherit the biases of the generator and of the gate. They are for training, not for diagnosis.
"""
LABELS: dict[Label, str] = {
    "target": "the ejection fraction that was asked for",
    "gate": "the ejection fraction that the gate measured",
}
TRACED = (
    "of {} clips, at end-diastole and end-systole, as the gate finds the border. Estimates: nobody traced a clip, and\n"
    "  their volumes agree with EF only as well as the gate does."
)
UNTRACED = "none; the gate finds no borders."


class SyntheticDataset:
    """The dataset of a run, filled part by part.

    Args:
        root: its folder, inside the run's.
        source: name of the dataset that the conditioning frames come from, for the card.
        models: what generates, accepts and traces.
        sampling: seed and tolerance, for the card.
        label: which EF the column EF holds.
    """

    def __init__(self, root: Path, source: str, models: RunModels, sampling: Sampling, label: Label = "target") -> None:
        self.root, self._source, self._models, self._sampling, self._label = root, source, models, sampling, label

    def writer(self, journal: Path) -> "SyntheticWriter":
        """Return what writes the clips of one part, a row in `journal` each."""
        return SyntheticWriter(self.root, journal, self._models, self._label)

    def write_tables(self, rows: Iterable[Path], attempts: Iterable[Path]) -> None:
        """Write the tables and the card, if they are not there.

        Args:
            rows: journals of the writers of all parts.
            attempts: manifests of all parts.

        Raises:
            OutputError: the system refused.
        """
        card = self.root / CARD_FILE
        if card.is_file() and (self.root / "FileList.csv").is_file():
            return
        tables = write_tables(self.root, rows)
        gate, facts, count = self._models.gate.name, [], 0
        for entry in (entry for path in attempts for entry in Manifest(path).entries if entry.accepted):
            traced = bool(tables.tracings(entry.sample_id))
            facts.append([*(getattr(entry, name) for name in FACTS.values()), gate if traced else ""])
            count += traced
        write_table(self.root / FACTS_FILE, (*FACTS, TRACED_BY), facts)
        write_text(self.root / "SYNTHETIC", SYNTHETIC_NOTE + "\n")
        write_text(card, self._card(len(facts), count))

    def _card(self, count: int, traced: int) -> str:
        models, sampling = self._models, self._sampling
        return CARD.format(
            note=SYNTHETIC_NOTE,
            count=count,
            label=LABELS[self._label],
            tracings=TRACED.format(traced) if traced else UNTRACED,
            tolerance=sampling.tolerance.points,
            source=self._source,
            model=models.cascade.name,
            model_hash=models.cascade.sha256,
            gate=models.gate.name,
            gate_hash=models.gate.sha256,
            seed=sampling.seed,
        )


class SyntheticWriter:
    """Writes the accepted attempts of one part, see `ClipStore`.

    Args:
        root: the dataset's folder.
        journal: file of the part's rows; those of an earlier start are continued.
        models: the gate traces.
        label: which EF the column EF holds.

    Raises:
        OutputError: the folder cannot be used.
    """

    keeps_refused = False

    def __init__(self, root: Path, journal: Path, models: RunModels, label: Label) -> None:
        self._writer = EchoNetWriter(root, lossless=False, synthetic=True, journal=journal)
        self._models, self._label = models, label

    def file_of(self, sample_id: str) -> str:
        """Name of a sample's clip, relative to the run's folder."""
        return f"{self._writer.root.name}/Videos/{sample_id}.avi"

    def add(self, attempt: Attempt) -> None:
        """Write the clip of an accepted attempt; one that is there already (a run killed before its line) is left."""
        name, entry = attempt.sample.sample_id, attempt.entry
        if entry.accepted and name not in self._writer:
            unknown, ef = float("nan"), entry.target_ef if self._label == "target" else entry.gate_ef
            clip = attempt.clip.replace(ef=ef, edv=unknown, esv=unknown)
            self._writer.add(name, clip, SPLIT, trace(self._models.gate_regressor, clip))

    def close(self) -> None:
        """Nothing is left to do: the tables are made of all parts together."""

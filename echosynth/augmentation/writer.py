"""Accepted clips -> a dataset in EchoNet format that says on every level that it is synthetic.

The label (column EF) is the TARGET EF: the gate has confirmed it to within its tolerance, and its own error would be
added otherwise. ESV and EDV are `nan`: no volume was measured, and a computed one would be an invention. Every row is
TRAIN: a model must never be validated or tested on clips that another model made.
"""

from collections.abc import Iterable
from pathlib import Path

from echosynth.augmentation.attempts import Attempt
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.sampling import Sampling
from echosynth.data.echonet_writer import EchoNetWriter, write_tables
from echosynth.storage.atomic import write_text
from echosynth.video.writers import SYNTHETIC_NOTE

SPLIT = "TRAIN"
CARD_FILE = "README.md"
CARD = """# Synthetic echocardiograms

> {note}

{count} clips in EchoNet-Dynamic's layout (`FileList.csv`, `Videos/`), made by echosynth. **No patient is shown.**

- **EF**: the ejection fraction that was asked for, per cent. Each clip was measured by the gate and accepted only
  within {tolerance:g} points of it; see `manifest.jsonl` in the run's folder for every attempt, refused ones included.
- **ESV, EDV**: `nan`. No volume was measured. There are no tracings.
- **Split**: TRAIN only. Do not validate or test on these clips.
- **Frames**: conditioned on the TRAIN clips of `{source}`; that dataset's terms of use apply to what is derived
  from it.
- **Made with**: cascade {model} ({model_hash}), gate {gate} ({gate_hash}), root seed {seed}.

Synthetic clips inherit the biases of the generator and of the gate. They are for training, not for diagnosis.
"""


class SyntheticDataset:
    """The dataset of a run, filled part by part.

    Args:
        root: its folder, inside the run's.
        source: name of the dataset that the conditioning frames come from, for the card.
        models: what generates and accepts, for the card.
        sampling: seed and tolerance, for the card.
    """

    def __init__(self, root: Path, source: str, models: RunModels, sampling: Sampling) -> None:
        self.root, self._source, self._models, self._sampling = root, source, models, sampling

    def writer(self, journal: Path) -> "SyntheticWriter":
        """Return what writes the clips of one part, a row in `journal` each."""
        return SyntheticWriter(self.root, journal)

    def write_tables(self, journals: Iterable[Path]) -> None:
        """Write the tables and the card, if they are not there, from the journals of all parts.

        Raises:
            OutputError: the system refused.
        """
        card = self.root / CARD_FILE
        if card.is_file() and (self.root / "FileList.csv").is_file():
            return
        count, models, sampling = write_tables(self.root, journals), self._models, self._sampling
        text = CARD.format(
            note=SYNTHETIC_NOTE,
            count=count,
            tolerance=sampling.tolerance.points,
            source=self._source,
            model=models.cascade.name,
            model_hash=models.cascade.sha256,
            gate=models.gate.name,
            gate_hash=models.gate.sha256,
            seed=sampling.seed,
        )
        write_text(self.root / "SYNTHETIC", SYNTHETIC_NOTE + "\n")
        write_text(card, text)


class SyntheticWriter:
    """Writes the accepted attempts of one part, see `ClipStore`.

    Args:
        root: the dataset's folder.
        journal: file of the part's rows; those of an earlier start are continued.

    Raises:
        OutputError: the folder cannot be used.
    """

    keeps_refused = False

    def __init__(self, root: Path, journal: Path) -> None:
        self._writer = EchoNetWriter(root, lossless=False, synthetic=True, journal=journal)

    def file_of(self, sample_id: str) -> str:
        """Name of a sample's clip, relative to the run's folder."""
        return f"{self._writer.root.name}/Videos/{sample_id}.avi"

    def add(self, attempt: Attempt) -> None:
        """Write the clip of an accepted attempt; one that is there already (a run killed before its line) is left."""
        sample = attempt.sample
        if attempt.entry.accepted and sample.sample_id not in self._writer:
            unknown = float("nan")
            self._writer.add(
                sample.sample_id, attempt.clip.replace(ef=sample.target_ef, edv=unknown, esv=unknown), SPLIT
            )

    def close(self) -> None:
        """Nothing is left to do: the tables are made of all parts together."""

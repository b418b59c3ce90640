"""The dataset that `augment` makes: it says on every level that it is synthetic.

Every clip is TRAIN: a model must never be validated or tested on clips that another model made. The label is the EF
that was asked for, which the gate has confirmed to within its tolerance (its own error would be added otherwise), or,
where the config says so, what the gate measured.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

from echosynth.augmentation.attempts import ClipStore
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.sampling import Sampling
from echosynth.storage.atomic import write_text
from echosynth.storage.parts import Parts
from echosynth.video.writers import SYNTHETIC_NOTE

Label = Literal["target", "gate"]

SPLIT = "TRAIN"
REFUSED = "refused"  # beside the dataset's folder
REFUSED_CARD = """# Refused synthetic echocardiograms

> {note}

{count} attempts whose EF the gate did not confirm, `NAME_aK` for attempt K at NAME. EF is what was asked for.
To look at and to compare with, not for training.
"""
CARD_FILE = "README.md"
CARD = """# Synthetic echocardiograms

> {note}

{count} clips, made by echosynth. **No patient is shown.**

{layout}
- **EF**: {label}, per cent. Each clip was measured by the gate and accepted only within {tolerance:g} points of the EF
  that was asked for. Both numbers of every clip are kept; `manifest.jsonl` in the run's folder holds every attempt,
  refused ones included.
- **Volumes**: none was measured, and a computed one would be an invention.
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


def refused_name(sample_id: str, attempt: int) -> str:
    """Name of a refused attempt's clip."""
    return f"{sample_id}_a{attempt}"


class SyntheticDataset(ABC):
    """The dataset of a run, filled part by part.

    Args:
        root: its folder, inside the run's.
        source: name of the dataset that the conditioning frames come from, for the card.
        models: what generates, accepts and traces.
        sampling: seed and tolerance, for the card.
        label: which EF is the label.
        keep_refused: keep what the gate refused too.
    """

    layout = ""  # what lies where, a line of Markdown

    def __init__(
        self, root: Path, source: str, models: RunModels, sampling: Sampling, label: Label, keep_refused: bool = False
    ) -> None:
        self.root, self.models, self.label, self.keep_refused = root, models, label, keep_refused
        self._source, self._sampling = source, sampling

    @abstractmethod
    def writer(self, parts: Parts, part: int) -> ClipStore:
        """Return what writes the clips of one part.

        Raises:
            OutputError: the folder cannot be used.
        """

    @abstractmethod
    def write_tables(self, parts: Parts) -> tuple[int, int]:
        """Write what lists the clips, and return how many they are, and how many are traced.

        Raises:
            OutputError: the system refused.
        """

    @abstractmethod
    def efs(self) -> list[float]:
        """The labels of all clips, per cent, once the tables are written."""

    def complete(self, parts: Parts) -> None:
        """Write tables and card if they are not there; all parts are finished.

        Raises:
            OutputError: the system refused.
        """
        card = self.root / CARD_FILE
        if card.is_file() and self.is_listed():
            return
        count, traced = self.write_tables(parts)
        write_text(self.root / "SYNTHETIC", SYNTHETIC_NOTE + "\n")
        write_text(card, self._card(count, traced))

    @abstractmethod
    def is_listed(self) -> bool:
        """Whether the tables are there."""

    def _card(self, count: int, traced: int) -> str:
        return CARD.format(
            note=SYNTHETIC_NOTE,
            count=count,
            layout=self.layout,
            label=LABELS[self.label],
            tracings=TRACED.format(traced) if traced else UNTRACED,
            tolerance=self._sampling.tolerance.points,
            source=self._source,
            model=self.models.cascade.name,
            model_hash=self.models.cascade.sha256,
            gate=self.models.gate.name,
            gate_hash=self.models.gate.sha256,
            seed=self._sampling.seed,
        )

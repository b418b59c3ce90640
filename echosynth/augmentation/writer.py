"""Accepted clips -> a dataset in EchoNet format that says on every level that it is synthetic.

The label (column EF) is the TARGET EF: the gate has confirmed it to within its tolerance, and its own error would be
added otherwise. ESV and EDV are `nan`: no volume was measured, and a computed one would be an invention. Every row is
TRAIN: a model must never be validated or tested on clips that another model made.
"""

from pathlib import Path
from types import TracebackType
from typing import Any

from echosynth.augmentation.attempts import Attempt
from echosynth.data.echonet_format import EchoNetWriter
from echosynth.storage.atomic import write_text
from echosynth.video.files import SYNTHETIC_NOTE

SPLIT = "TRAIN"
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


class SyntheticWriter:
    """Writes accepted attempts; use it in a `with` block, whose end writes the tables.

    Args:
        root: the dataset's folder; an earlier run's is continued.
        facts: what the card says: tolerance, source, model, model_hash, gate, gate_hash, seed.

    Raises:
        OutputError: the folder cannot be used.
    """

    def __init__(self, root: str | Path, facts: dict[str, Any]) -> None:
        self.root, self.facts = Path(root), facts
        self._writer = EchoNetWriter(self.root, lossless=False, synthetic=True)

    def __len__(self) -> int:
        return len(self._writer)

    def add(self, attempt: Attempt) -> None:
        """Write an accepted clip; one that is there already (a run killed before its manifest line) is left.

        Raises:
            ValueError: the attempt was refused.
        """
        if not attempt.entry.accepted:
            raise ValueError(f"{attempt.sample.sample_id} was refused by the gate and does not belong in a dataset")
        if attempt.sample.sample_id not in self._writer:
            unknown = float("nan")
            clip = attempt.clip.replace(ef=attempt.sample.target_ef, edv=unknown, esv=unknown)
            self._writer.add(attempt.sample.sample_id, clip, SPLIT)

    def close(self) -> None:
        """Write the tables and the card."""
        self._writer.close()
        card = CARD.format(note=SYNTHETIC_NOTE, count=len(self._writer), **self.facts)
        write_text(self.root / "README.md", card)
        write_text(self.root / "SYNTHETIC", SYNTHETIC_NOTE + "\n")

    def __enter__(self) -> "SyntheticWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""Training clips of a dataset on disk: decoded once, then random windows of them."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from echosynth.cardiac.attributes import order_attributes
from echosynth.cardiac.landmarks import BORDERS, ROWS, order_landmarks
from echosynth.config import StrictModel
from echosynth.data.clips import build_store, store_folder
from echosynth.data.layouts import open_dataset
from echosynth.data.outlines import Outline, OutlinedDataset
from echosynth.diffusion.conditions import QUALITY_WORDS
from echosynth.errors import DatasetError
from echosynth.phantom.patient import RESERVED_PATIENT_SEEDS
from echosynth.progress import SILENT, Progress
from echosynth.training.clips.batches import ClipBatch, EFBatch
from echosynth.training.clips.other_beat import find_other_beat
from echosynth.video.clip import EchoClip

logger = logging.getLogger(__name__)


class DatasetSourceConfig(StrictModel):
    """Clips of a dataset on disk, in any layout that `open_dataset` reads; they are decoded once, into a cache.

    Attributes:
        root: the folder.
        view: "A4C", "A2C" or "PSAX"; None for the dataset's first.
        split: TRAIN, VAL or TEST.
        num_frames: frames of a window.
        fps: Hz of a window.
        cache: folder of the decoded clips.
        balance: width of bands of EF, per cent, that are drawn equally often, however many clips each holds; None to
            draw every clip equally often.
    """

    source: Literal["dataset"] = "dataset"
    root: Path
    view: Literal["A4C", "A2C", "PSAX"] | None = None
    split: Literal["TRAIN", "VAL", "TEST"] = "TRAIN"
    num_frames: int = 64
    fps: float = 32.0
    cache: Path = Path("runs/decoded")
    balance: float | None = Field(default=None, gt=0)


class DatasetSource:
    """Random windows of a dataset's clips.

    A quarter of the conditioning frames are the window's own first frame, the others show the same moment in another
    beat, where the clip has one.

    Raises:
        DatasetError: the split has no clip with an EF, or holds patients that are reserved for acceptance.
    """

    OWN_FRAME = 0.25

    def __init__(self, config: DatasetSourceConfig, progress: Progress = SILENT) -> None:
        self.config, self.fps = config, config.fps
        dataset = open_dataset(config.root, config.view)
        entries = [entry for entry in dataset.entries if entry.split == config.split]
        reserved = [e.name for e in entries if int(e.facts.get("patient_seed", 0)) >= RESERVED_PATIENT_SEEDS]
        if reserved:
            raise DatasetError(
                f"{config.root} holds phantoms reserved for acceptance ({reserved[0]}); simulate with a lower --seed"
            )
        folder = store_folder(config.cache, dataset, config.split)
        with progress.task(len(entries), f"decoding {config.root}") as task:

            def count(done: int) -> None:
                task.advance()
                if done % 100 == 0 or done == len(entries):
                    logger.info("%s: %d of %d %s clips decoded", config.root, done, len(entries), config.split)

            self.store = build_store(dataset, folder, config.split, progress=count)
        self.size = self.store.size
        self.dataset = dataset if isinstance(dataset, OutlinedDataset) else None
        self.numbers = {entry.name: k for k, entry in enumerate(dataset.entries)}
        self._outlines: dict[str, Sequence[Outline]] = {}
        self.patient = {entry.name: entry.attributes for entry in entries}
        quality = {entry.name: QUALITY_WORDS.get(entry.facts.get("quality", "").strip().lower()) for entry in entries}
        self.rows = [k for k, clip in enumerate(self.store.clips) if clip.ef is not None]
        if not self.rows:
            raise DatasetError(f"{config.root} has no {config.split} clip with an EF")
        rows = [(c.ef, c.edv, c.esv, quality[c.name]) for c in self.store.clips]
        columns = torch.tensor([[math.nan if value is None else value for value in row] for row in rows]).unbind(1)
        self.chances = _chances([clip.ef or 0.0 for clip in (self.store.clips[k] for k in self.rows)], config.balance)
        self.known = dict(zip(("ef", "edv", "esv", "quality"), columns, strict=True))

    def __len__(self) -> int:
        return len(self.rows)

    def clip(self, index: int) -> EchoClip:
        """See `EFSource.clip`."""
        row = self.rows[index]
        stored = self.store.clips[row]
        patient = self.patient[stored.name]
        return EchoClip(self.store.pixels(row).numpy(), stored.fps, stored.ef, attributes=patient)

    def patients(self) -> torch.Tensor:
        """See `EFSource.patients`."""
        return self._attributes(self.rows)

    def _attributes(self, picks: list[int]) -> torch.Tensor:
        return torch.stack([order_attributes(self.patient[self.store.clips[pick].name]) for pick in picks])

    def _pick(self, count: int, generator: torch.Generator, windows: int = 1) -> tuple[list[int], list[float]]:
        """Random clips, each `windows` times, and for each where its window starts."""
        if self.chances is None:
            rows = torch.randint(len(self.rows), (count,), generator=generator)
        else:
            rows = torch.multinomial(self.chances, count, replacement=True, generator=generator)
        rows = rows.repeat_interleave(windows)
        return [self.rows[k] for k in rows.tolist()], torch.rand(len(rows), generator=generator).tolist()

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        """See `ClipSource.draw`; what a clip is too short for is not shown."""
        picks, starts = self._pick(count, generator)
        windows = self.store.windows(picks, starts, self.config.num_frames, self.fps)
        firsts = windows.firsts.tolist()
        frames = windows.clips[:, 0].clone()
        for k in (torch.rand(count, generator=generator) >= self.OWN_FRAME).nonzero()[:, 0].tolist():
            pixels = self.store.pixels(picks[k])
            if (other := find_other_beat(pixels, self.store.clips[picks[k]].fps, firsts[k])) is not None:
                frames[k] = pixels[other]
        known = {name: values[picks] for name, values in self.known.items()}
        drawn = ClipBatch.untraced(windows.clips, frames, known, windows.shown)
        if traced:
            landmarks, moments = self._trace(picks, firsts)
            for k, phase in (~landmarks[:, :, 0].isnan().flatten(2).any(2)).nonzero().tolist():
                drawn.landmarks[k, moments[k, phase]] = landmarks[k, phase, 0]
        return drawn

    def draw_ef_batch(self, count: int, generator: torch.Generator, windows: int = 1, traced: bool = False) -> EFBatch:
        """See `EFSource.draw_ef_batch`; short clips are played back, as regressors do when they measure.

        The volume between end-diastole and end-systole is not known.
        """
        picks, starts = self._pick(count, generator, windows)
        cut = self.store.windows(picks, starts, self.config.num_frames, self.fps, play_back=True)
        unknown = torch.full(cut.shown.shape, torch.nan)
        drawn = EFBatch.untraced(cut.clips, self.known["ef"][picks], unknown)
        drawn.attributes.copy_(self._attributes(picks))
        if not traced:
            return drawn
        landmarks, moments = self._trace(picks, cut.firsts.tolist())
        return replace(drawn, landmarks=landmarks, traced=moments)

    def _trace(self, picks: list[int], firsts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Landmarks of the windows that begin at `firsts`, and their frames; see `EFBatch`."""
        landmarks = torch.full((len(picks), 2, len(BORDERS), ROWS, 2, 2), torch.nan)
        moments = torch.zeros(len(picks), 2, dtype=torch.long)
        for k, (pick, first) in enumerate(zip(picks, firsts, strict=True)):
            clip = self.store.clips[pick]
            outlines = self._outline(clip.name)
            for phase, outline in enumerate((outlines[0], outlines[-1]) if len(outlines) > 1 else ()):
                moment = round((outline.frame - first) / clip.fps * self.fps)
                if not 0 <= moment < self.config.num_frames:
                    continue
                moments[k, phase] = moment
                for border, points in enumerate((outline.endocardium, outline.epicardium)):
                    if points is not None:
                        places = (torch.from_numpy(points).float() + 0.5) / self.size
                        landmarks[k, phase, border] = order_landmarks(places)
        return landmarks, moments

    def _outline(self, name: str) -> Sequence[Outline]:
        """The borders of a clip; masks are traced once."""
        if name not in self._outlines:
            self._outlines[name] = self.dataset.outlines(self.numbers[name]) if self.dataset is not None else ()
        return self._outlines[name]


def _chances(efs: Sequence[float], width: float | None) -> torch.Tensor | None:
    """Chance of each clip with which all bands of EF that hold any are equally likely; None for all clips alike."""
    if width is None:
        return None
    bands = (torch.tensor(efs, dtype=torch.float64) / width).floor()
    _, band, held = bands.unique(return_inverse=True, return_counts=True)
    return 1.0 / (len(held) * held[band].double())

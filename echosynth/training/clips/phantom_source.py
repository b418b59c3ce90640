"""Training clips of phantom patients: a set that is rendered once, and batches of it."""

import logging
from dataclasses import replace
from typing import Literal

import torch
from accelerate import PartialState

from echosynth.cardiac.attributes import ATTRIBUTES
from echosynth.progress import SILENT, Progress
from echosynth.training.clips.batches import ClipBatch, EFBatch
from echosynth.training.clips.phantom_set import SHARD, PhantomSet, render_phantom_set
from echosynth.training.clips.phantom_set_config import PhantomSetConfig
from echosynth.video.clip import EchoClip

logger = logging.getLogger(__name__)


class PhantomSourceConfig(PhantomSetConfig):
    """Phantom patients; see `PhantomSetConfig`."""

    source: Literal["phantom"] = "phantom"


class PhantomSource:
    """Clips and counterfactual frames of a rendered set.

    A quarter of the conditioning frames are the clip's own first frame, the others show the same moment at another EF.
    """

    OWN_FRAME = 0.25

    def __init__(self, config: PhantomSetConfig, device: torch.device | str = "cpu") -> None:
        self.set = PhantomSet.open(config, device)
        self.known = self.set.conditions()
        self.fps, self.size = config.fps, config.size
        self.choices = config.frames_per_clip

    def __len__(self) -> int:
        return len(self.set)

    def _pick(self, count: int, generator: torch.Generator) -> tuple[list[int], list[int | None]]:
        """Random clips, and for each which of its frames at other EFs; None for its own first one."""
        indices = torch.randint(len(self.set), (count,), generator=generator).tolist()
        own = torch.rand(count, generator=generator) < self.OWN_FRAME
        which = torch.randint(max(1, self.choices), (count,), generator=generator).tolist()
        return indices, [None if mine or not self.choices else k for mine, k in zip(own.tolist(), which, strict=True)]

    def _show(self, indices: list[int], which: list[int | None]) -> tuple[torch.Tensor, torch.Tensor]:
        frames = [self.set.frame(i, k) for i, k in zip(indices, which, strict=True)]
        return torch.stack([self.set.clip(i) for i in indices]), torch.stack(frames)

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        """See `ClipSource.draw`."""
        indices, which = self._pick(count, generator)
        clips, frames = self._show(indices, which)
        known = {name: values[indices] for name, values in self.known.items()}
        drawn = ClipBatch.untraced(clips, frames, known, torch.ones(count, self.set.curve.shape[1], dtype=torch.bool))
        return replace(drawn, landmarks=self.set.trace(indices)[:, :, 0]) if traced else drawn

    def clip(self, index: int) -> EchoClip:
        """See `EFSource.clip`."""
        return EchoClip(self.set.clip(index).cpu().numpy(), self.fps, float(self.known["ef"][index]))

    def patients(self) -> torch.Tensor:
        """See `EFSource.patients`; phantoms have no age."""
        return torch.full((len(self), len(ATTRIBUTES)), torch.nan)

    def draw_tracked(
        self, count: int, cut: slice, size: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Some frames of random clips, a conditioning frame for each, and where in it their tissue is.

        Args:
            count: how many clips.
            cut: which frames of them.
            size: side of the pictures in whose pixels the displacement is given.
            generator: of the draw.

        Returns:
            Clips uint8 (B, T, S, S), frames uint8 (B, S, S), displacement (B, T, 2, size, size), see `displace_pixels`.
        """
        indices, which = self._pick(count, generator)
        clips, frames = self._show(indices, which)
        return clips[:, cut], frames, self.set.displacement(indices, which, cut, size)

    def draw_ef_batch(self, count: int, generator: torch.Generator, windows: int = 1, traced: bool = False) -> EFBatch:
        """See `EFSource.draw_ef_batch`; all windows of a clip are the whole clip."""
        indices = torch.randint(len(self.set), (count,), generator=generator).repeat_interleave(windows).tolist()
        clips = torch.stack([self.set.clip(i) for i in indices])
        curve = self.set.curve[indices]
        drawn = EFBatch.untraced(clips, self.known["ef"][indices], curve)
        if not traced:
            return drawn
        fullest_and_emptiest = torch.stack([curve.argmax(1), curve.argmin(1)], dim=1)
        landmarks = self.set.trace(indices)[torch.arange(len(indices))[:, None], fullest_and_emptiest]
        return replace(drawn, landmarks=landmarks, traced=fullest_and_emptiest)


def open_phantoms(config: PhantomSourceConfig, progress: Progress = SILENT) -> PhantomSource:
    """Open a set; it is rendered, if that was not done yet.

    Where there is a GPU, it lies in its memory, and batches are made there.
    """
    shards, before = -(-config.patients // SHARD), 0
    with progress.task(shards, "rendering phantoms") as task:
        for done in render_phantom_set(config):
            task.advance(done - before)
            if 10 * done // shards > 10 * before // shards:
                logger.info("phantoms: %d of %d rendered", min(done * SHARD, config.patients), config.patients)
            before = done
    return PhantomSource(config, PartialState().device if torch.cuda.is_available() else "cpu")

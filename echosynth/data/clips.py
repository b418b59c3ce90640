"""Training clips: a dataset decoded once into one memory-mapped file, and windows cut from it by time.

    FOLDER/pixels.bin    uint8, all frames of all clips one after another, (frames, S, S)
    FOLDER/index.json    per clip: name, patient, split, EF, frame rate, first frame, number of frames, volumes

A window is given in seconds and Hz, never in frame numbers: 2 s at 32 Hz is the same for a 50 Hz and an 18 Hz scanner.
It starts on a frame of the clip, so where the rates divide each other no frame is interpolated. A clip that is too
short for a window leaves the rest "not shown": losses leave it out, and no network ever learns black frames.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from echosynth.data.dataset import ClipDataset, ClipEntry, read_clips
from echosynth.errors import DatasetError
from echosynth.storage.atomic import ABANDONED, new_folder, remove_leftovers
from echosynth.video.clip import EchoClip

THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class StoredClip:
    """One clip of a store: EF in per cent, frame rate in Hz, where its frames lie, volumes in ml; None if unknown."""

    name: str
    patient: str
    split: str
    ef: float | None
    fps: float
    first: int
    frames: int
    edv: float | None = None
    esv: float | None = None


@dataclass(frozen=True)
class Windows:
    """A batch of windows.

    Attributes:
        clips: uint8 (B, T, S, S); frames that are not shown repeat the last one that is, or play the clip back.
        shown: bool (B, T), which frames the clip really has.
        firsts: int64 (B,), the clip's frame that the window begins with.
    """

    clips: torch.Tensor
    shown: torch.Tensor
    firsts: torch.Tensor


class ClipStore:
    """A finished store, memory mapped: opening it reads the index alone.

    Args:
        folder: that `build_store` wrote.

    Attributes:
        clips: one per clip.
        size: side of the pictures, pixels.

    Raises:
        DatasetError: the store is damaged.
    """

    def __init__(self, folder: Path) -> None:
        try:
            index = json.loads((folder / "index.json").read_text("utf-8"))
            self.clips = [StoredClip(**clip) for clip in index["clips"]]
            self.size: int = index["size"]
            frames = sum(clip.frames for clip in self.clips)
            file = str(folder / "pixels.bin")
            flat = torch.from_file(file, shared=False, size=frames * self.size**2, dtype=torch.uint8)
            self._pixels = flat.view(frames, self.size, self.size)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise DatasetError(f"the decoded clips in {folder} are damaged ({reason}); remove that folder") from error
        self._threads = ThreadPoolExecutor(THREADS)

    def __len__(self) -> int:
        return len(self.clips)

    def pixels(self, index: int) -> torch.Tensor:
        """All frames of a clip, uint8 (T, S, S), not copied."""
        clip = self.clips[index]
        return self._pixels[clip.first : clip.first + clip.frames]

    def windows(
        self,
        picks: Sequence[int],
        starts: Sequence[float],
        num_frames: int,
        fps: float,
        play_back: bool = False,
    ) -> Windows:
        """Cut one window from each picked clip.

        Args:
            picks: (B,) which clips.
            starts: (B,) in [0, 1]: share of the time by which the clip is longer than the window that is left out
                before it.
            num_frames: T.
            fps: of the windows, Hz.
            play_back: play clips that are too short forwards and backwards, instead of holding their last frame.
        """

        def choose(pick: int, start: float) -> int:
            clip = self.clips[pick]
            return choose_first(clip.frames, clip.fps, start, num_frames, fps)

        def cut(pick: int, first: int) -> tuple[torch.Tensor, torch.Tensor]:
            return cut_window(self.pixels(pick), self.clips[pick].fps, first, num_frames, fps, play_back)

        firsts = list(map(choose, picks, starts))
        # Copying and mixing frames is torch's work and lets other threads run meanwhile.
        made = list(self._threads.map(cut, picks, firsts))
        clips, shown = (torch.stack(part) for part in zip(*made, strict=True))
        return Windows(clips, shown, torch.tensor(firsts))


def choose_first(frames: int, clip_fps: float, start: float, num_frames: int, fps: float) -> int:
    """The frame of a clip that a window begins with; see `ClipStore.windows`. A clip that is too short begins it."""
    spare = frames - 1 - (num_frames - 1) * clip_fps / fps
    return int(start * (math.floor(spare + 1e-6) + 1) * (1 - 1e-9)) if spare >= 0 else 0


def cut_window(
    pixels: torch.Tensor, clip_fps: float, first: int, num_frames: int, fps: float, play_back: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut one window that begins with frame `first` of a clip uint8 (T', S, S).

    Returns:
        uint8 (num_frames, S, S), and bool (num_frames,): which frames the clip really has.
    """
    last = len(pixels) - 1
    step = clip_fps / fps  # frames of the clip per frame of the window
    position = first + step * torch.arange(num_frames, dtype=torch.float64)
    nearest = position.round()
    position = torch.where((position - nearest).abs() < 1e-6, nearest, position)
    shown = position <= last
    if play_back and last > 0:
        position = last - ((position % (2 * last)) - last).abs()
    position = position.clamp(max=last)
    before = position.floor().long()
    share = (position - before).float()
    frames = pixels.index_select(0, before)
    if bool(share.any()):
        after = pixels.index_select(0, (before + 1).clamp(max=last))
        frames = torch.lerp(frames.float(), after.float(), share[:, None, None]).round_().to(torch.uint8)
    return frames, shown


def store_folder(cache: Path, dataset: ClipDataset, split: str) -> Path:
    """Where the store of one split lies: named after the dataset's tables and the names and sizes of its files."""
    digest = hashlib.sha256(f"{dataset.layout}/{dataset.root.resolve()}/{split}".encode())
    for entry in dataset.entries:
        digest.update(f"{entry.name}/{entry.split}/{entry.view}/{entry.ef}/{entry.fps}\n".encode())
    for folder, folders, files in os.walk(dataset.root):
        folders.sort()
        for name in sorted(files):
            digest.update(f"{name}/{(Path(folder) / name).stat().st_size}\n".encode())
    return cache / digest.hexdigest()[:12]


def build_store(
    dataset: ClipDataset,
    folder: Path,
    split: str = "",
    pass_over: Callable[[str], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> ClipStore:
    """Decode a dataset into a store, or open the one that is there.

    Args:
        dataset: any whose clips are square and of one size.
        folder: complete or absent: it is written under another name and renamed.
        split: only clips of this split; "" for all.
        pass_over: takes a line for each clip that cannot be used; without it such a clip is an error.
        progress: called with the number of clips decoded so far.

    Raises:
        SourceError: a clip cannot be used and `pass_over` was not given.
        DatasetError: no clip is left, or clips are of different sizes.
        OutputError: the disk refused.
    """
    if folder.is_dir():
        return ClipStore(folder)
    remove_leftovers(folder.parent, older_than=ABANDONED)
    with new_folder(folder) as part:  # another process may be first
        clips: list[StoredClip] = []
        size, frames = 0, 0
        with (part / "pixels.bin").open("wb") as file:
            for entry, clip in read_clips(_Subset(dataset, split), pass_over):
                side = clip.pixels.shape[-1]
                size = size or side
                if clip.pixels.shape[1:] != (size, size):
                    shape = "x".join(map(str, clip.pixels.shape[1:]))
                    raise DatasetError(f"{entry.name} has {shape} pixels, clips before it {size}x{size}")
                file.write(clip.pixels.tobytes())
                known = entry.name, entry.patient, entry.split, entry.ef
                clips.append(StoredClip(*known, clip.fps, frames, clip.num_frames, clip.edv, clip.esv))
                frames += clip.num_frames
                if progress is not None:
                    progress(len(clips))
        if not clips:
            raise DatasetError(f"{dataset.root} has no {split} clip that can be used".replace("  ", " "))
        index = {"size": size, "clips": [asdict(clip) for clip in clips]}
        (part / "index.json").write_text(json.dumps(index), "utf-8")
    return ClipStore(folder)


class _Subset:
    """One split of a dataset, itself a dataset."""

    def __init__(self, dataset: ClipDataset, split: str) -> None:
        self.layout, self.root, self._dataset = dataset.layout, dataset.root, dataset
        self._picks = [k for k, entry in enumerate(dataset.entries) if not split or entry.split == split]
        self.entries: Sequence[ClipEntry] = [dataset.entries[k] for k in self._picks]

    def clip(self, index: int) -> EchoClip:
        """See `ClipDataset.clip`."""
        return self._dataset.clip(self._picks[index])

    def problems(self) -> list[str]:
        """See `ClipDataset.problems`."""
        return self._dataset.problems()

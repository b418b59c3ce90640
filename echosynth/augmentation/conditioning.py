"""What clips are generated from: a file, a dataset folder, a folder of files, or pictures that are in memory.

Of each clip only the chosen frame is kept, and of one that is continued the frames after it too.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from echosynth.augmentation.plan import plain_names
from echosynth.augmentation.sampling import Start
from echosynth.data.layouts import iter_clips
from echosynth.errors import ConfigError, SourceError
from echosynth.video.clip import EchoClip
from echosynth.video.readers import DEFAULT_FPS


@dataclass(frozen=True, eq=False)
class ConditioningFrame:
    """One frame to generate from.

    Attributes:
        name: file-safe and different from all others of the run.
        source: as the user knows it: file, or name in the dataset.
        frame: its index in the clip.
        pixels: uint8 (H, W).
        ef: the clip's own EF if it is known, per cent.
        beginning: what of the clip, from this frame on, is kept; None for nothing.
    """

    name: str
    source: str
    frame: int
    pixels: np.ndarray
    ef: float | None = None
    beginning: EchoClip | None = None

    @property
    def start(self) -> Start:
        """What clips are made from."""
        return Start(self.pixels, self.beginning)


Picture = EchoClip | np.ndarray | ConditioningFrame
Source = Path | Picture | Sequence[Picture]


FrameChoice = int | Literal["ed", "es"]
"""Number of a frame, or the one that is traced at end-diastole or end-systole."""


def load_conditioning_frames(
    source: Source, frame: FrameChoice = 0, limit: int | None = None, keep_s: float = 0.0, split: str | None = None
) -> list[ConditioningFrame]:
    """Take frame number `frame` of every clip, of at most `limit` clips, and what is to be kept after it.

    Args:
        source: a path; or clips, pictures uint8 (H, W) or finished conditioning frames, one or several.
        frame: which frame of each clip; a finished conditioning frame keeps its own.
        limit: clips at most; None for all.
        keep_s: seconds of the clip that are kept after the frame; 0 to keep none.
        split: of a dataset, whose clips alone are taken; None for all.

    Raises:
        SourceError: nothing there can be used, or a clip ends before `keep_s` seconds are over.
        ConfigError: a clip has no such frame, or no traced one.
        DatasetError: no clip is in the split.
    """
    if isinstance(source, Path):
        # A frame needs no frame rate: with one given, a cine that names none is read too.
        clips: Iterable[tuple[str, Picture]] = iter_clips(source, None if keep_s else DEFAULT_FPS, split)
    else:
        clips = _in_memory([source] if isinstance(source, Picture) else source)
    found: list[ConditioningFrame] = []
    for name, clip in clips:
        found.append(clip if isinstance(clip, ConditioningFrame) else _cut(name, clip, frame, keep_s))
        if limit is not None and len(found) >= limit:
            break
    if not found:
        raise SourceError(f"{source} lists no clips" if isinstance(source, Path) else "there is no frame to start from")
    names = plain_names([one.name for one in found])
    return [replace(one, name=name) for one, name in zip(found, names, strict=True)]


def hash_frames(frames: Sequence[ConditioningFrame]) -> str:
    """Return 12 hex digits that identify the pixels of all frames, in order."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.name}/{frame.pixels.shape}/".encode())
        kept = frame.pixels if frame.beginning is None else frame.beginning.pixels
        digest.update(np.ascontiguousarray(kept).tobytes())
        digest.update(f"/{frame.beginning.fps}".encode() if frame.beginning is not None else b"")
    return digest.hexdigest()[:12]


def _in_memory(pictures: Sequence[Picture]) -> Iterator[tuple[str, Picture]]:
    """Yield (name, picture); what has no name is numbered."""
    for number, picture in enumerate(pictures, start=1):
        name = "" if isinstance(picture, np.ndarray) else picture.source
        yield name or f"frame_{number}", picture


def _cut(name: str, clip: EchoClip | np.ndarray, chosen: FrameChoice, keep_s: float) -> ConditioningFrame:
    if isinstance(clip, np.ndarray):
        if clip.dtype != np.uint8 or clip.ndim != 2:
            raise SourceError(f"{name} must be uint8 (H, W) or an EchoClip, got {clip.dtype} {clip.shape}")
        clip = EchoClip(clip[None], DEFAULT_FPS)
    frame = chosen if isinstance(chosen, int) else {"ed": clip.ed_frame, "es": clip.es_frame}[chosen]
    if frame is None:
        raise ConfigError(f"{name} has no traced frame of {str(chosen).upper()}; give the number of a frame", "frame")
    if not 0 <= frame < clip.num_frames:
        count = clip.num_frames
        raise ConfigError(f"{name} has {count} frames, so no frame {frame}; give frame 0 to {count - 1}", "frame")
    last = frame + round(keep_s * clip.fps)
    if last >= clip.num_frames:
        left = (clip.num_frames - 1 - frame) / clip.fps
        raise SourceError(f"{name} goes on for {left:.2f} s after frame {frame}; keep less than that")
    kept = clip.replace(pixels=clip.pixels[frame : last + 1].copy(), ed_frame=None, es_frame=None)
    stem = Path(name).stem if Path(name).suffix else name
    return ConditioningFrame(stem, name, frame, kept.pixels[0], clip.ef, kept if keep_s else None)

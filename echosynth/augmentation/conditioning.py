"""What a user names -> conditioning frames: a file, a dataset folder, or a folder with several files.

In a folder of plain files every file is tried; one that cannot be used is told and passed over, and it is an error
only if none is left. Of each clip only the chosen frame is kept in memory.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echosynth.augmentation.plan import plain_names
from echosynth.augmentation.sampling import Start
from echosynth.data.layouts import iter_clips
from echosynth.errors import SourceError
from echosynth.video.clip import EchoClip
from echosynth.video.files import DEFAULT_FPS


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


def load_conditioning_frames(
    path: Path, frame: int = 0, limit: int | None = None, keep_s: float = 0.0
) -> list[ConditioningFrame]:
    """Read frame number `frame` of every clip at `path`, of at most `limit` clips, and what is to be kept after it.

    Raises:
        SourceError: nothing there can be used, or a clip has no such frame, or ends before `keep_s` seconds are over.
    """
    found: list[tuple[str, EchoClip]] = []
    # A frame needs no frame rate: with one given, a cine that names none is read too.
    for name, clip in iter_clips(path, None if keep_s else DEFAULT_FPS):
        if not 0 <= frame < clip.num_frames:
            raise SourceError(
                f"{name} has {clip.num_frames} frames, so no frame {frame}; give --frame 0 to {clip.num_frames - 1}"
            )
        last = frame + round(keep_s * clip.fps)
        if last >= clip.num_frames:
            left = (clip.num_frames - 1 - frame) / clip.fps
            raise SourceError(f"{name} goes on for {left:.2f} s after frame {frame}; keep less than that")
        found.append((name, clip.replace(pixels=clip.pixels[frame : last + 1].copy(), ed_frame=None, es_frame=None)))
        if limit is not None and len(found) >= limit:
            break
    if not found:
        raise SourceError(f"{path} lists no clips")
    names = plain_names([Path(name).stem if Path(name).suffix else name for name, _ in found])
    return [
        ConditioningFrame(plain, name, frame, clip.pixels[0], clip.ef, clip if keep_s else None)
        for plain, (name, clip) in zip(names, found, strict=True)
    ]


def hash_frames(frames: list[ConditioningFrame]) -> str:
    """Return 12 hex digits that identify the pixels of all frames, in order."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.name}/{frame.pixels.shape}/".encode())
        kept = frame.pixels if frame.beginning is None else frame.beginning.pixels
        digest.update(np.ascontiguousarray(kept).tobytes())
        digest.update(f"/{frame.beginning.fps}".encode() if frame.beginning is not None else b"")
    return digest.hexdigest()[:12]

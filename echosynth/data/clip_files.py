"""Plain files: a picture, a video, a DICOM cine, a NumPy array, a folder of these, or a folder of numbered frames.

The kind of a file is recognised by its first bytes, not by its name. Everything is cropped to the ultrasound sector as
EchoNet-Dynamic does (112 x 112, outside black), so burnt-in text is removed.
"""

import os
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from echosynth.data.dataset import ClipEntry, format_names
from echosynth.data.dicom import load_dicom
from echosynth.errors import CorruptVideoError, SectorNotFoundError, SourceError
from echosynth.video.clip import EchoClip
from echosynth.video.readers import DEFAULT_FPS, MAX_FRAMES, load_image, load_npy, load_video
from echosynth.video.sector import find_and_crop

# Only these names make pictures one clip: numbered stills of different patients must stay apart.
_NUMBERED = re.compile(
    r"(?P<head>(frame|frames|img|image)?[-_ ]?)(?P<number>\d+)\.(png|jpe?g|bmp|tiff?)", re.IGNORECASE
)


def load_clip_file(path: str | Path, fps: float | None = None) -> EchoClip:
    """Read one file and crop it to its sector.

    Args:
        path: PNG/JPEG/BMP/TIFF/WebP picture (a clip of one frame), AVI/MP4/MOV/MKV/WebM/GIF video, DICOM or `.npy`.
        fps: frame rate in Hz to use instead of the file's. Stills and arrays name none and get `DEFAULT_FPS` (32).

    Returns:
        uint8 (T, 112, 112); its source is the file's name.

    Raises:
        SourceError: nothing there, unknown kind, not ultrasound, or no sector in it.
        CorruptVideoError: the file cannot be decoded.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(f"no such file or folder: {path}")
    return _crop(_load_whole(path, fps), path)


class ClipFiles:
    """Files as a dataset: each a clip, but pictures named `frame_0001.png`, `img1.jpg` or `0001.png` are one together.

    Of clips that lie there several times (our own runs keep an MP4 and a GIF beside every lossless AVI) one is taken.

    Args:
        root: one file, or a folder; what lies deeper is looked at in folders of DICOM files alone, which archives write
            as one folder a study and a series.
        fps: frame rate in Hz to use instead of the files'.

    Raises:
        SourceError: nothing there, or the folder is empty.
    """

    layout = "plain files"

    def __init__(self, root: str | Path, fps: float | None = None) -> None:
        self.root, self.fps = Path(root), fps
        if not self.root.exists():
            raise SourceError(f"no such file or folder: {self.root}")
        self.clips = _find_clips(self.root) if self.root.is_dir() else [[self.root]]
        if not self.clips:
            inner = sorted(f.name for f in self.root.iterdir() if f.is_dir() and not f.name.startswith("."))
            reason = (
                f"holds no files, only folders ({format_names(inner)}); name one of them"
                if inner
                else "is an empty folder"
            )
            raise SourceError(f"{self.root} {reason}")
        names = [self._name(files) for files in self.clips]
        self.entries = [ClipEntry(name, patient=name, fps=fps) for name in names]

    def _name(self, files: Sequence[Path]) -> str:
        return str(files[0]) if len(files) == 1 else str(self.root)

    def clip(self, index: int) -> EchoClip:
        """See `ClipDataset.clip`."""
        files = self.clips[index]
        if len(files) == 1:
            return load_clip_file(files[0], self.fps)
        frames = [load_image(file) for file in files]
        if len({frame.shape for frame in frames}) > 1:
            raise CorruptVideoError(f"{self.root}: the pictures {files[0].name}, ... are not all of one size")
        return _crop(EchoClip(np.stack(frames), self.fps or DEFAULT_FPS, source=self.root.name), self.root)

    def problems(self) -> list[str]:
        """See `ClipDataset.problems`; of plain files there are no tables."""
        return []


def _find_clips(root: Path) -> list[list[Path]]:
    """The files of every clip in a folder, and in the folders below if they hold DICOM files."""
    files = _visible_files(root)
    clips = _group(files)
    below = [Path(folder) for folder, _, _ in sorted(os.walk(root)) if Path(folder) != root]
    hidden = [folder for folder in below if any(part.startswith(".") for part in folder.relative_to(root).parts)]
    deeper = [file for folder in below if folder not in hidden for file in _visible_files(folder)]
    if not deeper or (files and not any(_kind(file) == "dicom" for file in files)):
        return clips
    dicom = [[file] for file in deeper if _kind(file) == "dicom"]
    return clips + dicom


def _visible_files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror}") from error


def _group(files: Sequence[Path]) -> list[list[Path]]:
    """Join numbered frames, and drop previews of lossless videos."""
    numbered = {file: match for file in files if (match := _NUMBERED.fullmatch(file.name))}
    lossless = {file.stem for file in files if file.suffix == ".avi"}
    single = [f for f in files if f not in numbered and (f.suffix not in (".mp4", ".gif") or f.stem not in lossless)]

    def head(file: Path) -> str:
        return numbered[file]["head"].lower()

    stacks = [
        sorted(stack, key=lambda file: int(numbered[file]["number"]))[:MAX_FRAMES]
        for _, stack in groupby(sorted(numbered, key=head), key=head)
    ]
    return sorted([[file] for file in single] + stacks)


def _crop(clip: EchoClip, path: Path) -> EchoClip:
    try:
        return clip.replace(pixels=find_and_crop(clip.pixels))
    except SectorNotFoundError as error:
        raise SectorNotFoundError(f"{path}: {error}") from None


def _load_whole(path: Path, fps: float | None) -> EchoClip:
    """Read one file by its first bytes, uncropped."""
    kind = _kind(path)
    if kind == "dicom":
        return load_dicom(path, fps=fps)
    if kind == "video":
        clip = load_video(path)
        return clip if fps is None else clip.replace(fps=fps)
    if kind == "image":
        return EchoClip(load_image(path)[None], fps or DEFAULT_FPS, source=path.name)
    if kind == "npy":
        return EchoClip(load_npy(path), fps or DEFAULT_FPS, source=path.name)
    raise SourceError(f"{path} is of no kind that is read (picture, AVI, MP4, MKV, GIF, DICOM, .npy)")


def _kind(path: Path) -> str:
    """Return "dicom", "video", "image", "npy" or "" from the first bytes of a file."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    if head[128:132] == b"DICM":
        return "dicom"
    if head[:6] == b"\x93NUMPY":
        return "npy"
    if head[:8] == b"\x89PNG\r\n\x1a\n" or head[:3] == b"\xff\xd8\xff" or head[:2] == b"BM":
        return "image"
    if head[:4] in (b"II*\0", b"MM\0*") or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "image"
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    is_mp4 = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
    if is_avi or is_mp4 or head[:4] in (b"\x1aE\xdf\xa3", b"GIF8"):
        return "video"
    return ""

"""One door for whatever a user has: a picture, a video, a DICOM file, a NumPy array, or a dataset folder.

The kind is told by the first bytes, not by the name. Everything that is not in EchoNet format is reduced to the
ultrasound sector, cut out as EchoNet-Dynamic does (112 x 112, outside black): burnt-in text never goes further.
"""

from collections.abc import Iterator
from pathlib import Path

from echosynth.data.dicom import load_dicom
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.errors import SectorNotFoundError, SourceError
from echosynth.video.clip import EchoClip
from echosynth.video.files import DEFAULT_FPS, load_image, load_npy, load_video
from echosynth.video.sector import find_and_crop


def load_source(path: str | Path, fps: float | None = None) -> list[EchoClip]:
    """Read everything at `path`; see `iter_source`."""
    return list(iter_source(path, fps))


def iter_source(path: str | Path, fps: float | None = None) -> Iterator[EchoClip]:
    """Yield the clips at `path`, one at a time; only the clip in hand is in memory.

    Args:
        path: PNG/JPEG/BMP/TIFF/WebP picture (a clip of one frame), AVI/MP4/MOV/MKV/WebM/GIF video, DICOM file, `.npy`,
            or a folder in EchoNet format (its clips come in the order of FileList.csv, as they are).
        fps: frame rate in Hz to use instead of the file's. Stills and arrays name none and get `DEFAULT_FPS` (32).

    Yields:
        Clips uint8 (T, 112, 112), or as stored for a dataset folder.

    Raises:
        SourceError: nothing there, unknown kind, not ultrasound, or no sector in it.
        CorruptVideoError: the file cannot be decoded.
        DatasetError: the folder's tables are malformed or videos are missing.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "FileList.csv").is_file():
            raise SourceError(f"{path} is a folder without FileList.csv; give one file, or a folder in EchoNet format")
        dataset = EchoNetDataset(path)
        for index in range(len(dataset)):
            clip = dataset.clip(index)
            yield clip if fps is None else clip.replace(fps=fps)
        return
    if not path.exists():
        raise SourceError(f"no such file or folder: {path}")
    clip = _load_file(path, fps)
    try:
        yield clip.replace(pixels=find_and_crop(clip.pixels))
    except SectorNotFoundError as error:
        raise SectorNotFoundError(f"{path}: {error}") from None


def _load_file(path: Path, fps: float | None) -> EchoClip:
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
    raise SourceError(f"{path} is of no kind that is read (picture, AVI, MP4, MKV, GIF, DICOM, .npy, EchoNet folder)")


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

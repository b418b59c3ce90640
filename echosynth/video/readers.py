"""Reading pictures and videos that come from strangers.

The container must be one of a short list and may open nothing else (an "AVI" that is in truth a playlist is refused),
every frame is capped in pixels before the decoder allocates it, the clip is capped in frames and in bytes, and whatever
the decoder throws becomes one `CorruptVideoError`. Grey is luma (`colour.py`); colour Doppler is refused.

Shapes: clips uint8 (T, H, W), pictures uint8 (H, W), 0-255.
"""

import io
import warnings
from pathlib import Path
from typing import BinaryIO

import av
import imageio.v3 as iio
import numpy as np
from PIL import Image

from echosynth.errors import CorruptVideoError, SourceError
from echosynth.video.clip import EchoClip
from echosynth.video.colour import luma, refuse_doppler
from echosynth.video.container import check_container
from echosynth.video.delays import read_delays

MAX_FRAME_PIXELS = 4096 * 2304  # one 4K frame
MAX_FRAMES = 4000  # EchoNet-Dynamic's longest video has 1002
MAX_CLIP_PIXELS = 1 << 30  # 1 GiB of grey pixels in memory
MAX_FILE_BYTES = 2 << 30
MAX_FPS = 1000.0
DEFAULT_FPS = 32.0  # of what carries no frame rate: stills and arrays

_CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif"
_PICTURES = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")


def load_video(path: str | Path) -> EchoClip:
    """Read an AVI, MP4, MOV, MKV, WebM or GIF as one grey clip.

    Returns:
        The clip, uncropped; fps as the file says, source the file's name.

    Raises:
        SourceError: no such file, or it shows colour Doppler.
        CorruptVideoError: not such a container, damaged, or larger than the caps of this module.
    """
    path = _existing_file(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise CorruptVideoError(f"cannot decode the video {path}: {_one_line(error)}") from error
    with file:
        return _read_clip(file, path.name, str(path))


def load_video_bytes(data: bytes, name: str) -> EchoClip:
    """Read a video that is in memory, e.g. a member of an archive; see `load_video`.

    Args:
        data: the file's bytes.
        name: for messages, and the clip's source.

    Raises:
        CorruptVideoError: see `load_video`.
        SourceError: it shows colour Doppler.
    """
    return _read_clip(io.BytesIO(data), name, name)


def _read_clip(file: BinaryIO, name: str, place: str) -> EchoClip:
    try:
        pixels, fps = _decode(file, name)
        return EchoClip(pixels, fps, source=name)
    except SourceError:
        raise
    # PyAV raises InvalidDataError, IndexError, EOFError, MemoryError, UnicodeDecodeError ... on damaged files.
    except Exception as error:
        raise CorruptVideoError(f"cannot decode the video {place}: {_one_line(error)}") from error


def load_image(path: str | Path) -> np.ndarray:
    """Read a PNG, JPEG, BMP, TIFF or WebP as one grey picture.

    Returns:
        uint8 (H, W).

    Raises:
        SourceError: no such file, or it shows colour Doppler.
        CorruptVideoError: not such a picture, damaged, or more than `MAX_FRAME_PIXELS`.
    """
    path = _existing_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_PICTURES) as header:  # imageio would try all formats that Pillow knows
                if header.width * header.height > MAX_FRAME_PIXELS:
                    raise CorruptVideoError(f"{path} is too large: {header.width}x{header.height} pixels")
                deep, grey = header.mode.startswith("I;16"), header.mode == "L"
            pixels = iio.imread(path, plugin="pillow", index=0, mode=None if deep or grey else "RGB")
    except SourceError:
        raise
    except Exception as error:
        raise CorruptVideoError(f"cannot decode the picture {path}: {_one_line(error)}") from error
    if deep:  # 16-bit grey: Pillow's own conversion would clip, not scale
        return (pixels.astype(np.uint16) >> 8).astype(np.uint8)
    if grey:
        return pixels
    refuse_doppler(pixels, path.name)
    return luma(pixels)


def load_npy(path: str | Path) -> np.ndarray:
    """Read a NumPy array as grey frames; pickled objects are never loaded.

    Returns:
        uint8 (T, H, W), made from (T, H, W), (H, W), or these with three trailing colour channels; the values in the
        file are uint8 0-255 or float in [0, 1]. A trailing axis of length 3 is always taken as colour.

    Raises:
        SourceError: no such file, another shape, type or range, or it shows colour Doppler.
        CorruptVideoError: not an .npy file, damaged, or larger than the caps of this module.
    """
    path = _existing_file(path)
    try:
        # Mapped, so that the caps are checked before anything is read.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        raise CorruptVideoError(f"cannot read the array {path}: {_one_line(error)}") from error
    if not isinstance(array, np.ndarray):
        raise CorruptVideoError(f"{path} is not an .npy file with one array")
    shape, colour = array.shape, array.ndim in (3, 4) and array.shape[-1] == 3
    frames_shape = shape[:-1] if colour else shape
    if len(frames_shape) not in (2, 3) or 0 in shape:
        raise SourceError(f"{path} has shape {shape}; expected (T, H, W) or (H, W), with or without 3 colour channels")
    _check_caps(frames_shape[-2], frames_shape[-1], 1 if len(frames_shape) == 2 else shape[0], path.name)
    if array.dtype == np.uint8:
        pixels = np.array(array)
    elif np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise SourceError(f"{path} holds floats from {low:g} to {high:g}; floats must lie in [0, 1]")
        pixels = np.rint(np.asarray(array, np.float32) * 255).astype(np.uint8)
    else:
        raise SourceError(f"{path} holds {array.dtype}; expected uint8 or float in [0, 1]")
    if colour:
        refuse_doppler(pixels, path.name)
        pixels = luma(pixels)
    return pixels[None] if pixels.ndim == 2 else pixels


def _decode(file: BinaryIO, name: str) -> tuple[np.ndarray, float]:
    """Decode the first video stream to grey (T, H, W) and its frame rate."""
    check_container(file, name)
    # The file is handed over open and no protocol is allowed: whatever the container names, nothing else is opened.
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none", "max_pixels": str(MAX_FRAME_PIXELS)}
    frames: list[np.ndarray] = []
    delays: list[int] = []
    with av.open(file, "r", options=options) as container:
        if not container.streams.video:
            raise CorruptVideoError(f"{name} holds no video")
        stream = container.streams.video[0]
        # PyAV 2344: a file cut inside its first frame can leave a stream without a decoder.
        if stream.codec_context is None:
            raise CorruptVideoError(f"{name} has no decodable video stream")
        _check_caps(stream.codec_context.height, stream.codec_context.width, 1, name)
        stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        if not 0 < fps <= MAX_FPS:
            raise CorruptVideoError(f"{name} says it has {fps:g} frames per second")
        for frame in container.decode(stream):
            if frames and (frame.height, frame.width) != frames[0].shape:
                raise CorruptVideoError(f"{name} changes its picture size from frame to frame")
            _check_caps(frame.height, frame.width, len(frames) + 1, name)
            grey_format = frame.format.name.startswith(("gray", "yuv"))
            if not grey_format or len(frames) % 16 == 0:
                rgb = frame.to_ndarray(format="rgb24")
                if len(frames) % 16 == 0 and not frame.format.name.startswith("gray"):
                    refuse_doppler(rgb, name)
            frames.append(frame.to_ndarray(format="gray") if grey_format else luma(rgb))
            delays.append(frame.duration or 0)
        timed = container.format.name == "gif" and all(delays)
    if not frames:
        raise CorruptVideoError(f"{name} holds no frame that can be decoded")
    if not timed:
        return np.stack(frames), fps
    fps, periods = read_delays(np.array(delays))
    height, width = frames[0].shape
    _check_caps(height, width, int(periods.sum()), name)
    return np.repeat(np.stack(frames), periods, axis=0), fps


def _existing_file(path: str | Path) -> Path:
    path = Path(path)
    try:
        if not path.is_file():
            raise SourceError(f"no such file: {path}")
        size = path.stat().st_size
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    if size > MAX_FILE_BYTES:
        raise CorruptVideoError(f"{path} is too large: {size / 2**30:.1f} GiB (at most 2 are read)")
    return path


def _check_caps(height: int, width: int, num_frames: int, name: str) -> None:
    """Raise CorruptVideoError if a clip of this size is more than this module reads (or has no size at all)."""
    pixels = height * width
    if pixels <= 0:  # with the cap set, FFmpeg gives no size for a picture that is far too large
        raise CorruptVideoError(f"{name} has frames of no size, or of more than {MAX_FRAME_PIXELS} pixels")
    if pixels > MAX_FRAME_PIXELS:
        raise CorruptVideoError(f"{name} has frames of {width}x{height} pixels; at most {MAX_FRAME_PIXELS} are read")
    if num_frames > MAX_FRAMES or pixels * num_frames > MAX_CLIP_PIXELS:
        raise CorruptVideoError(f"{name} is too long: {num_frames} frames of {width}x{height}; cut or shrink it first")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

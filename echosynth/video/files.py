"""Reading pictures and videos that come from strangers, and writing ours so that nothing is ever half there.

Reading: the container must be one of a short list and may open nothing else (an "AVI" that is in truth a playlist is
refused), every frame is capped in pixels before the decoder allocates it, the clip is capped in frames and in bytes,
and whatever the decoder throws becomes one `CorruptVideoError`. Grey is luma (`colour.py`); colour Doppler is refused.

Writing: temporary name in the same folder, fsync, rename, fsync of the folder. A file with its final name is complete.
FFV1 keeps every pixel; the default JPEG of common writers loses 30 dB of speckle, so MJPG is written at quantiser 1.

Shapes: clips uint8 (T, H, W), pictures uint8 (H, W), 0-255.
"""

import io
import warnings
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from PIL import Image, PngImagePlugin

from echosynth.errors import CorruptVideoError, SourceError
from echosynth.storage.atomic import write_bytes
from echosynth.video.clip import EchoClip
from echosynth.video.colour import is_colour_doppler as is_colour_doppler
from echosynth.video.colour import luma, refuse_doppler
from echosynth.video.container import check_container
from echosynth.video.resample import resize

MAX_FRAME_PIXELS = 4096 * 2304  # one 4K frame
MAX_FRAMES = 4000  # EchoNet-Dynamic's longest video has 1002
MAX_CLIP_PIXELS = 1 << 30  # 1 GiB of grey pixels in memory
MAX_FILE_BYTES = 2 << 30
MAX_FPS = 1000.0
DEFAULT_FPS = 32.0  # of what carries no frame rate: stills and arrays
SYNTHETIC_NOTE = "SYNTHETIC: made by echosynth, shows no patient. Research only, not for diagnosis."

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
        with path.open("rb") as file:
            pixels, fps = _decode(file, path.name)
        return EchoClip(pixels, fps, source=path.name)
    except SourceError:
        raise
    # PyAV raises InvalidDataError, IndexError, EOFError, MemoryError, UnicodeDecodeError ... on damaged files.
    except Exception as error:
        raise CorruptVideoError(f"cannot decode the video {path}: {_one_line(error)}") from error


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
            with Image.open(path, formats=_PICTURES) as picture:
                if picture.width * picture.height > MAX_FRAME_PIXELS:
                    raise CorruptVideoError(f"{path} is too large: {picture.width}x{picture.height} pixels")
                if picture.mode.startswith("I;16"):  # 16-bit grey: Pillow's own conversion would clip, not scale
                    return (np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8)
                if picture.mode == "L":
                    return np.asarray(picture).copy()
                rgb = np.asarray(picture.convert("RGB"))
    except SourceError:
        raise
    except Exception as error:
        raise CorruptVideoError(f"cannot decode the picture {path}: {_one_line(error)}") from error
    refuse_doppler(rgb, path.name)
    return luma(rgb)


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


def write_avi(path: str | Path, clip: EchoClip, lossless: bool = True, synthetic: bool = False) -> None:
    """Write an AVI: FFV1 (every pixel kept) or, with `lossless=False`, MJPG at top quality as EchoNet-Dynamic has it.

    Raises:
        OutputError: the file cannot be written.
    """
    options = {"level": "3"} if lossless else {"qmin": "1", "qmax": "1", "flags": "+qscale", "global_quality": "118"}
    codec, pixel_format = ("ffv1", "gray") if lossless else ("mjpeg", "yuvj420p")
    write_bytes(Path(path), _encode(clip, "avi", codec, pixel_format, options, synthetic))


def write_mp4(path: str | Path, clip: EchoClip, scale: int = 2, synthetic: bool = False) -> None:
    """Write an H.264 MP4 to look at (lossy), `scale` times larger, sides cut to even numbers.

    Raises:
        OutputError: the file cannot be written.
    """
    # x264's macroblock tree gives other bytes from run to run, with a single thread too.
    options = {"crf": "14", "preset": "medium", "movflags": "+faststart", "x264-params": "no-mbtree=1"}
    write_bytes(Path(path), _encode(_enlarge(clip, scale, even=True), "mp4", "libx264", "yuv420p", options, synthetic))


def write_gif(path: str | Path, clip: EchoClip, scale: int = 2, synthetic: bool = False) -> None:
    """Write an endless GIF to look at, 256 greys, `scale` times larger.

    Delays are whole hundredths of a second; equal neighbouring frames are merged into one longer one.

    Raises:
        OutputError: the file cannot be written.
    """
    _write_animation(path, _enlarge(clip, scale).pixels, clip.fps, SYNTHETIC_NOTE.encode() if synthetic else b"")


def write_colour_gif(path: str | Path, pictures: np.ndarray, fps: float) -> None:
    """Write uint8 (T, H, W, 3) as an endless GIF to look at, 256 colours a frame; see `write_gif`.

    Raises:
        OutputError: the file cannot be written.
    """
    _write_animation(path, pictures, fps, b"")


def _write_animation(path: str | Path, pictures: np.ndarray, fps: float, note: bytes) -> None:
    frames = [Image.fromarray(picture) for picture in pictures]
    # Rounded ends of frames, not rounded frames: the length of the whole stays right (50 Hz: 20 ms, 32 Hz: 30, 30, 40).
    ends = np.rint(np.arange(len(frames) + 1) * 100 / fps).astype(int)
    delays = [int(max(2, d)) * 10 for d in np.diff(ends)]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=delays, loop=0, comment=note, optimize=False
    )
    write_bytes(Path(path), buffer.getvalue())


def write_npz(path: str | Path, **arrays: np.ndarray) -> None:
    """Write named arrays, compressed; the same arrays give the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # its members all date from 1980
    write_bytes(Path(path), buffer.getvalue())


def write_png(path: str | Path, array: np.ndarray, synthetic: bool = False) -> None:
    """Write uint8 (H, W) or (H, W, 3) as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    info = PngImagePlugin.PngInfo()
    if synthetic:
        info.add_text("Comment", SYNTHETIC_NOTE)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", pnginfo=info)
    write_bytes(Path(path), buffer.getvalue())


def _decode(file: io.BufferedReader, name: str) -> tuple[np.ndarray, float]:
    """Decode the first video stream to grey (T, H, W) and its frame rate."""
    check_container(file, name)
    # The file is handed over open and no protocol is allowed: whatever the container names, nothing else is opened.
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none", "max_pixels": str(MAX_FRAME_PIXELS)}
    frames: list[np.ndarray] = []
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
    if not frames:
        raise CorruptVideoError(f"{name} holds no frame that can be decoded")
    return np.stack(frames), fps


def _encode(
    clip: EchoClip, container_format: str, codec: str, pixel_format: str, options: dict[str, str], synthetic: bool
) -> bytes:
    """Encode in memory, so that a full disk shows as an OSError of ours and never as a muxer's."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container_format) as container:
        if synthetic:
            container.metadata["comment"] = SYNTHETIC_NOTE
        rate = Fraction(clip.fps).limit_denominator(1001)
        stream = cast(av.VideoStream, container.add_stream(codec, rate=rate, options=options))
        stream.height, stream.width = clip.pixels.shape[1:]
        stream.pix_fmt = pixel_format
        for pixels in clip.pixels:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _enlarge(clip: EchoClip, scale: int, even: bool = False) -> EchoClip:
    height, width = (side * scale for side in clip.pixels.shape[1:])
    pixels = resize(clip.pixels, (height, width))
    return clip.replace(pixels=pixels[:, : height & ~1, : width & ~1]) if even else clip.replace(pixels=pixels)


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
    if pixels <= 0:  # of what is far too large FFmpeg, told the cap, gives no size
        raise CorruptVideoError(f"{name} has frames of no size, or of more than {MAX_FRAME_PIXELS} pixels")
    if pixels > MAX_FRAME_PIXELS:
        raise CorruptVideoError(f"{name} has frames of {width}x{height} pixels; at most {MAX_FRAME_PIXELS} are read")
    if num_frames > MAX_FRAMES or pixels * num_frames > MAX_CLIP_PIXELS:
        raise CorruptVideoError(f"{name} is too long: {num_frames} frames of {width}x{height}; cut or shrink it first")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

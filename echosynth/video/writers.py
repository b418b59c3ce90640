"""Writing videos and pictures so that nothing is ever half there.

Temporary name in the same folder, fsync, rename, fsync of the folder: a file with its final name is complete.
FFV1 keeps every pixel; the default JPEG of common writers loses 30 dB of speckle, so MJPG is written at quantiser 1.

Shapes: clips uint8 (T, H, W), pictures uint8 (H, W), 0-255.
"""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import imageio.v3 as iio
import numpy as np
from PIL import PngImagePlugin

from echosynth.storage.atomic import write_bytes
from echosynth.video.clip import EchoClip
from echosynth.video.delays import frame_delays
from echosynth.video.resample import resize

SYNTHETIC_NOTE = "SYNTHETIC: made by echosynth, shows no patient. Research only, not for diagnosis."


def write_avi(path: str | Path, clip: EchoClip, lossless: bool = True, synthetic: bool = False) -> None:
    """Write an AVI: FFV1 (every pixel kept) or, with `lossless=False`, MJPG at top quality as EchoNet-Dynamic has it.

    Raises:
        OutputError: the file cannot be written.
    """
    options = {"level": "3"} if lossless else {"qmin": "1", "qmax": "1", "flags": "+qscale", "global_quality": "118"}
    codec, pixel_format = ("ffv1", "gray") if lossless else ("mjpeg", "yuvj420p")
    write_bytes(path, _encode(clip, "avi", codec, pixel_format, options, synthetic))


def write_mp4(path: str | Path, clip: EchoClip, scale: int = 2, synthetic: bool = False) -> None:
    """Write an H.264 MP4 to look at (lossy), `scale` times larger, sides cut to even numbers.

    Raises:
        OutputError: the file cannot be written.
    """
    # x264's macroblock tree gives other bytes from run to run, with a single thread too.
    options = {"crf": "14", "preset": "medium", "movflags": "+faststart", "x264-params": "no-mbtree=1"}
    write_bytes(path, _encode(_enlarge(clip, scale, even=True), "mp4", "libx264", "yuv420p", options, synthetic))


def write_gif(path: str | Path, clip: EchoClip, scale: int = 2, synthetic: bool = False) -> None:
    """Write an endless GIF to look at, 256 greys, `scale` times larger.

    Delays are whole hundredths of a second, and equal neighbouring frames become one that is shown for longer;
    `load_video` gives back the frames and their rate (up to 50 Hz).

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
    delays = [10 * delay for delay in frame_delays(len(pictures), fps, shortest=2)]  # players take 1 for 10
    shown: Any = delays if len(delays) > 1 else delays[0]  # imageio does not take one picture for an animation
    data = encode_picture(pictures, ".gif", duration=shown, loop=0, comment=note, optimize=False, is_batch=True)
    write_bytes(path, data)


def write_npz(path: str | Path, **arrays: np.ndarray) -> None:
    """Write named arrays, compressed; the same arrays give the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # its members all date from 1980
    write_bytes(path, buffer.getvalue())


def write_png(path: str | Path, array: np.ndarray, synthetic: bool = False) -> None:
    """Write uint8 (H, W) or (H, W, 3) as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    info = PngImagePlugin.PngInfo()
    if synthetic:
        info.add_text("Comment", SYNTHETIC_NOTE)
    write_bytes(path, encode_picture(array, ".png", pnginfo=info))


def encode_picture(pixels: np.ndarray, extension: str, **options: Any) -> bytes:
    """The bytes of a PNG, GIF or WebP.

    Args:
        pixels: uint8, a picture (H, W) or (H, W, 3), or, with is_batch=True, an animation of such.
        extension: of the format, with its dot.
        options: of the format, as Pillow has them.
    """
    return cast(bytes, iio.imwrite("<bytes>", pixels, extension=extension, plugin="pillow", **options))


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

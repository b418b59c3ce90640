"""A video that was cut off is refused wherever the cut lies, and so is an AVI without a frame rate."""

from pathlib import Path

import av
import numpy as np
import pytest

from echosynth.errors import CorruptVideoError
from echosynth.video import readers, writers
from echosynth.video.clip import EchoClip

KINDS = ("ffv1.avi", "mjpeg.avi", "mkv", "webm", "gif", "mp4")


def write(folder: Path, kind: str, num_frames: int = 24) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (num_frames, 32, 32), dtype=np.uint8)
    clip, path = EchoClip(noise, 25.0), folder / f"whole.{kind}"
    if kind.endswith("avi"):
        writers.write_avi(path, clip, lossless=kind.startswith("ffv1"))
    elif kind in ("mp4", "gif"):
        (writers.write_mp4 if kind == "mp4" else writers.write_gif)(path, clip)
    else:
        codec, pixels = ("ffv1", "gray") if kind == "mkv" else ("libvpx-vp9", "yuv420p")
        with av.open(str(path), "w", format="matroska" if kind == "mkv" else "webm") as container:
            stream = container.add_stream(codec, rate=25, width=32, height=32, pix_fmt=pixels)
            for frame in noise:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_cut_off_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    whole = write(tmp_path, kind)
    assert readers.load_video(whole).num_frames == 24
    data = whole.read_bytes()
    for share in (0.02, 0.3, 0.5, 0.7, 0.9, 0.97):
        (tmp_path / "cut").write_bytes(data[: int(share * len(data))])
        with pytest.raises(CorruptVideoError):
            readers.load_video(tmp_path / "cut")


@pytest.mark.parametrize("kind", ["mkv", "ffv1.avi"])
def test_a_video_that_was_streamed_names_no_length_and_is_read(tmp_path: Path, kind: str) -> None:
    data = bytearray(write(tmp_path, kind).read_bytes())
    if kind == "mkv":
        at = data.index(b"\x18\x53\x80\x67") + 4
        data[at : at + 8] = b"\x01" + b"\xff" * 7
    else:
        data[4:8] = bytes(4)
    (tmp_path / "streamed").write_bytes(data)
    assert readers.load_video(tmp_path / "streamed").num_frames == 24


def test_an_avi_without_a_frame_rate_is_refused(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path, "ffv1.avi").read_bytes())
    rate = data.index(b"strh") + 8 + 24
    data[rate : rate + 4] = bytes(4)
    (tmp_path / "a.avi").write_bytes(data)
    assert readers.load_video(tmp_path / "a.avi").fps == 25.0  # the file's own header still says it
    period = data.index(b"avih") + 8
    data[period : period + 4] = bytes(4)
    (tmp_path / "a.avi").write_bytes(data)
    with pytest.raises(CorruptVideoError, match="names no frame rate"):
        readers.load_video(tmp_path / "a.avi")

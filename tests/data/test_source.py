"""Source: every kind of file comes through one door, told by its content."""

import shutil
from pathlib import Path

import numpy as np
import pydicom.examples
import pytest

from echosynth.data.echonet_format import EchoNetWriter
from echosynth.data.source import iter_source, load_source
from echosynth.errors import SectorNotFoundError, SourceError
from echosynth.video import files
from echosynth.video.clip import EchoClip
from echosynth.video.sector import Sector


def fan_clip(num_frames: int = 6) -> EchoClip:
    noise = np.random.default_rng(0).integers(10, 200, (num_frames, 180, 240), dtype=np.uint8)
    pixels = noise * Sector(120, 10, -0.7, 0.7, 150).mask(180, 240)
    pixels[:, 4:20, 4:60] = 255  # a name, burnt in
    return EchoClip(pixels, 25.0)


def test_every_kind(tmp_path: Path) -> None:
    clip = fan_clip()
    files.write_avi(tmp_path / "avi", clip)
    files.write_mp4(tmp_path / "mp4", clip, scale=1)
    files.write_gif(tmp_path / "gif", clip, scale=1)
    files.write_png(tmp_path / "png", clip.pixels[0])
    np.save(tmp_path / "npy.npy", clip.pixels)
    shutil.copy(pydicom.examples.get_path("ybr_color"), tmp_path / "dicom.jpg")
    lengths = {"avi": 6, "mp4": 6, "gif": 6, "png": 1, "npy.npy": 6, "dicom.jpg": 30}
    rates = {"avi": 25.0, "mp4": 25.0, "gif": 25.0, "png": 32.0, "npy.npy": 32.0, "dicom.jpg": 30.0}
    for name, length in lengths.items():
        (loaded,) = load_source(tmp_path / name)
        assert loaded.pixels.shape == (length, 112, 112), name
        assert loaded.fps == pytest.approx(rates[name], abs=0.01), name
        assert loaded.source == name
        assert (loaded.pixels[:, 8:80, :12] == 0).mean() > 0.75, f"{name}: the burnt-in text is gone"
    assert load_source(tmp_path / "npy.npy", fps=50.0)[0].fps == 50.0


def test_echonet_folder_is_lazy_and_in_order(tmp_path: Path) -> None:
    with EchoNetWriter(tmp_path, lossless=True) as writer:
        for name in ("z", "a"):
            pixels = np.full((3, 112, 112), ord(name), np.uint8)
            writer.add(name, EchoClip(pixels, 50.0, 50.0, 100.0, 50.0), "TEST")
    (tmp_path / "Videos" / "a.avi").write_bytes(b"damaged")
    clips = iter_source(tmp_path)
    first = next(clips)
    assert first.source == "z"
    assert (first.pixels == ord("z")).all()
    assert first.ef == 50.0
    with pytest.raises(SourceError):
        next(clips)


def test_what_is_not_a_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such"):
        load_source(tmp_path / "nothing")
    with pytest.raises(SourceError, match="FileList"):
        load_source(tmp_path)
    (tmp_path / "a.avi").write_text("hello")
    with pytest.raises(SourceError, match="no kind"):
        load_source(tmp_path / "a.avi")
    files.write_png(tmp_path / "blank.png", np.zeros((200, 200), np.uint8))
    with pytest.raises(SectorNotFoundError, match=r"blank\.png"):
        load_source(tmp_path / "blank.png")

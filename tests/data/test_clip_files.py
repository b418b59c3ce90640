"""Plain files: one function opens every kind, recognised by its content."""

import shutil
from pathlib import Path

import numpy as np
import pydicom.examples
import pytest

from echosynth.data.clip_files import load_clip_file
from echosynth.errors import SectorNotFoundError, SourceError
from echosynth.video import writers
from echosynth.video.clip import EchoClip
from echosynth.video.sector import Sector


def fan_clip(num_frames: int = 6) -> EchoClip:
    noise = np.random.default_rng(0).integers(10, 200, (num_frames, 180, 240), dtype=np.uint8)
    pixels = noise * Sector(120, 10, -0.7, 0.7, 150).mask(180, 240)
    pixels[:, 4:20, 4:60] = 255  # a name, burnt in
    return EchoClip(pixels, 25.0)


@pytest.mark.heavy
def test_every_kind(tmp_path: Path) -> None:
    clip = fan_clip()
    writers.write_avi(tmp_path / "avi", clip)
    writers.write_mp4(tmp_path / "mp4", clip, scale=1)
    writers.write_gif(tmp_path / "gif", clip, scale=1)
    writers.write_png(tmp_path / "png", clip.pixels[0])
    np.save(tmp_path / "npy.npy", clip.pixels)
    shutil.copy(pydicom.examples.get_path("ybr_color"), tmp_path / "dicom.jpg")
    lengths = {"avi": 6, "mp4": 6, "gif": 6, "png": 1, "npy.npy": 6, "dicom.jpg": 30}
    rates = {"avi": 25.0, "mp4": 25.0, "gif": 25.0, "png": 32.0, "npy.npy": 32.0, "dicom.jpg": 30.0}
    for name, length in lengths.items():
        loaded = load_clip_file(tmp_path / name)
        assert loaded.pixels.shape == (length, 112, 112), name
        assert loaded.fps == pytest.approx(rates[name], abs=0.01), name
        assert loaded.source == name
        assert (loaded.pixels[:, 8:80, :12] == 0).mean() > 0.75, f"{name}: the burnt-in text is gone"
    assert load_clip_file(tmp_path / "npy.npy", fps=50.0).fps == 50.0


def test_what_is_not_a_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such"):
        load_clip_file(tmp_path / "nothing")
    (tmp_path / "a.avi").write_text("hello")
    with pytest.raises(SourceError, match="no kind"):
        load_clip_file(tmp_path / "a.avi")
    writers.write_png(tmp_path / "blank.png", np.zeros((200, 200), np.uint8))
    with pytest.raises(SectorNotFoundError, match=r"blank\.png"):
        load_clip_file(tmp_path / "blank.png")

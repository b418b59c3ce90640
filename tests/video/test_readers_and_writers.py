"""Files: round trips, and what damaged or hostile files may do (raise one error, nothing else)."""

import errno
import io
import os
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from echosynth.errors import CorruptVideoError, OutputError, SourceError
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.storage.atomic import atomic_write
from echosynth.video import readers, writers
from echosynth.video.clip import EchoClip
from echosynth.video.colour import is_colour_doppler, luma


def speckle_clip(num_frames: int = 6, side: int = 48, fps: float = 50.0, seed: int = 0) -> EchoClip:
    pixels = np.random.default_rng(seed).integers(0, 256, (num_frames, side, side), dtype=np.uint8)
    return EchoClip(pixels, fps)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.parametrize("fps", [50.0, 30.0, 29.97, 138.0, 32.5])
def test_lossless_avi_keeps_every_pixel(tmp_path: Path, fps: float) -> None:
    clip = speckle_clip(fps=fps)
    writers.write_avi(tmp_path / "a.avi", clip)
    back = readers.load_video(tmp_path / "a.avi")
    np.testing.assert_array_equal(back.pixels, clip.pixels)
    assert back.fps == pytest.approx(fps, rel=1e-4)


def test_mjpg_is_nearly_lossless_even_on_speckle(tmp_path: Path) -> None:
    clip = speckle_clip(side=112)
    writers.write_avi(tmp_path / "a.avi", clip, lossless=False)
    back = readers.load_video(tmp_path / "a.avi")
    assert back.pixels.shape == clip.pixels.shape
    assert psnr(back.pixels, clip.pixels) > 40
    with av.open(str(tmp_path / "a.avi")) as container:
        assert container.streams.video[0].codec_context.name == "mjpeg"


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["ffv1", "mjpeg", "mp4", "gif"])
def test_bytes_are_deterministic(tmp_path: Path, kind: str) -> None:
    # A whole beat of a heart: x264 weighs how blocks depend on each other over many frames, and erred there.
    patient = sample_patient(3_000_500)
    pixels, _ = Phantom([patient], [sample_view(3_000_500, patient.long_axis)], [0]).render([60.0])
    clip = EchoClip(pixels[0].numpy(), 32.0)
    found = set()
    for _ in range(8):
        if kind in ("ffv1", "mjpeg"):
            writers.write_avi(tmp_path / "a", clip, lossless=kind == "ffv1", synthetic=True)
        else:
            (writers.write_mp4 if kind == "mp4" else writers.write_gif)(tmp_path / "a", clip, synthetic=True)
        found.add((tmp_path / "a").read_bytes())
    assert len(found) == 1


def test_mp4_and_gif_come_back(tmp_path: Path) -> None:
    y, x = np.mgrid[:48, :48]
    smooth = np.stack([np.clip(x * 3 + y * 2 + 4 * t, 0, 255) for t in range(6)]).astype(np.uint8)
    clip = EchoClip(smooth, 50.0)
    writers.write_mp4(tmp_path / "a.mp4", clip, scale=1, synthetic=True)
    writers.write_gif(tmp_path / "a.gif", clip, scale=1, synthetic=True)
    video, gif = readers.load_video(tmp_path / "a.mp4"), readers.load_video(tmp_path / "a.gif")
    assert video.pixels.shape == gif.pixels.shape == smooth.shape
    assert psnr(video.pixels, smooth) > 35
    np.testing.assert_array_equal(gif.pixels, smooth)
    assert video.fps == gif.fps == 50.0


@pytest.mark.parametrize("fps", [8.0, 18.0, 24.0, 32.0, 50.0])
def test_a_gif_comes_back_frame_by_frame_at_its_rate(tmp_path: Path, fps: float) -> None:
    clip = speckle_clip(64, 32, fps)
    clip.pixels[9:12], clip.pixels[-1] = clip.pixels[8], clip.pixels[-2]  # equal neighbours are one picture in the file
    writers.write_gif(tmp_path / "a.gif", clip, scale=1)
    back = readers.load_video(tmp_path / "a.gif")
    assert back.fps == fps
    np.testing.assert_array_equal(back.pixels, clip.pixels)


def test_a_gif_of_colours_keeps_them(tmp_path: Path) -> None:
    pictures = np.zeros((3, 24, 24, 3), np.uint8)
    pictures[..., 0], pictures[1:, :12, :, 1], pictures[2:, :, :12, 2] = 200, 90, 30
    writers.write_colour_gif(tmp_path / "a.gif", pictures, 20.0)
    with Image.open(tmp_path / "a.gif") as animation:
        for number, picture in enumerate(pictures):
            animation.seek(number)
            assert animation.info["duration"] == 50
            np.testing.assert_array_equal(np.asarray(animation.convert("RGB")), picture)


def test_synthetic_files_say_so(tmp_path: Path) -> None:
    clip = speckle_clip()
    writers.write_avi(tmp_path / "a.avi", clip, synthetic=True)
    writers.write_mp4(tmp_path / "a.mp4", clip, synthetic=True)
    writers.write_gif(tmp_path / "a.gif", clip, synthetic=True)
    writers.write_png(tmp_path / "a.png", clip.pixels[0], synthetic=True)
    for name in ("a.avi", "a.mp4"):
        with av.open(str(tmp_path / name)) as container:
            assert container.metadata["comment"].startswith("SYNTHETIC")
    assert Image.open(tmp_path / "a.gif").info["comment"].startswith(b"SYNTHETIC")
    assert Image.open(tmp_path / "a.png").info["Comment"].startswith("SYNTHETIC")


def test_png_and_16_bit_pictures(tmp_path: Path) -> None:
    grey = speckle_clip().pixels[0]
    writers.write_png(tmp_path / "a.png", grey)
    np.testing.assert_array_equal(readers.load_image(tmp_path / "a.png"), grey)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "b.png")
    np.testing.assert_array_equal(readers.load_image(tmp_path / "b.png"), grey)


@given(st.integers(0, 255))
def test_luma_of_grey_is_that_grey(value: int) -> None:
    assert luma(np.full((2, 2, 3), value, np.uint8)).tolist() == [[value] * 2] * 2


@pytest.mark.parametrize("kind", ["ffv1", "mjpeg", "mp4", "gif"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_raise_only_corrupt_video_error(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    path = tmp_path / f"{kind}.bin"
    if not (tmp_path / "good").exists():
        clip = speckle_clip(4, 32)
        if kind in ("ffv1", "mjpeg"):
            writers.write_avi(tmp_path / "good", clip, lossless=kind == "ffv1")
        else:
            (writers.write_mp4 if kind == "mp4" else writers.write_gif)(tmp_path / "good", clip, scale=1)
    raw = bytearray((tmp_path / "good").read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    message = ""
    try:
        readers.load_video(path)  # some damage is not seen by a decoder
    except CorruptVideoError as error:
        message = str(error)
    assert "\n" not in message


def test_playlist_named_avi_is_refused(tmp_path: Path) -> None:
    writers.write_avi(tmp_path / "secret.avi", speckle_clip())
    for text in ("ffconcat version 1.0\nfile 'secret.avi'\n", "#EXTM3U\n#EXTINF:1,\nsecret.avi\n"):
        (tmp_path / "evil.avi").write_text(text)
        with pytest.raises(CorruptVideoError):
            readers.load_video(tmp_path / "evil.avi")


@pytest.mark.parametrize("extension", ["avi", "gif"])
def test_frame_bombs_are_refused(tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = EchoClip(np.zeros((1, 256, 256), np.uint8), 25.0)
    path = tmp_path / f"bomb.{extension}"
    (writers.write_avi if extension == "avi" else writers.write_gif)(path, clip)
    monkeypatch.setattr(readers, "MAX_FRAME_PIXELS", 200 * 200)
    with pytest.raises(CorruptVideoError):
        readers.load_video(path)


def test_long_clips_are_refused_while_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writers.write_avi(tmp_path / "a.avi", speckle_clip(10))
    monkeypatch.setattr(readers, "MAX_FRAMES", 9)
    with pytest.raises(CorruptVideoError, match="too long"):
        readers.load_video(tmp_path / "a.avi")


@pytest.mark.heavy
def test_picture_bombs_are_refused(tmp_path: Path) -> None:
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(CorruptVideoError):
        readers.load_image(tmp_path / "bomb.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "bomb.png").read_bytes()[:60])
    with pytest.raises(CorruptVideoError):
        readers.load_image(tmp_path / "cut.png")


@pytest.mark.parametrize("shape", [(5, 8, 9), (8, 9), (5, 8, 9, 3), (8, 9, 3)])
@pytest.mark.parametrize("as_float", [False, True])
def test_npy_shapes(tmp_path: Path, shape: tuple[int, ...], as_float: bool) -> None:
    colour = shape[-1] == 3
    grey = np.random.default_rng(0).integers(0, 256, shape[:-1] if colour else shape, dtype=np.uint8)
    array = np.repeat(grey[..., None], 3, -1) if colour else grey
    np.save(tmp_path / "a.npy", array / 255 if as_float else array)
    np.testing.assert_array_equal(readers.load_npy(tmp_path / "a.npy"), grey if grey.ndim == 3 else grey[None])


def test_bad_npy(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"evil": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptVideoError):
        readers.load_npy(path)
    for bad in (np.full((4, 4), 1.5), np.full((4, 4), np.nan), np.zeros((4, 4), np.int32), np.zeros(4, np.uint8)):
        np.save(path, bad)
        with pytest.raises(SourceError):
            readers.load_npy(path)
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**4, 10**4)}
    )
    path.write_bytes(buffer.getvalue())
    with pytest.raises(CorruptVideoError):
        readers.load_npy(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    for load in (readers.load_video, readers.load_image, readers.load_npy):
        with pytest.raises(SourceError, match="no such file"):
            load(tmp_path / "nothing")


def test_colour_doppler(tmp_path: Path) -> None:
    frame = np.repeat(np.random.default_rng(0).integers(20, 160, (120, 160, 1), dtype=np.uint8), 3, -1)
    assert not is_colour_doppler(frame)
    bar = frame.copy()
    bar[20:100, 150:153] = (230, 30, 10)
    assert not is_colour_doppler(bar), "a colour bar is not Doppler"
    sepia = (frame * np.array([1.0, 0.6, 0.2])).astype(np.uint8)
    assert not is_colour_doppler(sepia), "a tinted B-mode is not Doppler"
    doppler = frame.copy()
    doppler[40:70, 60:80], doppler[70:90, 70:95] = (220, 40, 20), (20, 60, 230)
    assert is_colour_doppler(doppler)
    Image.fromarray(doppler).save(tmp_path / "d.png")
    with pytest.raises(SourceError, match="Doppler"):
        readers.load_image(tmp_path / "d.png")
    np.save(tmp_path / "d.npy", doppler)
    with pytest.raises(SourceError, match="Doppler"):
        readers.load_npy(tmp_path / "d.npy")
    with av.open(str(tmp_path / "d.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=25, width=160, height=120, pix_fmt="yuvj444p")
        container.mux(stream.encode(av.VideoFrame.from_ndarray(doppler, format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match="Doppler"):
        readers.load_video(tmp_path / "d.avi")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "a.avi"
    writers.write_avi(path, speckle_clip())
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OutputError, match="the disk is full"):
        writers.write_avi(path, speckle_clip(seed=1))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.avi"]


def test_output_under_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        writers.write_png(tmp_path / "file" / "a.png", np.zeros((4, 4), np.uint8))


def test_a_failing_writer_keeps_its_own_error(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_write(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert os.listdir(tmp_path) == []

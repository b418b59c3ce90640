"""EchoNet format: what is written comes back; a killed writer goes on; malformed folders are named."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_tables import Tracing
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import DatasetError
from echosynth.video.clip import EchoClip


def ellipse_tracing(frame: int, half_length: float, half_width: float) -> Tracing:
    """Twenty discs, at the middles of twenty slices, of an upright ellipse."""
    depth = (np.arange(20) + 0.5) / 10 - 1
    half = half_width * np.sqrt(1 - depth**2)
    y = 56 + half_length * depth
    chords = np.stack([60 - half, y, 60 + half, y], 1)
    return Tracing(frame, np.array([[60, 56 - half_length], [60, 56 + half_length]]), chords)


def make_clip(seed: int = 0, num_frames: int = 8, ef: float = 55.125) -> EchoClip:
    pixels = np.random.default_rng(seed).integers(0, 256, (num_frames, 112, 112), dtype=np.uint8)
    return EchoClip(pixels, 50.0, ef, 91.3, 91.3 * (1 - ef / 100))


def test_volume_of_discs_is_that_of_the_ellipsoid() -> None:
    # The midpoint rule for the integral of a quadratic: error 1 / (2 N^2) of the volume.
    assert ellipse_tracing(0, 30, 15).volume == pytest.approx(4 / 3 * np.pi * 30 * 15**2, rel=1 / 800 + 1e-6)


def test_write_then_read_is_the_identity(tmp_path: Path) -> None:
    clips = {f"echo{i}": make_clip(i, 8 + i) for i in range(4)}
    ed, es = ellipse_tracing(1, 30, 15), ellipse_tracing(6, 26, 11)
    with EchoNetWriter(tmp_path, lossless=True) as writer:
        rows = [
            writer.add(name, clip, split, tracings=[ed, es])
            for (name, clip), split in zip(clips.items(), ("train", "TRAIN", "VAL", "TEST"), strict=True)
        ]
    dataset = EchoNetDataset(tmp_path)
    assert dataset.rows == rows
    assert len(dataset) == 4
    assert dataset.split("TRAIN") == [0, 1]
    assert dataset.split("test") == [3]
    for index, (name, clip) in enumerate(clips.items()):
        back = dataset.clip(index)
        np.testing.assert_array_equal(back.pixels, clip.pixels)
        assert (back.fps, back.ef, back.edv, back.esv, back.source) == (50.0, clip.ef, clip.edv, clip.esv, name)
        assert (back.ed_frame, back.es_frame) == (1, 6)
    for traced, truth in zip(dataset.tracings("echo0.avi"), (ed, es), strict=True):
        assert traced.frame == truth.frame
        np.testing.assert_array_equal(traced.long_axis, truth.long_axis)
        np.testing.assert_array_equal(traced.chords, truth.chords)


def test_tables_are_as_echonets_loader_expects(tmp_path: Path) -> None:
    with EchoNetWriter(tmp_path) as writer:
        writer.add("a.avi", make_clip(), "TRAIN", [ellipse_tracing(1, 30, 15), ellipse_tracing(6, 26, 11)])
    with (tmp_path / "FileList.csv").open() as file:
        lines = list(csv.reader(file))
    assert ",".join(lines[0]) == "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"
    assert lines[1][0] == "a"
    assert lines[1][4:] == ["112", "112", "50.0", "8", "TRAIN"]
    with (tmp_path / "VolumeTracings.csv").open() as file:
        lines = list(csv.reader(file))
    assert ",".join(lines[0]) == "FileName,X1,Y1,X2,Y2,Frame"
    assert [line[5] for line in lines[1:]] == ["6"] * 21 + ["1"] * 21, "end-systole first"
    assert lines[1][0] == "a.avi"
    assert [float(v) for v in lines[1][1:5]] == [60, 30, 60, 82]


def test_mjpg_is_the_default_and_close(tmp_path: Path) -> None:
    clip = make_clip()
    with EchoNetWriter(tmp_path) as writer:
        writer.add("a", clip, "TRAIN")
    error = EchoNetDataset(tmp_path).clip(0).pixels.astype(float) - clip.pixels
    assert np.sqrt((error**2).mean()) < 2.5


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=st.integers(0, 3), torn=st.integers(0, 40))
def test_a_killed_writer_goes_on_with_nothing_lost(
    tmp_path_factory: pytest.TempPathFactory, done: int, torn: int
) -> None:
    root = tmp_path_factory.mktemp("killed")
    tracings = [ellipse_tracing(0, 30, 15), ellipse_tracing(1, 26, 11)]
    first = EchoNetWriter(root, lossless=True)
    for index in range(done):
        first.add(f"c{index}", make_clip(index, 2), "TRAIN", tracings)
    del first  # killed: close was never called
    with (root / ".echosynth-journal.jsonl").open("a") as journal:
        journal.write('{"row": {"file_name": "torn", "ef": 50.0, '[:torn])
    with EchoNetWriter(root, lossless=True) as second:
        assert second.names == [f"c{index}" for index in range(done)]
        for index in range(4):
            if f"c{index}.avi" not in second:
                second.add(f"c{index}", make_clip(index, 2), "TRAIN", tracings)
    whole = root / "whole"
    with EchoNetWriter(whole, lossless=True) as writer:
        for index in range(4):
            writer.add(f"c{index}", make_clip(index, 2), "TRAIN", tracings)
    for name in ("FileList.csv", "VolumeTracings.csv", *(f"Videos/c{index}.avi" for index in range(4))):
        assert (root / name).read_bytes() == (whole / name).read_bytes()
    assert not (root / ".echosynth-journal.jsonl").exists()


def test_a_closed_dataset_can_be_continued(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with EchoNetWriter(tmp_path) as writer:
            writer.add(name, make_clip(num_frames=2), "TRAIN", [ellipse_tracing(0, 9, 5), ellipse_tracing(1, 8, 4)])
    assert [row.file_name for row in EchoNetDataset(tmp_path).rows] == ["a", "b"]
    assert len(EchoNetDataset(tmp_path).tracings("a")) == 2


def test_bad_additions(tmp_path: Path) -> None:
    writer = EchoNetWriter(tmp_path)
    writer.add("a", make_clip(num_frames=2), "TRAIN")
    with pytest.raises(DatasetError, match="already"):
        writer.add("a.avi", make_clip(num_frames=2), "TRAIN")
    for name in ("../a", "", "a/b", ".hidden", "a,b"):
        with pytest.raises(ValueError, match="plain file name"):
            writer.add(name, make_clip(num_frames=2), "TRAIN")
    with pytest.raises(ValueError, match="ef"):
        writer.add("b", make_clip().replace(ef=None), "TRAIN")
    with pytest.raises(ValueError, match="tracing"):
        writer.add("b", make_clip(num_frames=2), "TRAIN", [ellipse_tracing(5, 9, 5)])


def write_list(root: Path, lines: list[str]) -> None:
    header = "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"
    (root / "FileList.csv").write_text("\n".join([header, *lines]) + "\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,55,40,90,112,112,50,100,TRAIN", "missing"),
        ("a,x,40,90,112,112,50,100,TRAIN", "line 2"),
        ("a,55,40,90,112,112,50,100", "line 2"),
        ("a,155,40,90,112,112,50,100,TRAIN", "range"),
        ("a,nan,40,90,112,112,50,100,TRAIN", "range"),
        ("../../etc/passwd,55,40,90,112,112,50,100,TRAIN", "plain file name"),
        ("a,55,40,90,112,112,50,1,VAL\na.avi,55,40,90,112,112,50,1,VAL", "more than once"),
    ],
)
def test_malformed_lists_are_named(tmp_path: Path, line: str, message: str) -> None:
    write_list(tmp_path, [line])
    with pytest.raises(DatasetError, match=message):
        EchoNetDataset(tmp_path)


def test_missing_tables_and_columns(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot read"):
        EchoNetDataset(tmp_path)
    (tmp_path / "FileList.csv").write_text("FileName,EF\na,55\n")
    with pytest.raises(DatasetError, match="lacks the columns"):
        EchoNetDataset(tmp_path)
    (tmp_path / "FileList.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DatasetError):
        EchoNetDataset(tmp_path)

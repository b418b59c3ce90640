"""DICOM: pixels and frame rate come out, tags do not; everything else is refused with one line."""

from pathlib import Path

import numpy as np
import pydicom
import pydicom.examples
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage

from echosynth.data.dicom import load_dicom
from echosynth.errors import CorruptVideoError, SectorNotFoundError, SourceError
from echosynth.video.sector import Sector


def make_dicom(path: Path, pixels: np.ndarray, **tags: object) -> None:
    """Write uint8 (T, H, W) or (T, H, W, 3) as native multi-frame ultrasound with a patient's name in it."""
    colour = pixels.ndim == 4
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["echosynth"])
    dataset.SOPClassUID, dataset.Modality = UltrasoundMultiFrameImageStorage, "US"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "SECRET-4711"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape[:3]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


def fan_frames(num_frames: int = 6) -> np.ndarray:
    noise = np.random.default_rng(0).integers(10, 200, (num_frames, 120, 160), dtype=np.uint8)
    return noise * Sector(80, 8, -0.7, 0.7, 100).mask(120, 160)


@pytest.mark.parametrize(
    ("tags", "fps"),
    [
        ({"FrameTime": "20.0"}, 50.0),
        ({"CineRate": "45"}, 45.0),
        ({"RecommendedDisplayFrameRate": "30", "FrameTime": "0"}, 30.0),
        ({"FrameTimeVector": [0, 25.0, 25.0]}, 40.0),
        ({"FrameTimeVector": [0, 50.0, 25.0, 25.0, 25.0, 25.0]}, 40.0),
    ],
)
def test_frame_rate(tmp_path: Path, tags: dict[str, object], fps: float) -> None:
    make_dicom(tmp_path / "a", fan_frames(), **tags)
    clip = load_dicom(tmp_path / "a")
    assert clip.fps == fps
    np.testing.assert_array_equal(clip.pixels, fan_frames())
    assert "SECRET" not in repr(clip)
    assert "Doe" not in repr(clip)


def region(x0: int, y0: int, x1: int, y1: int, space: int = 1, data: int = 1) -> Dataset:
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = space, data
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x1, y1
    return item


def test_what_lies_outside_of_the_tissue_region_is_blank(tmp_path: Path) -> None:
    frames = np.full((3, 120, 160), 90, np.uint8)
    regions = [region(0, 0, 159, 10, space=3), region(5, 5, 9, 9), region(20, 12, 139, 99)]  # an ECG, an inset, the fan
    make_dicom(tmp_path / "a", frames, FrameTime="20", SequenceOfUltrasoundRegions=regions)
    pixels = load_dicom(tmp_path / "a").pixels
    assert (pixels[:, 12:100, 20:140] == 90).all()
    assert pixels.sum() == 3 * 88 * 120 * 90


@pytest.mark.parametrize(
    "item", [region(20, 12, 160, 99), region(50, 12, 20, 99), region(0, 0, 9, 9, data=2), Dataset()]
)
def test_regions_that_cannot_be_true_are_not_believed(tmp_path: Path, item: Dataset) -> None:
    make_dicom(tmp_path / "a", fan_frames(), FrameTime="20", SequenceOfUltrasoundRegions=[item])
    assert np.array_equal(load_dicom(tmp_path / "a").pixels, fan_frames())


def test_a_cine_without_rate_needs_one_from_the_caller(tmp_path: Path) -> None:
    make_dicom(tmp_path / "a", fan_frames())
    with pytest.raises(SourceError, match="frame rate"):
        load_dicom(tmp_path / "a")
    assert load_dicom(tmp_path / "a", fps=40).fps == 40
    make_dicom(tmp_path / "still", fan_frames(1))
    assert load_dicom(tmp_path / "still").fps == 32.0


def test_colours_and_inverted_grey(tmp_path: Path) -> None:
    frames = fan_frames()
    make_dicom(tmp_path / "rgb", np.repeat(frames[..., None], 3, -1), FrameTime="20")
    make_dicom(tmp_path / "mono1", 255 - frames, FrameTime="20", PhotometricInterpretation="MONOCHROME1")
    for name in ("rgb", "mono1"):
        np.testing.assert_array_equal(load_dicom(tmp_path / name).pixels, frames)
    doppler = np.repeat(frames[..., None], 3, -1)
    doppler[:, 50:80, 70:90] = (230, 30, 20)
    make_dicom(tmp_path / "doppler", doppler, FrameTime="20")
    with pytest.raises(SourceError, match="Doppler"):
        load_dicom(tmp_path / "doppler")


@pytest.mark.heavy
def test_the_real_clip() -> None:
    path = str(pydicom.examples.get_path("ybr_color"))
    clip = load_dicom(path)
    assert clip.pixels.shape == (30, 240, 320)
    assert clip.fps == pytest.approx(30.0, abs=0.01)
    assert load_dicom(path, crop=True).pixels.shape == (30, 112, 112)


def test_not_an_echocardiogram(tmp_path: Path) -> None:
    make_dicom(tmp_path / "ct", fan_frames(), FrameTime="20", Modality="CT")
    with pytest.raises(SourceError, match="not ultrasound"):
        load_dicom(tmp_path / "ct")
    make_dicom(tmp_path / "blank", np.zeros((4, 64, 64), np.uint8), FrameTime="20")
    with pytest.raises(SectorNotFoundError):
        load_dicom(tmp_path / "blank", crop=True)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(SourceError):
        load_dicom(tmp_path / "text")
    with pytest.raises(SourceError, match="no such file"):
        load_dicom(tmp_path / "nothing")


@pytest.mark.parametrize("tags", [{"Rows": 60000, "Columns": 60000}, {"NumberOfFrames": 10**6}, {"Rows": 0}])
def test_lies_about_size_are_refused(tmp_path: Path, tags: dict[str, object]) -> None:
    make_dicom(tmp_path / "a", fan_frames(), FrameTime="20", **tags)
    with pytest.raises(CorruptVideoError):
        load_dicom(tmp_path / "a")


def test_deflated_files_are_refused_before_they_are_inflated(tmp_path: Path) -> None:
    make_dicom(tmp_path / "a", fan_frames(), FrameTime="20")
    dataset = pydicom.dcmread(tmp_path / "a")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "deflated")
    with pytest.raises(CorruptVideoError, match="deflated"):
        load_dicom(tmp_path / "deflated")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_raise_only_source_errors_without_names(tmp_path: Path, data: st.DataObject) -> None:
    if not (tmp_path / "good").exists():
        make_dicom(tmp_path / "good", fan_frames(2)[:, :32, :32].copy(), FrameTime="20")
    raw = bytearray((tmp_path / "good").read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(132, 900))] = data.draw(st.integers(0, 255))
    (tmp_path / "bad").write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    message = ""
    try:
        load_dicom(tmp_path / "bad")
    except SourceError as error:
        message = str(error)
    assert not any(word in message for word in ("\n", "SECRET", "Doe"))

"""Ultrasound DICOM to clip: only grey pixels and the frame rate leave this module.

Read: (multi-frame) ultrasound, 8 to 16 bit, grey, RGB, YBR or palette; native, RLE, JPEG and JPEG 2000 as far as Pillow
goes, and what pydicom's plug-ins (pylibjpeg, gdcm) add where they are installed. Tags leave through an allow-list that
has one entry, the frame rate:

    fps = CineRate, else RecommendedDisplayFrameRate, else 1000 / FrameTime [ms], else 1000 / median FrameTimeVector

Burnt-in names lie outside of the sector: `crop=True` blanks all of that. Where the file says in which rectangle the
tissue picture is (SequenceOfUltrasoundRegions), the rest is blanked in any case; uncropped pixels of other files may
show a patient's name.
"""

import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from echosynth.errors import CorruptVideoError, SourceError
from echosynth.video.clip import EchoClip
from echosynth.video.colour import luma, refuse_doppler
from echosynth.video.readers import DEFAULT_FPS, MAX_CLIP_PIXELS, MAX_FILE_BYTES, MAX_FPS, MAX_FRAME_PIXELS, MAX_FRAMES
from echosynth.video.sector import find_and_crop


def load_dicom(path: str | Path, crop: bool = False, fps: float | None = None) -> EchoClip:
    """Read an ultrasound DICOM as a grey clip.

    Args:
        path: the file.
        crop: find the sector, cut it out as EchoNet-Dynamic does (112 x 112) and blank everything outside of it.
        fps: frame rate in Hz to use instead of the file's; needed only for a cine that names none.

    Returns:
        The clip, (T, H, W) or (T, 112, 112); stills get `DEFAULT_FPS`. Its source is the file's name, no tag.

    Raises:
        SourceError: no such file, not ultrasound, colour Doppler, or a cine without frame rate.
        SectorNotFoundError: `crop` was asked and no fan was found.
        CorruptVideoError: damaged, of a compression that cannot be decoded, or too large.
    """
    path = Path(path)
    if not path.is_file():
        raise SourceError(f"no such file: {path}")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CorruptVideoError(f"{path} is too large: {path.stat().st_size / 2**30:.1f} GiB (at most 2 are read)")
    try:
        # pydicom warns about values, and a value can be a name: warnings are silenced, errors reworded without content.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels, rate = _read(path)
    except SourceError:
        raise
    except Exception as error:
        raise CorruptVideoError(f"cannot decode the DICOM file {path} ({type(error).__name__})") from None
    if fps is None:
        fps = rate if len(pixels) > 1 else DEFAULT_FPS
    if fps is None:
        raise SourceError(f"{path} is a cine that names no frame rate; give one (--fps of measure and explain)")
    return EchoClip(find_and_crop(pixels) if crop else pixels, fps, source=path.name)


def _read(path: Path) -> tuple[np.ndarray, float | None]:
    """Return grey uint8 (T, H, W) and the frame rate in Hz, if the file names one."""
    meta = pydicom.filereader.read_file_meta_info(str(path))
    if UID(str(meta.get("TransferSyntaxUID", ""))) == DeflatedExplicitVRLittleEndian:
        # Inflating happens inside dcmread with no limit: a few kilobytes could fill the memory.
        raise CorruptVideoError(f"{path} is a deflated DICOM file, which is not read; inflate it first (dcmconv)")
    dataset = pydicom.dcmread(path)
    modality = str(dataset.get("Modality", "")).strip().upper()
    if modality != "US":
        raise SourceError(f"{path} is not ultrasound (modality {modality if modality.isalpha() else 'unknown'})")
    if "PixelData" not in dataset:
        raise SourceError(f"{path} holds no picture")
    height, width = int(dataset.Rows), int(dataset.Columns)
    num_frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if not 0 < height * width <= MAX_FRAME_PIXELS or not 1 <= num_frames <= MAX_FRAMES:
        raise CorruptVideoError(f"{path} says it has {num_frames} frames of {width}x{height} pixels, which is not read")
    if height * width * num_frames > MAX_CLIP_PIXELS:
        raise CorruptVideoError(f"{path} is too long: {num_frames} frames of {width}x{height}")
    colour = int(dataset.SamplesPerPixel) == 3
    palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    array = apply_color_lut(dataset.pixel_array, dataset) if palette else dataset.pixel_array
    array = array if num_frames > 1 else array[None]
    if colour or palette:
        pixels = _to_grey(array[..., :3], path.name)
    else:
        pixels = _to_8_bit(array, int(dataset.BitsStored))
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            pixels = 255 - pixels
    if pixels.ndim != 3:
        raise CorruptVideoError(f"{path} has pixels of shape {array.shape}, which is not a clip")
    region = _tissue_region(dataset, height, width)
    if region is not None:
        whole, pixels = pixels, np.zeros_like(pixels)
        pixels[(slice(None), *region)] = whole[(slice(None), *region)]
    return pixels, _frame_rate(dataset)


def _tissue_region(dataset: pydicom.Dataset, height: int, width: int) -> tuple[slice, slice] | None:
    """Rows and columns of the largest two-dimensional tissue region; None if the file names none in the picture.

    A file that was made smaller after the scan can keep the regions of its first size: such a one is not believed.
    """
    best: tuple[int, tuple[slice, slice]] | None = None
    for item in dataset.get("SequenceOfUltrasoundRegions") or []:
        try:
            kind = int(item.RegionSpatialFormat), int(item.RegionDataType)
            x0, y0 = int(item.RegionLocationMinX0), int(item.RegionLocationMinY0)
            x1, y1 = int(item.RegionLocationMaxX1), int(item.RegionLocationMaxY1)
        except (AttributeError, TypeError, ValueError):
            continue
        if kind != (1, 1) or not (0 <= x0 < x1 < width and 0 <= y0 < y1 < height):
            continue
        area = (x1 - x0 + 1) * (y1 - y0 + 1)
        if best is None or area > best[0]:
            best = area, (slice(y0, y1 + 1), slice(x0, x1 + 1))
    return None if best is None else best[1]


def _to_grey(rgb: np.ndarray, name: str) -> np.ndarray:
    """Refuse colour Doppler, else return the luma. pydicom has turned YBR into RGB already; palettes may be 16 bit."""
    if rgb.dtype == np.uint16:
        rgb = (rgb >> 8).astype(np.uint8)
    refuse_doppler(rgb, name)
    return luma(rgb)


def _to_8_bit(grey: np.ndarray, bits: int) -> np.ndarray:
    """Scale unsigned grey of `bits` bits to uint8."""
    if grey.dtype.kind != "u" or not 8 <= bits <= 16:
        raise ValueError("signed or odd pixel depth")
    return grey.astype(np.uint8) if bits == 8 else (grey >> (bits - 8)).clip(0, 255).astype(np.uint8)


def _frame_rate(dataset: pydicom.Dataset) -> float | None:
    """Return the frame rate in Hz, or None. No other tag leaves this module."""
    vector = dataset.get("FrameTimeVector")
    # The first entry is the first frame's own time, which is 0; a dropped frame makes one entry twice as long.
    steps = sorted(vector[1:]) if isinstance(vector, pydicom.multival.MultiValue) else []
    candidates = [
        (dataset.get("CineRate"), False),
        (dataset.get("RecommendedDisplayFrameRate"), False),
        (dataset.get("FrameTime"), True),
        (steps[len(steps) // 2] if steps else None, True),
    ]
    for value, is_time_ms in candidates:
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if number > 0:
            fps = 1000 / number if is_time_ms else number
            if 0 < fps <= MAX_FPS:
                return fps
    return None

"""CAMUS's layout: 500 patients, apical views of half a beat (ED to ES), with masks of every frame.

    ROOT/database_nifti/patient0001/Info_4CH.cfg                                 "Key: value" lines
    ROOT/database_nifti/patient0001/patient0001_4CH_half_sequence.nii.gz         and ..._half_sequence_gt.nii.gz
    ROOT/database_split/subgroup_{training,validation,testing}.txt               one patient a line
    (ROOT may also be database_nifti itself.)

Arrays are (x, y, t) with pixels that are not square; clips come out square-pixelled and cropped to their sector as
EchoNet-Dynamic does. Mask labels: 0 outside, 1 left-ventricular cavity, 2 myocardium, 3 left atrium. ED and ES count
frames from 1, in either order. Half a beat shows no filling: `mirror=True` plays it back to make a whole one.
Source: Leclerc et al. 2019, doi 10.1109/TMI.2019.2900516.
"""

import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from echosynth.data.dataset import ClipEntry, format_names
from echosynth.data.echonet_tables import NAME
from echosynth.data.outlines import Outline, find_axis, trace_region
from echosynth.errors import CorruptVideoError, DatasetError, SectorNotFoundError, SourceError
from echosynth.video.clip import EchoClip
from echosynth.video.readers import MAX_CLIP_PIXELS, MAX_FPS, MAX_FRAME_PIXELS, MAX_FRAMES
from echosynth.video.resample import resize
from echosynth.video.sector import Sector, crop_to_echonet, find_sector

VIEWS = {"A4C": "4CH", "A2C": "2CH"}
SPLITS = {"TRAIN": "training", "VAL": "validation", "TEST": "testing"}
LABELS = 4
CAVITY, MYOCARDIUM, LEFT_ATRIUM = 1, 2, 3


def find_patients(root: Path) -> list[Path]:
    """Return the folders of the patients in a folder in this layout; [] if it is in another."""
    for folder in (root / "database_nifti", root):
        found = sorted(
            f for f in folder.glob("patient*") if any((f / f"Info_{v}.cfg").is_file() for v in VIEWS.values())
        )
        if found:
            return found
    return []


class CamusDataset:
    """One view of CAMUS, read only.

    Args:
        root: the folder with database_nifti in it.
        view: "A4C" or "A2C".
        mirror: play every clip forwards, then backwards.

    Raises:
        DatasetError: no patient has the view, or a table is malformed.
    """

    layout = "CAMUS"

    def __init__(self, root: str | Path, view: str = "A4C", mirror: bool = False) -> None:
        if view not in VIEWS:
            raise DatasetError(f"CAMUS has the views A4C and A2C, not {view}")
        self.root, self.view, self.mirror = Path(root), view, mirror
        patients = find_patients(self.root)
        self.folders = [folder for folder in patients if self._info_file(folder).is_file()]
        if not self.folders:
            raise DatasetError(f"no patient in {self.root} has Info_{VIEWS[view]}.cfg")
        self.without_view = [folder.name for folder in patients if folder not in self.folders]
        self.infos = [_read_info(self._info_file(folder)) for folder in self.folders]
        lists = self._read_splits()
        splits = {name: split for split, names in lists.items() for name in names}
        self.leaking = sorted(name for name in splits if sum(name in names for names in lists.values()) > 1)
        self.not_found = [name for name in splits if name not in {folder.name for folder in self.folders}]
        self.entries = [
            self._entry(folder, info, splits.get(folder.name, ""))
            for folder, info in zip(self.folders, self.infos, strict=True)
        ]

    def _info_file(self, folder: Path) -> Path:
        return folder / f"Info_{VIEWS[self.view]}.cfg"

    def _read_splits(self) -> dict[str, list[str]]:
        """The patients of each split, as the official lists have them."""
        for folder in (self.root / "database_split", self.root.parent / "database_split"):
            if folder.is_dir():
                files = {split: folder / f"subgroup_{name}.txt" for split, name in SPLITS.items()}
                return {split: _read_text(file).split() for split, file in files.items() if file.is_file()}
        return {}

    def _entry(self, folder: Path, info: dict[str, str], split: str) -> ClipEntry:
        if not NAME.fullmatch(folder.name):
            raise DatasetError(f"{folder} is not a plain name of a patient")
        ef, fps = _number(info, "EF", 0, 100), _number(info, "FrameRate", 1e-3, MAX_FPS)
        frames = _number(info, "NbFrame", 1, MAX_FRAMES)
        keys = {"sex": "Sex", "age": "Age", "quality": "ImageQuality"}
        facts = {name: info[key] for name, key in keys.items() if info.get(key)}
        name = f"{folder.name}_{VIEWS[self.view]}"
        return ClipEntry(name, folder.name, split, self.view, ef, fps, int(frames) if frames else None, facts)

    def clip(self, index: int) -> EchoClip:
        """Return the clip, uint8 (T, 112, 112), with its EF, ED and ES frame.

        Raises:
            SourceError: no frame rate, or no sector in it.
            CorruptVideoError: the file cannot be read.
        """
        entry, info = self.entries[index], self.infos[index]
        if entry.fps is None:
            raise SourceError(f"{self._info_file(self.folders[index])} names no frame rate")
        pixels = self._cine(index)
        pixels = crop_to_echonet(pixels, self._sector(index, pixels))
        ed, es = (_frame(info, key, len(pixels)) for key in ("ED", "ES"))
        if self.mirror:
            pixels = np.concatenate([pixels, pixels[-2:0:-1]])
        return EchoClip(pixels, entry.fps, entry.ef, ed_frame=ed, es_frame=es, source=entry.name)

    def masks(self, index: int) -> np.ndarray:
        """Return the labels of every frame of `clip(index)`, uint8 (T, 112, 112), 0-3.

        Raises:
            CorruptVideoError: the file cannot be read, or does not fit the clip.
        """
        cine = self._cine(index)
        path = self._sequence(index, "_gt")
        raw, spacing = _read_nifti(path)
        if raw.max(initial=0) >= LABELS:
            raise CorruptVideoError(f"{path} holds other labels than 0-{LABELS - 1}")
        shares = [_square_pixels(255 * (raw == label).astype(np.uint8), spacing) for label in range(1, LABELS)]
        if shares[0].shape != cine.shape:
            raise CorruptVideoError(f"{path} is not of the size of its clip")
        sector = self._sector(index, cine)
        cropped = np.stack([crop_to_echonet(share, sector) for share in shares])
        labels = np.where(cropped.max(0) > 127, cropped.argmax(0) + 1, 0).astype(np.uint8)
        return np.concatenate([labels, labels[-2:0:-1]]) if self.mirror else labels

    def outlines(self, index: int) -> list[Outline]:
        """See `OutlinedDataset.outlines`; both borders at ED and ES, traced from the masks.

        Raises:
            CorruptVideoError: see `masks`.
        """
        if not self._sequence(index, "_gt").is_file():
            return []
        labels, info, found = self.masks(index), self.infos[index], []
        for frame in (_frame(info, "ED", len(labels)), _frame(info, "ES", len(labels))):
            axis = None if frame is None else find_axis(labels[frame] == CAVITY, labels[frame] == LEFT_ATRIUM)
            if frame is not None and axis is not None:
                cavity, heart = labels[frame] == CAVITY, np.isin(labels[frame], (CAVITY, MYOCARDIUM))
                found.append(Outline(frame, trace_region(cavity, axis), trace_region(heart, axis)))
        return found

    def _sequence(self, index: int, suffix: str = "") -> Path:
        folder = self.folders[index]
        return folder / f"{folder.name}_{VIEWS[self.view]}_half_sequence{suffix}.nii.gz"

    def _cine(self, index: int) -> np.ndarray:
        pixels, spacing = _read_nifti(self._sequence(index))
        return _square_pixels(pixels, spacing)

    def _sector(self, index: int, cine: np.ndarray) -> Sector:
        try:
            return find_sector(cine)
        except SectorNotFoundError as error:
            raise SectorNotFoundError(f"{self._sequence(index)}: {error}") from None

    def problems(self) -> list[str]:
        """See `ClipDataset.problems`."""
        found = []
        numbered = list(enumerate(self.entries))
        missing = [entry.name for k, entry in numbered if not self._sequence(k).is_file()]
        if missing:
            found.append(f"{len(missing)} half sequences are missing: {format_names(missing)}")
        if self.without_view:
            found.append(f"{len(self.without_view)} patients without this view: {format_names(self.without_view)}")
        if self.not_found:
            found.append(f"{len(self.not_found)} patients of the split are not there: {format_names(self.not_found)}")
        if self.leaking:
            found.append(
                f"{len(self.leaking)} patients are listed in more than one split: {format_names(self.leaking)}"
            )
        bare = [entry.name for entry in self.entries if entry.ef is None or entry.fps is None]
        if bare:
            found.append(f"{len(bare)} clips without EF or frame rate: {format_names(bare)}")
        unphased = [
            entry.name
            for k, entry in numbered
            if entry.num_frames and None in (_frame(self.infos[k], key, entry.num_frames) for key in ("ED", "ES"))
        ]
        if unphased:
            found.append(f"{len(unphased)} clips whose ED or ES is not one of their frames: {format_names(unphased)}")
        return found


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error


def _read_info(path: Path) -> dict[str, str]:
    pairs = [line.partition(":") for line in _read_text(path).splitlines() if ":" in line]
    return {key.strip(): value.strip() for key, _, value in pairs}


def _number(info: dict[str, str], key: str, low: float, high: float) -> float | None:
    try:
        value = float(info[key])
    except (KeyError, ValueError):
        return None
    return value if low <= value <= high else None


def _frame(info: dict[str, str], key: str, frames: int) -> int | None:
    """Index, from 0, of a frame that the file counts from 1; None if it is not one of the clip's."""
    number = _number(info, key, 1, frames)
    return None if number is None else int(number) - 1


def _read_nifti(path: Path) -> tuple[np.ndarray, tuple[float, float]]:
    """Read uint8 (T, H, W) and the spacing of pixels along y and x."""
    if not path.is_file():
        raise SourceError(f"no such file: {path}")
    try:
        image = nibabel.nifti1.Nifti1Image.from_filename(path)
        shape = image.shape if len(image.shape) == 3 else (*image.shape, 1)
        width, height, frames = shape
        if not (0 < width * height <= MAX_FRAME_PIXELS and 0 < frames <= MAX_FRAMES):
            raise CorruptVideoError(f"{path} says it has {frames} frames of {width}x{height} pixels, which is not read")
        if width * height * frames > MAX_CLIP_PIXELS:
            raise CorruptVideoError(f"{path} is too long: {frames} frames of {width}x{height}")
        array = np.asanyarray(image.dataobj).reshape(shape)
        across, down = (float(zoom) for zoom in image.header.get_zooms()[:2])
    except SourceError:
        raise
    except (OSError, EOFError, ValueError, TypeError, MemoryError, zlib.error, ImageFileError) as error:
        raise CorruptVideoError(f"cannot read the NIfTI file {path} ({type(error).__name__})") from None
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 255):
        raise CorruptVideoError(f"{path} holds values outside of 0-255")
    if not (0 < across < 1e3 and 0 < down < 1e3):
        raise CorruptVideoError(f"{path} gives no size of its pixels")
    return np.ascontiguousarray(np.rint(array).astype(np.uint8).transpose(2, 1, 0)), (down, across)


def _square_pixels(pixels: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Shrink the finer direction until pixels are square."""
    down, across = spacing
    coarse = max(down, across)
    height, width = pixels.shape[1:]
    return resize(pixels, (max(1, round(height * down / coarse)), max(1, round(width * across / coarse))))

"""The two tables of EchoNet-Dynamic's format: FileList.csv and VolumeTracings.csv.

    FileList.csv        FileName (no .avi),EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split
    VolumeTracings.csv  FileName (with .avi),X1,Y1,X2,Y2,Frame: per traced frame the long axis, then the chords

EF in per cent, volumes in ml, tracings in pixels.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echosynth.cardiac.discs import traced_volume
from echosynth.cardiac.ejection_fraction import ejection_fraction
from echosynth.errors import DatasetError
from echosynth.storage.atomic import write_text

FILE_LIST_HEADER = ("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split")
TRACINGS_HEADER = ("FileName", "X1", "Y1", "X2", "Y2", "Frame")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


@dataclass(frozen=True)
class EchoNetRow:
    """One line of FileList.csv: `file_name` without .avi, ef per cent, volumes ml, fps Hz, split in capitals."""

    file_name: str
    ef: float
    esv: float
    edv: float
    height: int
    width: int
    fps: float
    num_frames: int
    split: str

    @property
    def ef_of_volumes(self) -> float:
        """100 (EDV - ESV) / EDV, per cent; NaN without an EDV."""
        return ejection_fraction(self.edv, self.esv) if self.edv > 0 else math.nan


@dataclass(frozen=True, eq=False)
class Tracing:
    """The left ventricle traced in one frame.

    Attributes:
        frame: index of the frame.
        long_axis: float (2, 2), (x, y) of the apex and of the middle of the mitral valve, pixels.
        chords: float (N, 4), x1, y1, x2, y2 of each disc from apex to base, pixels; N is 20 in EchoNet.
    """

    frame: int
    long_axis: np.ndarray
    chords: np.ndarray

    @property
    def volume(self) -> float:
        """Volume by the method of discs, cubic pixels."""
        return traced_volume(self.long_axis, self.chords)

    def rows(self) -> np.ndarray:
        """Return float (1 + N, 4), the rows of VolumeTracings.csv: the long axis, then the chords."""
        return np.vstack([np.asarray(self.long_axis, float).reshape(1, 4), np.asarray(self.chords, float)])


def read_file_list(root: Path, unique: bool = True) -> list[EchoNetRow]:
    """Read FileList.csv; names with or without .avi, columns in any order, more columns are passed over.

    Args:
        root: the folder.
        unique: refuse a list that has a name twice.

    Raises:
        DatasetError: missing, malformed, out of range, or (if `unique`) a name twice.
    """
    path, rows = root / "FileList.csv", []
    for number, line in read_csv(path, FILE_LIST_HEADER):
        try:
            row = EchoNetRow(
                stem(line["FileName"]),
                float(line["EF"]),
                float(line["ESV"]),
                float(line["EDV"]),
                int(float(line["FrameHeight"])),
                int(float(line["FrameWidth"])),
                float(line["FPS"]),
                int(float(line["NumberOfFrames"])),
                line["Split"].strip().upper(),
            )
        # A short line gives None, which has no .strip().
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f"{path}, line {number}: a value is missing or is no number") from error
        # A name is joined to a path: nothing that could lead out of the folder is let through.
        if not NAME.fullmatch(row.file_name):
            raise DatasetError(f"{path}, line {number}: {row.file_name!r} is not a plain file name")
        if not (0 <= row.ef <= 100 and 0 < row.fps < math.inf):
            raise DatasetError(f"{path}, line {number}: EF {row.ef:g} or FPS {row.fps:g} is out of range")
        rows.append(row)
    twice = [name for name, count in Counter(row.file_name for row in rows).items() if count > 1]
    if unique and twice:
        raise DatasetError(f"{path} lists {len(twice)} names more than once, e.g. {twice[0]}")
    return rows


def read_patients(root: Path) -> dict[str, tuple[str, str]]:
    """Read from Phantom.csv, where there is one, whose clip each is.

    Returns:
        Name without .avi -> name of the patient's factual clip, and the patient's seed.

    Raises:
        DatasetError: malformed.
    """
    path = root / "Phantom.csv"
    if not path.is_file():
        return {}
    lines = read_csv(path, ("file", "factual", "patient_seed"))
    return {stem(line["file"]): (stem(line["factual"]), line["patient_seed"]) for _, line in lines}


def read_tracings(root: Path) -> dict[str, list[Tracing]]:
    """Read VolumeTracings.csv: name without .avi -> tracings by falling volume. {} without the file.

    Traced frames with fewer than two rows (a few in the original) hold no chord and are passed over.

    Raises:
        DatasetError: malformed.
    """
    path = root / "VolumeTracings.csv"
    if not path.is_file():
        return {}
    lines: dict[tuple[str, int], list[list[float]]] = {}
    for number, line in read_csv(path, TRACINGS_HEADER):
        try:
            key = (stem(line["FileName"]), int(float(line["Frame"])))
            values = [float(line[column]) for column in ("X1", "Y1", "X2", "Y2")]
        # A short line gives None, which has no .strip().
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f"{path}, line {number}: a value is missing or is no number") from error
        lines.setdefault(key, []).append(values)
    tracings: dict[str, list[Tracing]] = {}
    for (name, frame), values_of_frame in lines.items():
        if len(values_of_frame) >= 2:
            tracings.setdefault(name, []).append(make_tracing(frame, np.array(values_of_frame)))
    return {name: sorted(ts, key=lambda t: t.volume, reverse=True) for name, ts in tracings.items()}


def make_tracing(frame: int, rows: np.ndarray) -> Tracing:
    """Build a tracing from float (1 + N, 4), the rows of VolumeTracings.csv: the long axis, then the chords."""
    return Tracing(int(frame), rows[0].reshape(2, 2), rows[1:])


def stem(name: str) -> str:
    """Return a file name without .avi: the two tables of the format disagree about it."""
    return name.strip().removesuffix(".avi")


def read_csv(path: Path, header: Sequence[str]) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield (line number, line as a dict) of a CSV file that has at least the columns of `header`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = set(header) - set(reader.fieldnames or ())
            if missing:
                raise DatasetError(f"{path} lacks the columns {', '.join(sorted(missing))}")
            for line in reader:
                yield reader.line_num, line
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a CSV file: {error}") from error


def write_table(path: Path, header: Sequence[str], lines: Iterable[Iterable[object]]) -> None:
    """Write a CSV file at once. Floats are written so that they read back bit for bit.

    Raises:
        OutputError: the disk refused.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([list(line) for line in lines])
    write_text(path, buffer.getvalue())

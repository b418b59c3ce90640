"""EchoNet-Pediatric's layout: videos of children, A4C and PSAX, in ten folds, with polygons instead of chords.

    ROOT/A4C/FileList.csv, ROOT/A4C/VolumeTracings.csv, ROOT/A4C/Videos/NAME.avi        and the same under PSAX
    FileList.csv        FileName (with .avi),EF,Sex,Age,Weight,Height,Split     years, kg, cm; may be empty
    VolumeTracings.csv  FileName (with .avi),X,Y,Frame      a point of a polygon each; Frame may be "No Systolic"

Names are CRpatient-CRaccession-number. Split is the fold, 0 to 9; the published cross-validation tests on fold i and
validates on fold i + 1. Frame rates stand in the videos alone. The systolic polygon is listed first, but which frame is
which is decided by area here. Source: Reddy et al. 2023, doi 10.1016/j.echo.2023.01.015.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echosynth.data.dataset import ClipEntry, format_names
from echosynth.data.echonet_tables import NAME, read_csv, stem
from echosynth.data.outlines import Outline, fill_polygon, find_axis, trace_region
from echosynth.errors import DatasetError
from echosynth.video.clip import EchoClip
from echosynth.video.readers import load_video

FILE_LIST_COLUMNS = ("FileName", "EF", "Sex", "Age", "Weight", "Height", "Split")
TRACINGS_COLUMNS = ("FileName", "X", "Y", "Frame")
VIEWS = ("A4C", "PSAX")
FOLDS = 10


@dataclass(frozen=True, eq=False)
class Polygon:
    """The left ventricle traced in one frame: its number, and float (N, 2), x and y of its points in pixels."""

    frame: int
    points: np.ndarray

    @property
    def area(self) -> float:
        """Enclosed area, square pixels (shoelace formula)."""
        x, y = self.points.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def find_views(root: Path) -> list[str]:
    """Return the views that lie in a folder in this layout; [] if it is in another."""
    return [view for view in VIEWS if (root / view / "FileList.csv").is_file()]


class PediatricDataset:
    """One view of EchoNet-Pediatric, read only.

    Args:
        root: the folder with A4C and PSAX in it.
        view: "A4C" or "PSAX".
        test_fold: TEST is this fold, VAL the next one, TRAIN the others.

    Raises:
        DatasetError: a table is missing or malformed.
    """

    layout = "EchoNet-Pediatric"

    def __init__(self, root: str | Path, view: str = "A4C", test_fold: int = 9) -> None:
        if view not in VIEWS or not 0 <= test_fold < FOLDS:
            raise DatasetError(f"EchoNet-Pediatric has the views A4C and PSAX and folds 0-9, not {view}, {test_fold}")
        self.root, self.view, self.test_fold = Path(root), view, test_fold
        self.folder = self.root / view
        self.entries = [self._entry(number, line) for number, line in read_csv(self._list, FILE_LIST_COLUMNS)]
        self.polygons, self.not_traced = self._read_polygons()

    @property
    def _list(self) -> Path:
        return self.folder / "FileList.csv"

    def _entry(self, number: int, line: dict[str, str]) -> ClipEntry:
        try:
            name, ef, fold = stem(line["FileName"]), float(line["EF"]), int(float(line["Split"]))
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f"{self._list}, line {number}: a value is missing or is no number") from error
        if not NAME.fullmatch(name):
            raise DatasetError(f"{self._list}, line {number}: {name!r} is not a plain file name")
        if not 0 <= ef <= 100 or not 0 <= fold < FOLDS:
            raise DatasetError(f"{self._list}, line {number}: EF {ef:g} or fold {fold} is out of range")
        split = {self.test_fold: "TEST", (self.test_fold + 1) % FOLDS: "VAL"}.get(fold, "TRAIN")
        known = {key.lower(): (line[key] or "").strip() for key in ("Sex", "Age", "Weight", "Height")}
        facts = {key: value for key, value in known.items() if value and value.lower() != "nan"}
        return ClipEntry(name, name.partition("-")[0], split, self.view, ef, facts=facts | {"fold": str(fold)})

    def _read_polygons(self) -> tuple[dict[str, list[Polygon]], list[str]]:
        """Polygons of each clip by falling area (ED first), and the clips said to lack a phase."""
        path, points = self.folder / "VolumeTracings.csv", dict[tuple[str, int], list[tuple[float, float]]]()
        lacking: dict[str, None] = {}
        if not path.is_file():
            return {}, []
        for number, line in read_csv(path, TRACINGS_COLUMNS):
            name, frame = stem(line["FileName"] or ""), (line["Frame"] or "").strip()
            if frame.lower().startswith("no "):  # "No Systolic", "No Diastolic"
                lacking[name] = None
                continue
            try:
                point = float(line["X"]), float(line["Y"])
                key = name, int(float(frame))
            except (TypeError, ValueError, OverflowError) as error:
                raise DatasetError(f"{path}, line {number}: a value is missing or is no number") from error
            if not all(map(math.isfinite, point)):
                raise DatasetError(f"{path}, line {number}: a point is not finite")
            points.setdefault(key, []).append(point)
        polygons: dict[str, list[Polygon]] = {}
        for (name, index), found in points.items():
            if len(found) >= 3:
                polygons.setdefault(name, []).append(Polygon(index, np.array(found)))
        return {n: sorted(p, key=lambda one: one.area, reverse=True) for n, p in polygons.items()}, list(lacking)

    def clip(self, index: int) -> EchoClip:
        """Return the clip with its EF; ed_frame and es_frame are the largest and the smallest traced area."""
        entry = self.entries[index]
        clip = load_video(self.folder / "Videos" / f"{entry.name}.avi")
        traced = [p for p in self.polygons.get(entry.name, []) if 0 <= p.frame < clip.num_frames]
        ed, es = (traced[0].frame, traced[-1].frame) if len(traced) >= 2 else (None, None)
        return clip.replace(ef=entry.ef, ed_frame=ed, es_frame=es, source=entry.name)

    def outlines(self, index: int) -> list[Outline]:
        """See `OutlinedDataset.outlines`; of A4C alone, as a short axis has no apex."""
        if self.view != "A4C":
            return []
        found = []
        for polygon in self.polygons.get(self.entries[index].name, []):
            height, width = np.ceil(polygon.points.max(0)).astype(int)[::-1] + 2
            cavity = fill_polygon(polygon.points, (height, width))
            axis = find_axis(cavity)
            if axis is not None:
                found.append(Outline(polygon.frame, trace_region(cavity, axis)))
        return found

    def problems(self) -> list[str]:
        """See `ClipDataset.problems`."""
        found, names = [], [entry.name for entry in self.entries]
        missing = [name for name in names if not (self.folder / "Videos" / f"{name}.avi").is_file()]
        if missing:
            found.append(f"{len(missing)} videos are missing in {self.folder / 'Videos'}: {format_names(missing)}")
        if self.not_traced:
            found.append(f"{len(self.not_traced)} clips are marked as without a phase: {format_names(self.not_traced)}")
        few = [name for name in names if len(self.polygons.get(name, [])) < 2 and name not in self.not_traced]
        if few:
            found.append(f"{len(few)} clips without two traced frames: {format_names(few)}")
        return found

"""HMC-QU's layout: apical videos with and without myocardial infarction; no EF.

    ROOT/HMC-QU/A4C/NAME.avi, ROOT/A4C.xlsx         and the same for A2C; the folder HMC-QU may be left out
    NAME.xlsx   ECHO (the name), then a column per wall segment, then what else was noted

Names are ESpatient_CHview_number. A segment's cell says "MI" or "non-MI"; a patient with one infarcted segment has an
infarction. Every other filled cell of a row is kept as a fact under its column's name. Frame rates stand in the videos.
Source: Degerli et al. 2024, doi 10.1016/j.bspc.2023.105448.
"""

import zipfile
from pathlib import Path

import openpyxl

from echosynth.data.clip_files import load_clip_file
from echosynth.data.dataset import ClipEntry, format_names
from echosynth.errors import DatasetError
from echosynth.video.clip import EchoClip

VIEWS = ("A4C", "A2C")
MAX_TABLE_BYTES = 16 << 20


def find_views(root: Path) -> list[str]:
    """Return the views that lie in a folder in this layout; [] if it is in another."""
    return [view for view in VIEWS if (root / f"{view}.xlsx").is_file() and _folder(root, view).is_dir()]


class HmcQuDataset:
    """One view of HMC-QU, read only; `facts["infarction"]` is "yes", "no", or missing where the table does not say.

    Args:
        root: the folder with A4C.xlsx.
        view: "A4C" or "A2C".

    Raises:
        DatasetError: the table is missing or malformed.
    """

    layout = "HMC-QU"

    def __init__(self, root: str | Path, view: str = "A4C") -> None:
        if view not in VIEWS:
            raise DatasetError(f"HMC-QU has the views A4C and A2C, not {view}")
        self.root, self.view, self.folder = Path(root), view, _folder(Path(root), view)
        table = _read_table(self.root / f"{view}.xlsx")
        videos = sorted(file.stem for file in self.folder.glob("*.avi") if not file.name.startswith("."))
        if not videos:
            raise DatasetError(f"there is no .avi video in {self.folder}")
        self.missing = [name for name in table if name not in videos]
        self.not_listed = [name for name in videos if name not in table]
        self.entries = [ClipEntry(n, n.partition("_")[0], view=view, facts=table.get(n, {})) for n in videos]

    def clip(self, index: int) -> EchoClip:
        """Return the clip, cropped to its sector: these videos show the scanner's whole screen."""
        name = self.entries[index].name
        return load_clip_file(self.folder / f"{name}.avi").replace(source=name)

    def problems(self) -> list[str]:
        """See `ClipDataset.problems`."""
        found = []
        if self.missing:
            found.append(f"{len(self.missing)} listed videos are missing: {format_names(self.missing)}")
        if self.not_listed:
            found.append(f"{len(self.not_listed)} videos are not listed: {format_names(self.not_listed)}")
        return found


def _folder(root: Path, view: str) -> Path:
    inner = root / "HMC-QU" / view
    return inner if inner.is_dir() else root / view


def _read_table(path: Path) -> dict[str, dict[str, str]]:
    """Name of each video -> facts, from the first sheet."""
    try:
        with zipfile.ZipFile(path) as parts:  # what it unfolds to, not what it weighs
            if sum(part.file_size for part in parts.infolist()) > MAX_TABLE_BYTES:
                raise DatasetError(f"{path} is too large for a table of this dataset")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = [[_text(cell) for cell in row] for row in book.worksheets[0].iter_rows(values_only=True)]
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except DatasetError:
        raise
    # zipfile, zlib, the XML parser and openpyxl each have errors of their own for a damaged table.
    except Exception as error:
        raise DatasetError(f"{path} is not an Excel table") from error
    start = next((k for k, row in enumerate(rows) if "ECHO" in row), None)
    if start is None:
        raise DatasetError(f"{path} has no column ECHO")
    header = rows[start]
    table: dict[str, dict[str, str]] = {}
    for row in rows[start + 1 :]:
        cells = {column: value for column, value in zip(header, row, strict=False) if column and value}
        name = cells.pop("ECHO", "").removesuffix(".avi")
        if not name:
            continue
        verdicts = {value.lower().replace(" ", "-") for value in cells.values()} & {"mi", "non-mi"}
        facts = {"infarction": "yes" if "mi" in verdicts else "no"} if verdicts else {}
        table[name] = {**cells, **facts}
    return table


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()

"""Open any dataset: its layout is recognised by the files in its folder; everything else is read as plain files."""

import logging
from collections.abc import Iterator
from pathlib import Path

from echosynth.data import camus, echonet_pediatric, hmc_qu
from echosynth.data.clip_files import ClipFiles
from echosynth.data.dataset import ClipDataset, read_clips
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.tar_dataset import INDEX, TarDataset
from echosynth.errors import ConfigError, DatasetError, SourceError
from echosynth.video.clip import EchoClip

FASTEST_HZ = 1000.0

log = logging.getLogger(__name__)


def open_dataset(
    path: str | Path, view: str | None = None, fps: float | None = None, complete: bool = True
) -> ClipDataset:
    """Open a file or a folder in any layout that is read.

    | recognised by | layout |
    |---|---|
    | `FileList.csv` | EchoNet-Dynamic, and what `simulate` and `augment` write |
    | `A4C/FileList.csv` or `PSAX/FileList.csv` | EchoNet-Pediatric |
    | `database_nifti/` or `patient*/Info_*.cfg` | CAMUS |
    | `A4C.xlsx` or `A2C.xlsx` and the videos' folder | HMC-QU |
    | `index.parquet` and tars | tars of clips, which `augment` writes with `format: webdataset` |
    | `run.json` | what a run of `augment` or `generate` made |
    | anything else | plain files |

    Args:
        path: what the user has.
        view: "A4C", "A2C" or "PSAX"; None for A4C, or for the only one that is there.
        fps: frame rate in Hz that plain files are read with instead of their own.
        complete: refuse an EchoNet-Dynamic folder whose list names videos that are not there, or one twice.

    Raises:
        SourceError: nothing there, or it may not be read.
        DatasetError: tables are missing or malformed, or the dataset has no such view.
    """
    try:
        return _recognise(Path(path), view, fps, complete)
    except OSError as error:  # from any look into a folder
        raise SourceError(f"cannot read {error.filename or path}: {error.strerror}") from error


def _recognise(path: Path, view: str | None, fps: float | None, complete: bool) -> ClipDataset:
    if not path.exists():
        raise SourceError(f"no such file or folder: {path}")
    if (path / "run.json").is_file() and not (path / "FileList.csv").is_file():  # `simulate` writes a dataset itself
        path = _made_by_run(path)
    if (path / "FileList.csv").is_file():
        _refuse_view(view, ["A4C"], path)
        return EchoNetDataset(path, complete)
    if views := echonet_pediatric.find_views(path):
        return echonet_pediatric.PediatricDataset(path, _refuse_view(view, views, path))
    if camus.find_patients(path):
        return camus.CamusDataset(path, _refuse_view(view, list(camus.VIEWS), path))
    if views := hmc_qu.find_views(path):
        return hmc_qu.HmcQuDataset(path, _refuse_view(view, views, path))
    if (path / INDEX).is_file():
        _refuse_view(view, ["A4C"], path)
        return TarDataset(path)
    return ClipFiles(path, fps)


def _made_by_run(run: Path) -> Path:
    """The folder with the clips that a run made.

    Raises:
        SourceError: it has made none, or is no run that makes clips.
    """
    for folder in (run / "dataset", run / "clips"):
        if folder.is_dir():
            return folder
    raise SourceError(f"{run} is the folder of a run that has made no clips")


def iter_clips(path: str | Path, fps: float | None = None, split: str | None = None) -> Iterator[tuple[str, EchoClip]]:
    """Yield (name, clip) for everything at `path`, one at a time.

    In a folder of plain files every file is tried. One that cannot be used is logged and passed over, and it is an
    error only if none is left.

    Args:
        path: file or folder, see `open_dataset`.
        fps: frame rate in Hz to use instead of the clips' own.
        split: of a dataset, "TRAIN", "VAL" or "TEST", which alone is read; None for all clips.

    Raises:
        SourceError: nothing there can be used, or a dataset's clip cannot be.
        DatasetError: a dataset's tables are malformed, or it has no clip in the split.
    """
    path = Path(path)
    dataset = open_dataset(path, fps=fps)
    complaints: list[str] = []

    def pass_over(complaint: str) -> None:
        complaints.append(complaint)
        log.warning("passed over: %s", complaint)

    of_any_kind = isinstance(dataset, ClipFiles) and path.is_dir()
    used = 0
    for entry, clip in read_clips(dataset, pass_over if of_any_kind else None, split):
        used += 1
        yield entry.name, clip if fps is None else clip.replace(fps=fps)
    if complaints and not used:
        raise SourceError(
            f"no usable picture or video among the {len(dataset.entries)} files in {path} ({complaints[0]})"
        )


def check_rate(fps: float | None) -> float | None:
    """Return a frame rate in Hz to use instead of clips' own, or None for no such rate.

    Raises:
        ConfigError: it is not above 0 and at most `FASTEST_HZ`.
    """
    if fps is not None and not 0 < fps <= FASTEST_HZ:
        raise ConfigError(f"fps must be above 0 and at most {FASTEST_HZ:g} Hz, got {fps:g}", "fps")
    return fps


def require_video(name: str, clip: EchoClip) -> None:
    """Raise SourceError for a single picture."""
    if clip.num_frames < 2:
        raise SourceError(f"{name} is a single picture; an EF needs a video of at least one beat")


def iter_videos(path: Path, fps: float | None = None, split: str | None = None) -> Iterator[tuple[str, EchoClip]]:
    """Yield (name, clip) of every video at `path`; a picture in a folder of plain files is logged and passed over.

    Args:
        path: see `iter_clips`, as for all others.
        fps: frame rate in Hz to use instead of the clips' own.
        split: of a dataset, which alone is read.

    Raises:
        SourceError: see `iter_clips`; a single picture, or nothing but pictures.
    """
    stills, used = [], 0
    for name, clip in iter_clips(path, fps, split):
        if clip.num_frames < 2 and path.is_dir():
            stills.append(name)
            log.warning("passed over: %s is a single picture", name)
            continue
        require_video(name, clip)
        used += 1
        yield name, clip
    if stills and not used:
        raise SourceError(f"{path} holds nothing but single pictures; an EF needs a video of at least one beat")


def _refuse_view(view: str | None, there: list[str], path: Path) -> str:
    """Return the view to open; the dataset's first one if none was asked for."""
    if view is not None and view not in there:
        raise DatasetError(f"{path} has no view {view}; it has {', '.join(there)}")
    return view or there[0]

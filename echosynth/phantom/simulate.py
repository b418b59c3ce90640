"""Phantom patients as a dataset in EchoNet format, with exact labels and exact counterfactuals.

    OUT/Videos/P0000007.avi         patient 7 at an EF drawn for it (the factual)
    OUT/Videos/P0000007_ef30.avi    the same patient, view, noise and phase at EF 30 %
    OUT/Masks/P0000007.npz          on request: `labels` uint8 (T, S, S), 1 cavity, 2 myocardium, 3 left atrium
    OUT/Motion/P0000007.npz         on request: `displacement` float16 (T, 2, S, S), pixels, from where tissue is to
                                    where it is in the ED frame, NaN outside of the sector; `volume` float32 (T,), ml
    OUT/FileList.csv, OUT/VolumeTracings.csv, OUT/Phantom.csv, OUT/README.md, OUT/SHA256SUMS, and the run's records

The 20-disc method on the written tracings gives back the EF that was asked for. A patient's clips share one split.
"""

import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from echosynth.data.echonet_tables import write_table
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import ConfigError
from echosynth.phantom.dataset_card import describe_dataset
from echosynth.phantom.dataset_check import clip_files, reopen_damaged
from echosynth.phantom.plan import PhantomRow, SimulateConfig, plan_patient
from echosynth.phantom.simulated_clips import Rendered, render_patients
from echosynth.progress import SILENT, Progress
from echosynth.storage.atomic import write_text
from echosynth.storage.checksums import hash_file, list_sums
from echosynth.storage.run_folder import RunFolder
from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_npz


@dataclass(frozen=True)
class SimulateResult:
    """A simulated dataset.

    Attributes:
        run: its folder.
        patients: how many.
        clips: how many.
        rendered: clips that this call added or made again.
        splits: clips in TRAIN, VAL and TEST.
        seconds: that this call took.
    """

    run: str
    patients: int
    clips: int
    rendered: int
    splits: dict[str, int]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The object of `--json`."""
        return asdict(self)


def simulate(config: SimulateConfig, out: str | Path, workers: int = 1, progress: Progress = SILENT) -> SimulateResult:
    """Write the dataset; running it again with the same config adds what is missing or damaged.

    Args:
        config: what.
        out: folder, made if missing.
        workers: processes that render; the dataset does not depend on it.
        progress: counts clips.

    Raises:
        ConfigError: less than one worker.
        OutputError: the folder holds something else, another process works in it, or the disk refused.
        DatasetError: the clips are too short to be labelled.
    """
    if workers < 1:
        raise ConfigError(f"workers: must be at least 1, got {workers}", "workers")
    began, out = time.monotonic(), Path(out)
    patients = [plan_patient(config, seed) for seed in range(config.seed, config.seed + config.patients)]
    rows = [row for patient in patients for row in patient]
    with RunFolder.open(out, "simulate", config):
        with EchoNetWriter(out, lossless=config.lossless, synthetic=True) as writer:
            sums = reopen_damaged(writer, config, rows)
            jobs = [left for patient in patients if (left := [row for row in patient if row.file not in writer])]
            rendered = sum(map(len, jobs))
            with (
                progress.task(len(rows), "rendering") as task,
                closing(render_patients(config, jobs, workers)) as made,  # an error here ends the processes at once
            ):
                task.advance(len(rows) - rendered)
                for clips in made:
                    for clip in clips:
                        _write(writer, clip)
                        task.advance()
        _write_tables(config, out, rows, sums)
    splits = Counter(row.split for row in rows)
    return SimulateResult(
        str(out),
        config.patients,
        len(rows),
        rendered,
        {name: splits[name] for name in ("TRAIN", "VAL", "TEST")},
        round(time.monotonic() - began, 2),
    )


def _write(writer: EchoNetWriter, made: Rendered) -> None:
    row = made.row
    for folder, arrays in made.extras.items():  # before the clip, whose entry says that all of it is there
        write_npz(writer.root / folder / f"{row.file}.npz", **arrays)
    clip = EchoClip(made.pixels, row.fps, row.ef, row.edv, row.esv, row.ed_frame, row.es_frame, row.file)
    writer.add(row.file, clip, row.split, made.traced)


def _write_tables(config: SimulateConfig, out: Path, rows: list[PhantomRow], sums: dict[str, str]) -> None:
    """Write what is said of the clips, the hashes of their files last: they say that the dataset is finished.

    Args:
        config: of the dataset.
        out: its folder.
        rows: its clips.
        sums: hashes that are known of files that this run has not written.
    """
    header = [field.name for field in fields(PhantomRow)]
    write_table(out / "Phantom.csv", header, (asdict(row).values() for row in rows))
    write_text(out / "README.md", describe_dataset(config, rows))
    names = [name for row in rows for name in clip_files(config, row)]
    list_sums(out, {name: sums.get(name) or hash_file(out / name) for name in names})

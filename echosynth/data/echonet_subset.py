"""A part of a folder in EchoNet format as a folder of its own: videos are linked where the disk can, else copied."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_tables import FILE_LIST_HEADER, TRACINGS_HEADER, write_table
from echosynth.errors import DatasetError
from echosynth.storage.atomic import new_folder


def write_subset(root: Path, clips: Iterable[tuple[EchoNetDataset, int]]) -> Path:
    """Write a folder with some clips of one or several datasets, whole or not at all; one that is there stays.

    Args:
        root: the folder.
        clips: dataset and number of each clip, in order; names must differ.

    Raises:
        DatasetError: a name comes twice.
        OutputError: the system refused.
    """
    if root.is_dir():
        return root
    with new_folder(root) as part:
        (part / "Videos").mkdir()
        rows, tracings = [], []
        for dataset, index in clips:
            row = dataset.rows[index]
            name = f"{row.file_name}.avi"
            if (part / "Videos" / name).exists():
                raise DatasetError(f"{root} would hold two clips of the name {row.file_name}")
            _link(dataset.root / "Videos" / name, part / "Videos" / name)
            rows.append(asdict(row).values())
            for traced in reversed(dataset.tracings(name)):
                tracings += [[name, *map(repr, line), traced.frame] for line in traced.rows().tolist()]
        write_table(part / "VolumeTracings.csv", TRACINGS_HEADER, tracings)
        write_table(part / "FileList.csv", FILE_LIST_HEADER, rows)
    return root


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(source, target)

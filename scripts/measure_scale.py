"""Measure what a plan of a million clips takes to plan, to look at and to go on with; no clip is made.

    python scripts/measure_scale.py

A dataset of one video is planned up to a million clips, half of the parts are marked as finished and one as half done,
as if earlier processes had made them. Printed: seconds and the memory of the process at its largest.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import numpy as np
from rich.console import Console
from rich.table import Table

from echosynth.augmentation import attempts
from echosynth.augmentation.augment import Augmentation, augment, augmentation_status
from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.augmentation.manifest import Manifest, ManifestEntry, package_versions
from echosynth.augmentation.work import Counts
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.video.clip import EchoClip


class Asked(Exception):
    """The first missing clip was asked for."""


def main() -> None:
    """Plan, mark, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "source", Path(folder) / "run"
        with EchoNetWriter(source) as writer:
            writer.add("one", EchoClip(np.zeros((2, 112, 112), np.uint8), 32.0, 5.0, 100.0, 95.0), "TRAIN")
        bins = {"low": 10.0, "high": 90.0, "bin_width": 10.0, "per_bin": -(-args.clips // 8)}
        config = AugmentConfig.model_validate({"name": "scale", "source": source, "format": "webdataset", **bins})
        table = Table("what", "s", "MB, the process at its largest")

        def measure(what: str, do: Callable[[], object]) -> None:
            began = time.perf_counter()
            do()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            table.add_row(what, f"{time.perf_counter() - began:.2f}", f"{peak:.0f}")

        measure("the process, its libraries loaded", lambda: None)
        measure(f"plan {args.clips} clips", lambda: Augmentation(config, out))
        mark_as_made(Augmentation(config, out))
        measure("status", lambda: augmentation_status(out))
        with mock.patch.object(attempts, "make_clip", side_effect=Asked):
            measure("go on, until the first missing clip is asked for", lambda: go_on(config, out))
        Console().print(table)


def mark_as_made(run: Augmentation) -> None:
    """Every other part finished, and half of the second."""
    parts, versions = run.work.parts, package_versions()
    with run.open():
        for part in range(0, parts.count, 2):
            size = len(parts.items(part))
            summary = parts.journal(part).with_suffix(".json")
            summary.parent.mkdir(exist_ok=True)
            summary.write_text(json.dumps(asdict(Counts(size, size, size, float(size)))))
        for number in list(parts.items(1))[: parts.size // 2]:
            sample = run.work.plan[number]
            ef, models = sample.target_ef, ("m", "0" * 12, "g", "1" * 12, None, None)
            facts = (sample.sample_id, sample.source, sample.frame, 0, 7, ef, ef, 0.0, 100.0, None, True, "", "x", 1.0)
            Manifest(parts.journal(1)).append(ManifestEntry(*facts, *models, versions))


def go_on(config: AugmentConfig, out: Path) -> None:
    """Start the run again."""
    try:
        augment(config, out)
    except Asked:
        return
    raise AssertionError("nothing was missing")


if __name__ == "__main__":
    main()

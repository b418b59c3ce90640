"""Compare how much phantoms and real hearts move, by EF: what stops a reader from taking motion for ejection.

    python scripts/compare_motion.py --patients 100

Four measures of clips averaged 2x2 to 56x56 pixels and sampled at 8 Hz, over pixels that ever exceed 12 of 255. The
real percentiles are those of 100 clips of one public data set, of which none is here. Patients: seeds 2,800,000 and up,
EF uniform 10-80.
"""

import argparse
import itertools

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import ndimage

from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.phantom.view_families import VIEW_FAMILIES

FIRST_SEED, FRAMES, RATE = 2_800_000, 16, 8.0
PERCENTILES = (5, 25, 50, 75, 95)
MEASURES = ("difference of frames", "1 - correlation", "the same, blurred", "spread over time, blurred")
REAL = {  # EF below 40 (14 clips), EF of 55 and more (70 clips)
    "< 40": ((0.29, 0.31, 0.34, 0.36, 0.39), (0.09, 0.11, 0.15, 0.17, 0.21), (0.036, 0.044, 0.054, 0.068, 0.076),
             (0.24, 0.25, 0.29, 0.32, 0.34)),
    ">= 55": ((0.26, 0.32, 0.36, 0.41, 0.43), (0.09, 0.13, 0.16, 0.21, 0.23), (0.036, 0.053, 0.082, 0.102, 0.123),
              (0.22, 0.27, 0.31, 0.36, 0.45)),
}  # fmt: skip


def main() -> None:
    """Render, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--views", nargs="+", choices=sorted(VIEW_FAMILIES), default=["wide", "echonet"])
    parser.add_argument("--patients", type=int, default=100, help="of each family (default 100)")
    parser.add_argument("--no-bulk-motion", dest="bulk_motion", action="store_false")
    args = parser.parse_args()
    draw = np.random.default_rng(0)
    ef = draw.uniform(10, 80, (len(args.views), args.patients))
    found = [
        [
            measure(render(FIRST_SEED + k, views, ef[row, k], args.bulk_motion))
            for k in track(range(args.patients), views)
        ]
        for row, views in enumerate(args.views)
    ]
    values, efs = np.array(found).reshape(-1, len(MEASURES)), ef.ravel()
    table = Table("measure", "EF", "real 5 / 25 / 50 / 75 / 95 %", "phantoms", "correlation with EF")
    for k, name in enumerate(MEASURES):
        related = f"{np.corrcoef(efs, values[:, k])[0, 1]:+.2f}"
        for band, chosen in (("< 40", efs < 40), (">= 55", efs >= 55)):
            mine = np.percentile(values[chosen, k], PERCENTILES)
            table.add_row(name, band, join(REAL[band][k]), join(mine), related)
    Console().print(table)


def join(values: "np.ndarray | tuple[float, ...]") -> str:
    """Percentiles as a table has them."""
    return " / ".join(f"{value:.3f}" for value in values)


def render(seed: int, views: str, ef: float, bulk_motion: bool) -> np.ndarray:
    """Two seconds of a phantom, (T, 56, 56), 0-255."""
    patient = sample_patient(seed, bulk_motion=bulk_motion)
    phantom = Phantom([patient], [sample_view(seed, patient.long_axis, views)], [seed])
    phase = float(np.random.default_rng(seed).uniform())
    pixels = phantom.render(torch.tensor([ef]), FRAMES, RATE, [phase])[0]
    return F.avg_pool2d(pixels[0].float(), 2).numpy()


def measure(clip: np.ndarray) -> tuple[float, ...]:
    """The four `MEASURES` of a clip (T, H, W)."""
    sector = clip.max(0) > 12
    sharp, blurred = clip[:, sector], ndimage.gaussian_filter(clip, (0, 2, 2))[:, sector]
    difference = np.abs(np.diff(sharp, axis=0)).mean() / sharp.std()
    return (float(difference), change(sharp), change(blurred), float(blurred.std(0).mean() / blurred.std()))


def change(frames: np.ndarray) -> float:
    """1 - the mean correlation of successive frames (T, N)."""
    return 1 - float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(frames)]))


if __name__ == "__main__":
    main()

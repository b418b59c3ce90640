"""Print how phantoms look beside real clips, as percentiles (docs/experiments/phantom-appearance.md).

    python scripts/compare_appearance.py [--views echonet] [--patients 100]

The real numbers are published aggregates over 100 A4C clips of EchoNet-Dynamic's kind; the clips are not here.
"""

import argparse

import numpy as np
import torch

from echosynth.metrics.appearance import RATE, measure_appearance, percentiles
from echosynth.phantom.plan import SimulateConfig, plan_patient
from echosynth.phantom.population import sample_ef, sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.phantom.view_families import VIEW_FAMILIES
from echosynth.seeding import derive_seed
from echosynth.video.resample import resample_time

POPULATION = {  # EchoNet-Dynamic; heart rate: adults at rest
    "ef": "55.7 (12.5)",
    "edv": "91.0 (45.7)",
    "esv": "43.3 (34.5)",
    "fps": "50.9 (6.8)",
    "frames": "175 (57)",
    "heart_rate": "70 (13)",
}
FIRST_SEED = 1_500_000  # neither trained on nor evaluated on
REAL = {  # percentiles 5, 25, 50, 75, 95
    "mean": (25.4, 28.7, 33.4, 38.2, 46.3),
    "std": (38.7, 45.0, 51.1, 54.9, 62.4),
    "p99": (160, 184, 197, 213, 232),
    "ever_lit": (0.48, 0.54, 0.58, 0.63, 0.66),
    "frame_correlation": (0.70, 0.73, 0.77, 0.82, 0.86),
    "grain_x": (0.55, 0.60, 0.63, 0.67, 0.70),
    "grain_y": (0.28, 0.36, 0.42, 0.49, 0.57),
    "grain": (14.8, 18.8, 20.9, 23.2, 27.1),
    "below_2": (0.36, 0.42, 0.48, 0.52, 0.58),
    "below_48": (0.62, 0.71, 0.74, 0.78, 0.82),
    "below_128": (0.86, 0.90, 0.93, 0.95, 0.97),
}


def render(seed: int, views: str) -> np.ndarray:
    """One phantom, 2 s, EF as in EchoNet-Dynamic, at any phase: uint8 (T, H, W) at `RATE`."""
    patient = sample_patient(seed, bulk_motion=False)
    phantom = Phantom([patient], [sample_view(seed, patient.long_axis, views)], [seed])
    phase = (derive_seed(seed, "phase") % 1000) / 1000
    pixels, _ = phantom.render([sample_ef(seed)], 64, 32.0, [phase])
    return resample_time(pixels[0].numpy(), 32.0, RATE)


def main() -> None:
    """Render, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", choices=sorted(VIEW_FAMILIES), default="echonet")
    parser.add_argument("--patients", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = percentiles(
        [measure_appearance(render(seed, args.views)) for seed in range(FIRST_SEED, FIRST_SEED + args.patients)]
    )
    print(f"| 5 / 25 / 50 / 75 / 95 % | real | phantom, {args.views} views |\n|---|---|---|")
    _print_appearance(found)
    _print_population()


def _print_appearance(found: dict[str, list[float]]) -> None:
    for name, real in REAL.items():
        shown = (" / ".join(f"{value:.3g}" for value in values) for values in (real, found[name]))
        print(f"| {name} | {' | '.join(shown)} |")


def _print_population(patients: int = 1000) -> None:
    """What `simulate` draws by default."""
    plans = [plan_patient(SimulateConfig(patients=1), FIRST_SEED + k)[0] for k in range(patients)]
    print(f"\n| mean (standard deviation) | published | {patients} simulated patients |\n|---|---|---|")
    for name, published in POPULATION.items():
        values = np.array([getattr(row, name) for row in plans])
        print(f"| {name} | {published} | {values.mean():.1f} ({values.std():.1f}) |")


if __name__ == "__main__":
    main()

"""A simulated patient at two target EFs, each generated clip beside the true counterfactual.

    python examples/counterfactual_clips.py [OUT]

Writes OUT/patients (a dataset), OUT/clips (a run of `generate`), OUT/pairs_ef30.gif and OUT/pairs_ef60.gif: the
generated clip on the left, the truth on the right.
"""

import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from echosynth import GenerateConfig, SimulateConfig, generate, open_dataset, simulate

EFS = (30.0, 60.0)


def main(out: Path) -> dict[float, float]:
    """Return the judge's EF of the generated clip by target EF, per cent."""
    patients = SimulateConfig(patients=1, seed=5000, frames=64, fps=32.0, counterfactual=EFS)
    simulate(patients, out / "patients")
    dataset = open_dataset(out / "patients")
    truths = {round(clip.ef): clip for clip in map(dataset.clip, range(len(dataset.entries)))}

    # Clip 0 is the patient at its own EF; its first frame is the conditioning frame.
    result = generate(GenerateConfig(source=dataset.clip(0), ef=EFS), out / "clips")

    judged = {}
    for finished in result.clips:
        target = finished.entry.target_ef
        made, truth = result.load(finished), truths[round(target)]
        frames = min(made.num_frames, truth.num_frames)
        pair = np.concatenate([made.pixels[:frames], truth.pixels[:frames]], axis=2)
        iio.imwrite(out / f"pairs_ef{target:.0f}.gif", pair, duration=1000 / made.fps, loop=0)
        judged[target] = finished.entry.judge_ef
        print(f"target {target:.0f}: gate {finished.entry.gate_ef:.1f}, judge {finished.entry.judge_ef:.1f}")
    return judged


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples/counterfactual_clips"))

"""Several regressors read the same simulated patients; who errs by how much?

python examples/compare_regressors.py [OUT]
"""

import sys
from pathlib import Path

from echosynth import MeasureConfig, SimulateConfig, measure, simulate

REGRESSORS = ("judge_frame_transformer", "echo_e3net_small")


def main(out: Path, regressors: tuple[str, ...] = REGRESSORS) -> dict[str, float]:
    """Return the mean absolute error of each regressor and of their panel, EF points."""
    simulate(SimulateConfig(patients=4, seed=5000, frames=64, fps=32.0, ef_distribution="uniform"), out / "patients")
    result = measure(MeasureConfig(sources=(out / "patients",), regressors=regressors))
    for reading in result.to_dict()["clips"]:
        print(f"{reading['file']}: {reading['regressor']} {reading['ef']:.1f} (true EF {reading['true_ef']:.1f})")
    assert result.scores is not None  # the true EF of every clip is known
    return {name: scores["mae"] for name, scores in result.scores.items()}


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples/compare_regressors")))

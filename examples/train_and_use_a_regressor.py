"""Train a regressor on simulated patients for two steps, then load it and read a clip.

    python examples/train_and_use_a_regressor.py [OUT]

The config trains for seconds, so the EF that it reads is a guess; `configs/regression/` holds those worth waiting for.
"""

import sys
from pathlib import Path

from echosynth import SimulateConfig, load_regressor, load_training_config, open_dataset, simulate, train

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "smoke" / "regressor_tiny.yaml"


def main(out: Path) -> float:
    """Return the EF that the trained regressor reads, per cent."""
    patients = out / "patients"
    simulate(SimulateConfig(patients=4, seed=5000, frames=64, fps=32.0), patients)
    config = load_training_config(CONFIG, [f"data.root={patients}", f"validation.root={patients}"])
    trained = train(config, out / "run")
    assert trained.model is not None  # a regressor has no parts that could be missing
    clip = open_dataset(patients).clip(0)
    prediction = load_regressor(trained.model).predict([clip])[0]
    print(f"true EF {clip.ef:.1f}, read {prediction.ef:.1f} ({prediction.low:.1f} to {prediction.high:.1f})")
    return prediction.ef


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples/train_and_use_a_regressor"))

"""Prove adaptation without patients: a "hospital" of phantoms that the software knows only as a folder of clips.

    python scripts/prove_adaptation.py runs/hospital --regressor echo_e3net_small

The hospital has a view family that nothing is trained on and effects of its own (echosynth/evaluation/held_out.py).
A reader is scored on 100 of its patients and on 100 in `wide` views: as it is bundled; adapted without labels; tuned on
64 and on 640 labelled patients (configs/adapt); and trained further on 4,000 patients of that hospital, the most that
could be gained. The same command continues where it stopped.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from echosynth.data.echonet_format import EchoNetWriter
from echosynth.evaluation.held_out import render_held_out, trace_held_out
from echosynth.phantom.kinds import ViewFamily
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import load_regressor
from echosynth.training.adaptation.adapt import AdaptConfig, adapt
from echosynth.training.train import load_training_config, train

FIRST_PATIENT = 5_000_000
TEST, LARGE, SMALL, MOST = 100, 640, 64, 4000
CONFIGS = {
    "echo_e3net_small": "gate",
    "judge_frame_transformer": "judge",
    "motion_frame_transformer": "motion",
    "r2plus1d_small": "r2plus1d",
}


def main() -> None:
    """Render the hospital, adapt, score, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--regressor", choices=sorted(CONFIGS), default="echo_e3net_small")
    parser.add_argument("--views", choices=("camus", "point-of-care"), default="camus")
    parser.add_argument("--most", action="store_true", help="also train on 4,000 patients of the hospital")
    args = parser.parse_args()
    sizes = {"64 labelled": SMALL, "640 labelled": LARGE} | ({"4,000 labelled": MOST} if args.most else {})
    folders = {title: write_hospital(args.out / f"patients_{n}", args.views, n) for title, n in sizes.items()}
    name = args.regressor
    readers = {"bundled": load_regressor(name)}
    unlabelled = AdaptConfig(source=folders["640 labelled"] / "Videos", regressors=(name,))
    readers["without labels"] = load_regressor(adapt(unlabelled, args.out / f"adapted_{name}").models[name])
    for title, folder in folders.items():
        readers[title] = tune(args.out / f"tuned_{name}_{folder.name}", name, folder)
    table = Table("reader", "MAE, hospital", "r", "bias", "MAE, wide")
    first = FIRST_PATIENT + 100_000
    for title, reader in readers.items():
        here, wide = score(reader, args.views, first, True), score(reader, "wide", first, False)
        table.add_row(title, f"{here[0]:.2f}", f"{here[1]:.3f}", f"{here[2]:+.1f}", f"{wide[0]:.2f}")
    Console().print(table)


def write_hospital(root: Path, views: ViewFamily, patients: int) -> Path:
    """A folder in EchoNet format: clips, EF and two tracings each; one patient in five is for validation."""
    with EchoNetWriter(root) as writer:
        for k in track(range(patients), f"{patients} patients"):
            if f"H{k:05d}" not in writer:
                seed = FIRST_PATIENT + k
                clip = render_held_out(seed, views, effects=True)
                split = "VAL" if k % 5 == 0 else "TRAIN"
                writer.add(f"H{k:05d}", clip, split, trace_held_out(seed, views, clip))
    return root


def tune(out: Path, name: str, folder: Path) -> EFRegressor:
    """The reader tuned on a hospital's labelled clips, by its config."""
    changes = [f"{key}={folder}" for key in ("data.own.root", "validation.root")]
    changes += [f"{key}={out.parent}/decoded" for key in ("data.own.cache", "validation.cache")]
    config = load_training_config(f"configs/adapt/{CONFIGS[name]}.yaml", changes)
    model = train(config, out).model
    assert model is not None
    return load_regressor(model)


def score(reader: EFRegressor, views: ViewFamily, first: int, effects: bool) -> tuple[float, float, float]:
    """MAE, r and bias on test patients of a family."""
    clips = [render_held_out(seed, views, effects) for seed in range(first, first + TEST)]
    truth = np.array([clip.ef for clip in clips])
    read = np.array([answer.ef for answer in reader.predict(clips)])
    error = read - truth
    return float(np.abs(error).mean()), float(np.corrcoef(read, truth)[0, 1]), float(error.mean())


if __name__ == "__main__":
    main()

"""Prove adaptation without patients: a "hospital" of phantoms that the software knows only as a folder of clips.

    python scripts/prove_adaptation.py runs/hospital --regressor r2plus1d_small --most 2000
    python scripts/prove_adaptation.py runs/hospital --regressor r2plus1d_small --most 2000 --generator

The hospital has a view family that nothing is trained on and one scanner with effects that no training has
(echosynth/evaluation/held_out.py).
A reader is scored on 100 of its patients and on 100 in `wide` views: as it is bundled; adapted without labels; tuned on
64 and on 640 labelled patients (configs/adapt); and with --most on so many, the most that could be gained. With
--generator the cascade is tuned on the same 64 and 640, starts from frames of the 100 patients, and is judged by the
reader that was tuned on the most. The same command continues where it stopped.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.diffusion.loading import DEFAULT_CASCADE, load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.evaluation.held_out import render_held_out, render_hospital, trace_held_out
from echosynth.phantom.kinds import ViewFamily
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import load_regressor
from echosynth.seeding import derive_seed
from echosynth.training.adaptation.adapt import AdaptConfig, adapt
from echosynth.training.train import load_training_config, train
from echosynth.video.clip import EchoClip

FIRST_PATIENT = 5_000_000
TEST, LARGE, SMALL = 100, 640, 64
ASKED = (25.0, 45.0, 65.0)  # per cent
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
    parser.add_argument("--most", type=int, default=0, metavar="N", help="also tune on N patients (default: do not)")
    parser.add_argument("--generator", action="store_true", help="the cascade in place of readers; needs --most")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="of the cascade's config")
    args = parser.parse_args()
    if args.generator and not args.most:
        parser.error("--generator needs --most: the reader that judges")
    sizes = [SMALL, LARGE, *([args.most] if args.most else [])]
    folders = {f"{n} labelled": write_hospital(args.out / f"patients_{n}", args.views, n) for n in sizes}
    if args.generator:
        score_cascades(args, folders)
    else:
        score_readers(args, folders)


def score_readers(args: argparse.Namespace, folders: dict[str, Path]) -> None:
    """Adapt and tune the reader, and print its table."""
    name = args.regressor
    readers = {"bundled": load_regressor(name)}
    unlabelled = AdaptConfig(source=folders["640 labelled"] / "Videos", regressors=(name,))
    readers["without labels"] = load_regressor(adapt(unlabelled, args.out / f"adapted_{name}").models[name])
    for title, folder in folders.items():
        readers[title] = tune(args.out / f"tuned_{name}_{folder.name}", name, folder)
    table = Table("reader", "MAE, hospital", "r", "bias", "MAE, wide")
    here_clips, wide_clips = test_clips(args.views, TEST), test_clips(None, TEST)
    for title, reader in readers.items():
        here, wide = score(reader, here_clips), score(reader, wide_clips)
        table.add_row(title, f"{here[0]:.2f}", f"{here[1]:.3f}", f"{here[2]:+.1f}", f"{wide[0]:.2f}")
    Console().print(table)


def score_cascades(args: argparse.Namespace, folders: dict[str, Path]) -> None:
    """Tune the cascade, and print how the EF in its clips follows the EF asked for."""
    *labelled, most = folders
    judge = tune(args.out / f"tuned_{args.regressor}_{folders[most].name}", args.regressor, folders[most])
    cascades: dict[str, str | Path] = {"bundled": DEFAULT_CASCADE}
    for title in labelled:
        out = args.out / f"cascade_{folders[title].name}"
        cascades[title] = fit("cascade", out, folders[title], args.changes)
    here_clips, wide_clips = (test_clips(views, TEST // len(ASKED)) for views in (args.views, None))
    table = Table("cascade", *("MAE, hospital", "r", "slope"), *("MAE, wide", "r", "slope"))
    for title, cascade in cascades.items():
        pipeline = load_cascade(cascade)
        table.add_row(title, *follow(pipeline, judge, here_clips), *follow(pipeline, judge, wide_clips))
    Console().print(f"judged by {args.regressor}, tuned on {most}", table)


def test_clips(views: ViewFamily | None, count: int) -> list[EchoClip]:
    """Clips of test patients, in the hospital's views or, for None, in `wide` ones on no scanner of its."""
    seeds = range(FIRST_PATIENT + 100_000, FIRST_PATIENT + 100_000 + count)
    return [render_hospital(k, views) if views else render_held_out(k, "wide", False) for k in track(seeds, "tests")]


def follow(pipeline: EchoCascadePipeline, judge: EFRegressor, clips: Sequence[EchoClip]) -> list[str]:
    """MAE, r and slope of the EF that is read on the EF that is asked for, from the clips' first frames."""
    asked, read = [], []
    for k, true in enumerate(clips):
        for ef in ASKED:
            clip = make_clip(pipeline, Start(true.pixels[0]), ef, derive_seed(k, "hospital", f"{ef:g}"), Sampling())
            asked.append(ef)
            read.append(judge.predict([clip])[0].ef)
    error, slope = np.abs(np.subtract(read, asked)).mean(), np.polyfit(asked, read, 1)[0]
    return [f"{error:.2f}", f"{np.corrcoef(asked, read)[0, 1]:.3f}", f"{slope:.2f}"]


def write_hospital(root: Path, views: ViewFamily, patients: int) -> Path:
    """A folder in EchoNet format: clips, EF and two tracings each; one patient in five is for validation."""
    with EchoNetWriter(root) as writer:
        for k in track(range(patients), f"{patients} patients"):
            if f"H{k:05d}" not in writer:
                seed = FIRST_PATIENT + k
                clip = render_hospital(seed, views)
                split = "VAL" if k % 5 == 0 else "TRAIN"
                writer.add(f"H{k:05d}", clip, split, trace_held_out(seed, views, clip))
    return root


def tune(out: Path, name: str, folder: Path) -> EFRegressor:
    """The reader tuned on a hospital's labelled clips, by its config."""
    return load_regressor(fit(CONFIGS[name], out, folder, ()))


def fit(config: str, out: Path, folder: Path, changes: Sequence[str]) -> Path:
    """Train by a config of configs/adapt; the folder of the finished model."""
    changes = [*changes, *(f"{key}={folder}" for key in ("data.own.root", "validation.root"))]
    changes += [f"{key}={out.parent}/decoded" for key in ("data.own.cache", "validation.cache")]
    model = train(load_training_config(f"configs/adapt/{config}.yaml", changes), out).model
    assert model is not None
    return model


def score(reader: EFRegressor, clips: Sequence[EchoClip]) -> tuple[float, float, float]:
    """MAE, r and bias."""
    truth = np.array([clip.ef for clip in clips])
    read = np.array([answer.ef for answer in reader.predict(clips)])
    error = read - truth
    return float(np.abs(error).mean()), float(np.corrcoef(read, truth)[0, 1]), float(error.mean())


if __name__ == "__main__":
    main()

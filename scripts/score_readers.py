"""Score regressors on test phantoms and on scanners that they have not seen, and fit the panel's weights.

    python scripts/score_readers.py                            the members of the bundled panel, and the panel
    python scripts/score_readers.py FOLDER NAME ... --fit      weights of a panel of these, and their text for a config

Test phantoms: seeds 2,500,000 and up, families that readers are trained on; held-out families, as they are and changed
by effects that no training has (echosynth/evaluation/held_out.py). Weights are fitted on other patients (seeds
3,200,000 and up) of the held-out families as they are; the interval is measured on those that are scored.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from echosynth.cardiac.ejection_fraction import REDUCED_EF
from echosynth.evaluation.held_out import HELD_OUT_FAMILIES, render_held_out
from echosynth.evaluation.panel import fit_weights, load_panel
from echosynth.metrics.clinical import conformal_margin
from echosynth.metrics.ef_metrics import compute_ef_scores
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import load_regressor
from echosynth.video.clip import EchoClip

FIRST_TEST, FIRST_FIT = 2_500_000, 3_200_000
SETS = [("echonet", False), ("wide", False), *((family, odd) for odd in (False, True) for family in HELD_OUT_FAMILIES)]


def main() -> None:
    """Render, read, fit, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("readers", nargs="*", help="names or folders (default: the bundled panel's members)")
    parser.add_argument("--patients", type=int, default=64, help="of each set (default 64)")
    parser.add_argument("--fit", action="store_true", help="fit weights; otherwise the bundled panel's count")
    args = parser.parse_args()
    panel = load_panel()
    names = args.readers or list(panel.regressors)
    readers = [load_regressor(name) for name in names]
    weights = np.array([panel.regressors.get(name, 0.0) for name in names])
    if args.fit:
        truth, read = read_sets(readers, [(family, False) for family in HELD_OUT_FAMILIES], FIRST_FIT, args.patients)
        weights = fit_weights(np.concatenate(read), np.concatenate(truth))
    truth, read = read_sets(readers, SETS, FIRST_TEST, args.patients)
    console = Console()
    for (family, odd), true, columns in zip(SETS, truth, read, strict=True):
        table = Table("reader", "MAE", "r", "bias", "slope", f"bias, EF < {REDUCED_EF:g}")
        joint = [columns @ weights] if weights.sum() else []
        for name, values in zip([*names, *(["panel"] if joint else [])], [*columns.T, *joint], strict=True):
            table.add_row(name, *describe(true, values))
        console.print(f"{family}{', effects that no training has' if odd else ''}, n {len(true)}", table)
    if args.fit:
        errors = np.concatenate([c @ weights - t for c, t in zip(read[2:], truth[2:], strict=True)])
        rounded = ", ".join(f"{name}: {weight:.2f}" for name, weight in zip(names, weights, strict=True))
        print(f"regressors: {{{rounded}}}\nerror90: {conformal_margin(errors, 0.9):.1f}")


def read_sets(
    readers: Sequence[EFRegressor], sets: Sequence[tuple[str, bool]], first_seed: int, patients: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """True EF (N,) and EF by every reader (N, K), per cent, of each set."""
    truth, read = [], []
    for family, odd in sets:
        seeds = range(first_seed, first_seed + patients)
        clips: list[EchoClip] = [render_held_out(seed, family, odd) for seed in track(seeds, family)]  # type: ignore[arg-type]
        truth.append(np.array([clip.ef for clip in clips]))
        read.append(np.array([[answer.ef for answer in reader.predict(clips)] for reader in readers]).T)
    return truth, read


def describe(true: np.ndarray, values: np.ndarray) -> list[str]:
    """Scores of one reader on one set."""
    scores = compute_ef_scores(true.tolist(), values.tolist(), [str(k) for k in range(len(true))])
    low = (values - true)[true < REDUCED_EF].mean()
    r = np.corrcoef(true, values)[0, 1]
    return [f"{scores.mae:.2f}", f"{r:.3f}", f"{scores.bias:+.1f}", f"{scores.slope:.2f}", f"{low:+.1f}"]


if __name__ == "__main__":
    main()

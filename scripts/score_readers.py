"""Score regressors on test phantoms and on scanners that they have not seen, and fit the panel's weights.

    python scripts/score_readers.py                            the members of the bundled panel, and the panel
    python scripts/score_readers.py FOLDER NAME ... --fit      weights of a panel of these, and their text for a config
    python scripts/score_readers.py FOLDER NAME ... --effects  which effect of training's random scanners misleads them

Test phantoms (seeds 2,500,000 and up): families that readers are trained on; held-out families, as they are and changed
by effects that no training has; failing hearts that move most (echosynth/evaluation/held_out.py). Weights are fitted on
other patients (seeds 3,200,000 and up) of the held-out families as they are; the interval is measured on those that are
scored.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from echosynth.cardiac.ejection_fraction import REDUCED_EF
from echosynth.evaluation.held_out import HELD_OUT_FAMILIES, find_restless, render_held_out, render_restless
from echosynth.evaluation.panel import fit_weights, load_panel
from echosynth.metrics.clinical import conformal_margin
from echosynth.metrics.ef_metrics import compute_ef_scores
from echosynth.phantom.kinds import ViewFamily
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import load_regressor
from echosynth.seeding import derive_seed, make_generator
from echosynth.training.clips.appearance import AppearanceConfig, randomise_appearance
from echosynth.video.clip import EchoClip
from echosynth.video.resample import resize

FIRST_TEST, FIRST_FIT = 2_500_000, 3_200_000
WIDTH = 110  # of the tables, letters
EFFECT_SIDE = 56  # pixels
NEW_SCANNER_ERROR = 8.0
"""Points of EF that a reader is off on a real scanner beside what it is off on phantoms: readers of version 0.1.0 had
an MAE of 9 to 11 on 100 real clips and of 6 to 8 on held-out phantoms."""
TRAINED_FAMILIES: tuple[ViewFamily, ...] = ("echonet", "wide")
Make = Callable[[], Iterator[EchoClip]]


def main() -> None:
    """Render, read, fit, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("readers", nargs="*", help="names or folders (default: the bundled panel's members)")
    parser.add_argument("--patients", type=int, default=64, help="of each set (default 64)")
    parser.add_argument("--fit", action="store_true", help="fit weights; otherwise the bundled panel's count")
    parser.add_argument("--effects", action="store_true", help="`wide` clips changed by one random effect at a time")
    args = parser.parse_args()
    panel = load_panel()
    names = args.readers or list(panel.regressors)
    readers = [load_regressor(name) for name in names]
    weights = np.array([panel.regressors.get(name, 0.0) for name in names])
    if args.fit:
        fitted = [read(readers, make()) for make in held_out_sets(FIRST_FIT, args.patients, odd=False).values()]
        true, values = (np.concatenate(part) for part in zip(*fitted, strict=True))
        weights = fit_weights(values, true, NEW_SCANNER_ERROR)
    errors = []
    for title, make in (effect_sets if args.effects else test_sets)(args.patients).items():
        true, values = read(readers, make())
        table = Table("reader", "MAE", "r", "bias", "slope", f"bias, EF < {REDUCED_EF:g}")
        joint = [values @ weights] if abs(weights.sum() - 1) < 0.01 else []  # all members of a panel
        for name, column in zip([*names, *(["panel"] if joint else [])], [*values.T, *joint], strict=True):
            table.add_row(name, *describe(true, column))
        Console(width=WIDTH).print(f"{title}, n {len(true)}", table)
        if joint:
            Console(width=WIDTH).print(compare_agreement(true, values[:, weights > 0], joint[0]))
        if title in held_out_sets(FIRST_TEST, args.patients, odd=False):
            errors.append(values @ weights - true)
    if args.fit:
        rounded = ", ".join(f"{name}: {weight:.2f}" for name, weight in zip(names, weights, strict=True))
        print(f"regressors: {{{rounded}}}\nerror90: {conformal_margin(np.concatenate(errors), 0.9):.1f}")


def test_sets(patients: int) -> dict[str, Make]:
    """All sets that readers are scored on, by title."""
    sets: dict[str, Make] = {}
    for family in TRAINED_FAMILIES:
        sets[family] = partial(render_set, family, FIRST_TEST, patients, False)
    sets |= held_out_sets(FIRST_TEST, patients, odd=False) | held_out_sets(FIRST_TEST, patients, odd=True)
    sets["EF 10-30, the tenth that moves most"] = partial(render_all_restless, patients)
    return sets


def effect_sets(patients: int) -> dict[str, Make]:
    """The same clips in `wide` views, as they are and changed by each effect of random scanners alone."""
    names = [name for name in AppearanceConfig.model_fields if name != "grey_map"]
    none = AppearanceConfig.model_validate(dict.fromkeys(names, 0))
    alone = {name: none.model_copy(update={name: getattr(AppearanceConfig(), name)}) for name in names}
    clips = list(render_set("wide", FIRST_TEST, patients, False))
    return {title: partial(show_effect, config, clips) for title, config in {"as they are": none, **alone}.items()}


def show_effect(config: AppearanceConfig, clips: Sequence[EchoClip]) -> Iterator[EchoClip]:
    """Clips as a random scanner shows them, at the size that training changes them at."""
    for number, clip in enumerate(clips):
        light = torch.from_numpy(resize(clip.pixels, EFFECT_SIDE)).float()[None] / 255
        shown = randomise_appearance(light, config, make_generator(derive_seed(number, "effect")))
        yield clip.replace(pixels=(255 * shown[0]).round().byte().numpy())


def render_all_restless(patients: int) -> Iterator[EchoClip]:
    """Failing hearts that move most, one after the other."""
    return map(render_restless, find_restless(FIRST_TEST, patients))


def held_out_sets(first_seed: int, patients: int, odd: bool) -> dict[str, Make]:
    """The families that no training has, as they are or with effects that no training has."""
    effects = ", effects that no training has" if odd else ""
    return {f"{name}{effects}": partial(render_set, name, first_seed, patients, odd) for name in HELD_OUT_FAMILIES}


def render_set(family: ViewFamily, first_seed: int, patients: int, odd: bool) -> Iterator[EchoClip]:
    """Clips of so many patients, one after the other."""
    return (render_held_out(seed, family, odd) for seed in range(first_seed, first_seed + patients))


def read(readers: Sequence[EFRegressor], clips: Iterator[EchoClip]) -> tuple[np.ndarray, np.ndarray]:
    """True EF (N,) and EF by every reader (N, K), per cent."""
    truth, found = [], []
    for clip in clips:
        truth.append(clip.ef)
        found.append([reader.predict([clip])[0].ef for reader in readers])
    return np.array(truth), np.array(found)


def compare_agreement(true: np.ndarray, members: np.ndarray, joint: np.ndarray) -> str:
    """The panel's error where its members agree better than in half of the clips, and in the other half."""
    spread, error = np.ptp(members, axis=1), np.abs(joint - true)
    close = spread <= np.median(spread)
    halves = f"{error[close].mean():.2f} where its members are within {np.median(spread):.0f} points of each other"
    return f"panel: MAE {halves}, {error[~close].mean():.2f} elsewhere"


def describe(true: np.ndarray, values: np.ndarray) -> list[str]:
    """Scores of one reader on one set."""
    scores = compute_ef_scores(true.tolist(), values.tolist(), [str(k) for k in range(len(true))])
    low = (values - true)[true < REDUCED_EF].mean()
    r = np.corrcoef(true, values)[0, 1]
    return [f"{scores.mae:.2f}", f"{r:.3f}", f"{scores.bias:+.1f}", f"{scores.slope:.2f}", f"{low:+.1f}"]


if __name__ == "__main__":
    main()

"""How the EF that unlike readers see follows the EF asked for, on frames of scanners that the cascade has not seen.

    python scripts/score_generator.py                          all three sources, judged by the bundled panel
    python scripts/score_generator.py --sources real --model runs/adapt_cascade/pipeline

Sources: `real`, frames of the clip that pydicom carries and, with the extra `real` (pydicom-data), of a longer one of
the same heart at 480x640; `held-out`, frames of phantoms of view families and with effects that no training has;
`known`, frames of phantoms in the views that the cascade has learnt. One sample each: no gate, no retries, no
correction by a reader.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.data.clip_files import load_clip_file
from echosynth.diffusion.loading import DEFAULT_CASCADE, load_cascade
from echosynth.evaluation.held_out import HELD_OUT_FAMILIES, render_held_out
from echosynth.evaluation.panel import load_panel
from echosynth.metrics.ef_metrics import compute_ef_scores
from echosynth.metrics.similarity import compare_clips
from echosynth.phantom.kinds import ViewFamily
from echosynth.regression.loading import load_regressor
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip
from echosynth.video.resample import resize

FIRST_PATIENT = 2_600_000
EFS = {"real": (20.0, 30.0, 40.0, 50.0, 60.0, 70.0), "held-out": (25.0, 45.0, 65.0), "known": (25.0, 45.0, 65.0)}
WIDTH = 110  # of the tables, letters
Frames = Iterator[tuple[str, np.ndarray]]


def main() -> None:
    """Generate, read, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_CASCADE)
    parser.add_argument("--sources", nargs="+", choices=list(EFS), default=list(EFS))
    parser.add_argument("--patients", type=int, default=24, help="of each set of phantoms (default 24)")
    args = parser.parse_args()
    pipeline, panel = load_cascade(args.model), load_panel()
    readers = {name: load_regressor(name) for name in panel.regressors}
    weights = np.array(list(panel.regressors.values()))
    for title, (kind, frames) in list_sources(args.sources, args.patients).items():
        asked, values, alike, names = [], [], [], []
        for name, frame in track(list(frames()), title):
            for ef in EFS[kind]:
                seed = derive_seed(0, "frame", name, f"{ef:g}")
                clip = make_clip(pipeline, Start(frame), ef, seed, Sampling())
                asked.append(ef)
                names.append(name)
                values.append([reader.predict([clip])[0].ef for reader in readers.values()])
                alike.append(compare_first_frame(clip, frame))
        table = Table("reader", "r", "slope", "MAE", "bias", *[f"at {ef:g}" for ef in EFS[kind]])
        read = np.array(values)
        for name, column in zip([*readers, "panel"], [*read.T, read @ weights], strict=True):
            table.add_row(name, *describe(np.array(asked), column, names))
        Console(width=WIDTH).print(
            f"{title}, n {len(asked)}; SSIM of the first frame with the frame: {np.mean(alike):.3f}", table
        )


def list_sources(kinds: Sequence[str], patients: int) -> dict[str, tuple[str, Callable[[], Frames]]]:
    """Where frames come from, by title."""
    sources: dict[str, tuple[str, Callable[[], Frames]]] = {}
    if "real" in kinds:
        for title, path, step in find_real_clips():
            sources[title] = ("real", partial(cut_frames, path, step))
    if "held-out" in kinds:
        for family in HELD_OUT_FAMILIES:
            sources[f"{family}, effects that no training has"] = ("held-out", partial(draw, family, patients, True))
    if "known" in kinds:
        sources["wide"] = ("known", partial(draw, "wide", patients, False))
    return sources


def find_real_clips() -> Iterator[tuple[str, Path, int]]:
    """The real clips at hand: a title, the file, and of how many frames one is taken."""
    from pydicom import examples
    from pydicom.data import get_testdata_file

    yield "ybr_color", Path(examples.get_path("ybr_color")), 5
    if path := get_testdata_file("color3d_jpeg_baseline.dcm", download=False):
        yield "color3d_jpeg_baseline", Path(str(path)), 20


def cut_frames(path: Path, step: int) -> Frames:
    """Every so many frames of a file."""
    clip = load_clip_file(path)
    return ((f"{path.name} {k}", clip.pixels[k]) for k in range(0, clip.num_frames, step))


def draw(family: ViewFamily, patients: int, effects: bool) -> Frames:
    """The first frames of phantom patients' clips, at any EF and any phase."""
    for seed in range(FIRST_PATIENT, FIRST_PATIENT + patients):
        clip = render_held_out(seed, family, effects)
        yield clip.source, clip.pixels[0]


def compare_first_frame(clip: EchoClip, frame: np.ndarray) -> float:
    """SSIM of a generated clip's first frame with the frame that it started from."""
    side = clip.pixels.shape[-1]
    wanted = frame if frame.shape == (side, side) else resize(frame, side)
    return compare_clips(clip.pixels[:1], wanted[None]).ssim


def describe(asked: np.ndarray, read: np.ndarray, names: Sequence[str]) -> list[str]:
    """Scores of one reader on one source."""
    scores = compute_ef_scores(asked.tolist(), read.tolist(), names)
    means = [f"{read[asked == ef].mean():.0f}" for ef in np.unique(asked)]
    r = np.corrcoef(asked, read)[0, 1]
    return [f"{r:.3f}", f"{scores.slope:.2f}", f"{scores.mae:.2f}", f"{scores.bias:+.1f}", *means]


if __name__ == "__main__":
    main()

"""Draw the pictures in samples/.

    python scripts/make_samples.py

demo_phantom.png     one phantom patient, clips at EF 25, 45 and 65, the TRUE counterfactual under each
phantom_views.png    phantom patients in every family of views: ED, ES at EF 60, ES at EF 30, and that one labelled
ef_sweep.png         one phantom patient at EF 15, 25, ... 75 from one frame: a beat, the row of the truth under each
patients.png         six phantom patients at five EFs: the conditioning frame (ED), and ES of each clip
long_clip.png        six seconds of one phantom patient, a row a second
fictional.png        three fictional patients, frames sampled at quality good: a beat at EF 30 and at EF 60
fictional_quality.png  the frames of eight fictional patients at quality poor, at no given quality, and at quality good

Every clip is the first that was generated; none was chosen.

Phantom patients only: a picture of a person does not belong in a repository.
"""

from pathlib import Path

import numpy as np

from echosynth.augmentation.sampling import Sampling, Start, make_clip, sample_frame
from echosynth.diffusion.conditions import QUALITY_WORDS
from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.evaluation.cases import render_pair
from echosynth.evaluation.demo import PHANTOM_EFS, PHANTOM_PHASE, PHANTOM_SEEDS, TARGET_EFS
from echosynth.phantom.maps import label_pixels
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.phantom.view_families import VIEW_FAMILIES
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import DEFAULT_JUDGE, load_regressor
from echosynth.report.overlay import paint_labels
from echosynth.report.sheet import contact_sheet
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_png

FIRST_PATIENT = 40
FIRST_GRID = 3_000_020
GRID_EFS = (20.0, 35.0, 50.0, 65.0, 80.0)
END_SYSTOLE = 11  # of a clip at 32 Hz that begins at end-diastole, at 75 beats a minute
SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def draw_views(columns: int = 3, cell: int = 2) -> np.ndarray:
    """Each row a family; per patient ED, ES at EF 60, ES at EF 30, and the labels of the last."""
    rows = []
    for family in VIEW_FAMILIES:
        tiles = []
        for seed in range(FIRST_PATIENT, FIRST_PATIENT + columns):
            patient = sample_patient(seed, bulk_motion=False)
            phantom = Phantom([patient], [sample_view(seed, patient.long_axis, family)], [seed])
            high, truth = phantom.render([60.0], 24, 32.0)
            low, low_truth = phantom.render([30.0], 24, 32.0)
            es = truth.es_frame(0)
            labels = label_pixels(phantom, low_truth)[0, es].numpy()
            nothing = np.zeros_like(labels)
            frames = [(high[0, 0], nothing), (high[0, es], nothing), (low[0, es], nothing), (low[0, es], labels)]
            tiles += [paint_labels(pixels.numpy(), label) for pixels, label in frames]
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows, axis=0).repeat(cell, 0).repeat(cell, 1)


def draw_sweep(pipeline: EchoCascadePipeline, judge: EFRegressor) -> np.ndarray:
    """One patient from one end-diastolic frame at seven EFs, each above its truth."""
    rows: list[EchoClip] = []
    labels: list[str] = []
    for ef in np.arange(15.0, 80.0, 10.0).tolist():
        frame, truth = render_pair(PHANTOM_SEEDS[1], PHANTOM_EFS[1], ef, 64, 32.0, 0.0)
        clip = make_clip(pipeline, Start(frame), ef, derive_seed(0, f"sweep {ef:g}"), Sampling())
        rows += [clip.replace(pixels=clip.pixels[:32]), truth.replace(pixels=truth.pixels[:32])]
        labels += [f"EF {ef:g} asked\n{judge.predict([clip])[0].ef:.0f} judge", f"the truth\nat EF {ef:g}"]
    return contact_sheet(rows, labels, columns=6, cell=112)


def draw_patients(pipeline: EchoCascadePipeline, patients: int = 6, cell: int = 2) -> np.ndarray:
    """Rows of patients: the end-diastolic frame that all clips begin with, then end-systole at each of `GRID_EFS`."""
    sampling = Sampling(conditions={"phase": 0.0, "heart_rate": 75.0})
    rows = []
    for patient in range(FIRST_GRID, FIRST_GRID + patients):
        frame, _ = render_pair(patient, 55.0, 55.0, 1, 32.0, 0.0)
        tiles = [frame]
        for ef in GRID_EFS:
            clip = make_clip(pipeline, Start(frame), ef, derive_seed(0, f"grid {patient} {ef:g}"), sampling)
            tiles.append(clip.pixels[END_SYSTOLE])
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows, axis=0).repeat(cell, 0).repeat(cell, 1)


def draw_long(pipeline: EchoCascadePipeline) -> np.ndarray:
    """Six seconds in one piece."""
    frame, _ = render_pair(PHANTOM_SEEDS[0], PHANTOM_EFS[0], 50.0, 1, 32.0, PHANTOM_PHASE)
    clip = make_clip(pipeline, Start(frame), 50.0, derive_seed(0, "long"), Sampling(seconds=6.0))
    rows = [clip.replace(pixels=clip.pixels[k : k + 32]) for k in range(0, 192, 32)]
    return contact_sheet(rows, [f"second {k + 1}" for k in range(6)], columns=8, cell=112)


def draw_qualities(pipeline: EchoCascadePipeline, patients: int = 8) -> np.ndarray:
    """A column per fictional patient, a row per quality: poor, none given, good."""
    seeds = [derive_seed(0, "fictional", patient) for patient in range(1, patients + 1)]
    rows = [
        [sample_frame(pipeline, seed, {"quality": quality}) for seed in seeds]
        for quality in (QUALITY_WORDS["poor"], None, QUALITY_WORDS["good"])
    ]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def draw_fictional(pipeline: EchoCascadePipeline, judge: EFRegressor, patients: int = 3) -> np.ndarray:
    """Fictional patients: the first beats at EF 30 and at EF 60."""
    rows: list[EchoClip] = []
    labels: list[str] = []
    for patient in range(1, patients + 1):
        frame = sample_frame(pipeline, derive_seed(0, "fictional", patient), {"quality": QUALITY_WORDS["good"]})
        for ef in (30.0, 60.0):
            clip = make_clip(pipeline, Start(frame), ef, derive_seed(0, f"fictional {patient} {ef:g}"), Sampling())
            rows.append(clip.replace(pixels=clip.pixels[:32]))
            labels.append(f"EF {ef:g} asked\n{judge.predict([clip])[0].ef:.0f} judge")
    return contact_sheet(rows, labels, columns=8, cell=112)


def main() -> None:
    """Generate, measure, draw."""
    write_png(SAMPLES / "phantom_views.png", draw_views(), synthetic=True)
    pipeline, judge = load_cascade(), load_regressor(DEFAULT_JUDGE)
    patient, own_ef = PHANTOM_SEEDS[0], PHANTOM_EFS[0]
    rows: list[EchoClip] = []
    labels: list[str] = []
    for ef in TARGET_EFS:
        frame, truth = render_pair(patient, own_ef, ef, 64, 32.0, PHANTOM_PHASE)
        clip = make_clip(pipeline, Start(frame), ef, derive_seed(0, f"sample {ef:g}"), Sampling())
        found = judge.predict([clip])[0].ef
        rows += [clip.replace(pixels=clip.pixels[:32]), truth.replace(pixels=truth.pixels[:32])]
        labels += [f"EF {ef:g} asked\n{found:.0f} judge", f"the truth\nat EF {ef:g}"]
    write_png(SAMPLES / "demo_phantom.png", contact_sheet(rows, labels, columns=7), synthetic=True)
    write_png(SAMPLES / "ef_sweep.png", draw_sweep(pipeline, judge), synthetic=True)
    write_png(SAMPLES / "patients.png", draw_patients(pipeline), synthetic=True)
    write_png(SAMPLES / "long_clip.png", draw_long(pipeline), synthetic=True)
    write_png(SAMPLES / "fictional.png", draw_fictional(pipeline, judge), synthetic=True)
    write_png(SAMPLES / "fictional_quality.png", draw_qualities(pipeline), synthetic=True)


if __name__ == "__main__":
    main()

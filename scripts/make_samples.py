"""Draw the pictures in samples/.

    python scripts/make_samples.py

demo_phantom.png     one phantom patient, clips at EF 25, 45 and 65, the TRUE counterfactual under each
phantom_views.png    phantom patients in every family of views: ED, ES at EF 60, ES at EF 30, and that one labelled

Phantom patients only: a picture of a person does not belong in a repository.
"""

from pathlib import Path

import numpy as np

from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.commands.demo import EFS, PHANTOM_EFS, PHANTOM_PHASE, PHANTOM_SEEDS
from echosynth.commands.evaluation_cases import render_pair
from echosynth.diffusion.loading import load_cascade
from echosynth.phantom.maps import label_pixels
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.phantom.view_families import VIEW_FAMILIES
from echosynth.regression.loading import DEFAULT_JUDGE, load_regressor
from echosynth.report.overlay import paint_labels
from echosynth.report.sheet import contact_sheet
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip
from echosynth.video.files import write_png

FIRST_PATIENT = 40
SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def draw_views(columns: int = 3, cell: int = 2) -> np.ndarray:
    """Each row a family; per patient ED, ES at EF 60, ES at EF 30, and the labels of the last."""
    rows = []
    for family in VIEW_FAMILIES:
        tiles = []
        for seed in range(FIRST_PATIENT, FIRST_PATIENT + columns):
            patient = sample_patient(seed)
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


def main() -> None:
    """Generate, measure, draw."""
    write_png(SAMPLES / "phantom_views.png", draw_views(), synthetic=True)
    pipeline, judge = load_cascade(), load_regressor(DEFAULT_JUDGE)
    patient, own_ef = PHANTOM_SEEDS[0], PHANTOM_EFS[0]
    rows: list[EchoClip] = []
    labels: list[str] = []
    for ef in EFS:
        frame, truth = render_pair(patient, own_ef, ef, 64, 32.0, PHANTOM_PHASE)
        clip = make_clip(pipeline, Start(frame), ef, derive_seed(0, f"sample {ef:g}"), Sampling())
        found = judge.predict([clip])[0].ef
        rows += [clip.replace(pixels=clip.pixels[:32]), truth.replace(pixels=truth.pixels[:32])]
        labels += [f"EF {ef:g} asked\n{found:.0f} judge", f"the truth\nat EF {ef:g}"]
    write_png(SAMPLES / "demo_phantom.png", contact_sheet(rows, labels, columns=7), synthetic=True)


if __name__ == "__main__":
    main()

"""Draw samples/demo_phantom.png: one phantom patient, clips at EF 25, 45 and 65, the TRUE counterfactual under each.

    python scripts/make_samples.py

Phantom patients only: a picture of a person does not belong in a repository.
"""

from pathlib import Path

from echosynth.augmentation.generate import Sampling, make_clip
from echosynth.commands.demo import EFS, PHANTOM_EFS, PHANTOM_PHASE, PHANTOM_SEEDS
from echosynth.commands.evaluation_cases import render_pair
from echosynth.diffusion.loading import load_cascade
from echosynth.regression.loading import DEFAULT_JUDGE, load_regressor
from echosynth.report.sheet import contact_sheet
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip
from echosynth.video.files import write_png

SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def main() -> None:
    """Generate, measure, draw."""
    pipeline, judge = load_cascade(), load_regressor(DEFAULT_JUDGE)
    patient, own_ef = PHANTOM_SEEDS[0], PHANTOM_EFS[0]
    rows: list[EchoClip] = []
    labels: list[str] = []
    for ef in EFS:
        frame, truth = render_pair(patient, own_ef, ef, 64, 32.0, PHANTOM_PHASE)
        clip = make_clip(pipeline, frame, ef, derive_seed(0, f"sample {ef:g}"), Sampling())
        found = judge.predict([clip])[0].ef
        rows += [clip.replace(pixels=clip.pixels[:32]), truth.replace(pixels=truth.pixels[:32])]
        labels += [f"EF {ef:g} asked\n{found:.0f} judge", f"the truth\nat EF {ef:g}"]
    write_png(SAMPLES / "demo_phantom.png", contact_sheet(rows, labels, columns=7), synthetic=True)


if __name__ == "__main__":
    main()

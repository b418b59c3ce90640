"""How the judged EF follows the asked EF on the real clip that pydicom carries, as JSON.

    python scripts/score_real_clip.py [--model NAME] [--judge NAME]

Every fifth frame of the clip is asked for EF 20, 30, ... 70, one sample each, no gate, no retries.
"""

import argparse
import json

import numpy as np

from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.data.clip_files import load_clip_file
from echosynth.diffusion.loading import DEFAULT_CASCADE, load_cascade
from echosynth.regression.loading import DEFAULT_JUDGE, load_regressor
from echosynth.seeding import derive_seed

EFS = (20.0, 30.0, 40.0, 50.0, 60.0, 70.0)


def main() -> None:
    """Generate, judge, fit a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default=DEFAULT_CASCADE)
    parser.add_argument("--judge", default=DEFAULT_JUDGE)
    args = parser.parse_args()
    from pydicom import examples

    pipeline, judge = load_cascade(args.model), load_regressor(args.judge)
    real = load_clip_file(examples.get_path("ybr_color"))
    asked, judged = [], []
    for frame in range(0, real.num_frames, 5):
        for ef in EFS:
            seed = derive_seed(0, "real clip", frame, f"{ef:g}")
            clip = make_clip(pipeline, Start(real.pixels[frame]), ef, seed, Sampling())
            asked.append(ef)
            judged.append(judge.predict([clip])[0].ef)
    slope, intercept = np.polyfit(asked, judged, 1)
    by_frame = np.reshape(judged, (-1, len(EFS)))
    means = {f"{ef:g}": round(float(mean), 1) for ef, mean in zip(EFS, by_frame.mean(0), strict=True)}
    scores = {"n": len(asked), "slope": slope, "intercept": intercept, "pearson_r": np.corrcoef(asked, judged)[0, 1]}
    scores = {key: round(float(value), 3) for key, value in scores.items()}
    print(json.dumps(scores | {"own_ef_by_judge": round(judge.predict([real])[0].ef, 1), "mean_by_asked_ef": means}))


if __name__ == "__main__":
    main()

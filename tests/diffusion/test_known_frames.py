"""The bundled cascade fills gaps in true clips: what is known of the beat has its say in what is not."""

import numpy as np
import pytest
import torch

from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.observed import ObservedFrames
from echosynth.evaluation.cases import render_pair
from echosynth.seeding import make_generator
from echosynth.video.clip import to_network
from tests.models import CASCADE

HIDDEN = slice(20, 44)


@pytest.mark.heavy
def test_a_gap_is_filled_by_what_surrounds_it() -> None:
    pipeline = load_cascade(CASCADE)
    pipeline.set_progress_bar_config(disable=True)
    off: dict[str, list[float]] = {"known": [], "one jump": [], "unknown": []}
    for seed, ef in ((3_000_001, 60.0), (3_000_002, 35.0), (3_000_004, 55.0)):
        _, truth = render_pair(seed, ef, ef, 64, 32.0, 0.0)
        clip = to_network(truth.pixels)[None, None]
        kept = torch.ones(1, 64, dtype=torch.bool)
        kept[:, HIDDEN] = False
        known = ObservedFrames(clip, kept)
        for name, told in (
            ("known", {"observed": known}),
            ("one jump", {"observed": known, "num_inference_steps": 1}),
            ("unknown", {}),
        ):
            made = pipeline(clip[:, :, 0], ef, generator=make_generator(seed), **told).clips[0]
            off[name].append(float(np.abs(made[HIDDEN].astype(float) - truth.pixels[HIDDEN]).mean()))
            if "observed" in told:
                assert np.array_equal(made[: HIDDEN.start], truth.pixels[: HIDDEN.start])
                assert np.array_equal(made[HIDDEN.stop :], truth.pixels[HIDDEN.stop :])
    known, one, unknown = (np.mean(off[name]) for name in off)
    assert known < 0.95 * unknown
    assert known < 0.97 * one, "in one jump the base sees next to nothing of them"

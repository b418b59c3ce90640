"""The bundled cascade fills gaps in true clips: the observed frames influence the generated ones."""

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
    off: dict[str, list[float]] = {"observed": [], "one step": [], "free": []}
    for seed, ef in ((3_000_001, 60.0), (3_000_002, 35.0), (3_000_004, 55.0)):
        _, truth = render_pair(seed, ef, ef, 64, 32.0, 0.0)
        clip = to_network(truth.pixels)[None, None]
        kept = torch.ones(1, 64, dtype=torch.bool)
        kept[:, HIDDEN] = False
        observed = ObservedFrames(clip, kept)
        for name, options in (
            ("observed", {"observed": observed}),
            ("one step", {"observed": observed, "num_inference_steps": 1}),
            ("free", {}),
        ):
            made = pipeline(clip[:, :, 0], ef, generator=make_generator(seed), **options).clips[0]
            off[name].append(float(np.abs(made[HIDDEN].astype(float) - truth.pixels[HIDDEN]).mean()))
            if "observed" in options:
                assert np.array_equal(made[: HIDDEN.start], truth.pixels[: HIDDEN.start])
                assert np.array_equal(made[HIDDEN.stop :], truth.pixels[HIDDEN.stop :])
    observed_off, one_step, free = (np.mean(off[name]) for name in off)
    assert observed_off < 0.95 * free
    assert observed_off < 0.97 * one_step, "in one step the base sees next to nothing of them"

"""The same moment in another beat: on phantoms, whose volume and time are known."""

import numpy as np
import pytest
import torch

from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.training.clips.other_beat import SHORTEST_BEAT, find_other_beat

FPS, FRAMES = 32.0, 90


@pytest.fixture(scope="module")
def beats() -> list[tuple[torch.Tensor, np.ndarray, float]]:
    """Clips, the volume of every frame as a share of the stroke, and beats a second."""
    made = []
    for seed in (300, 301, 302):
        patient = sample_patient(seed)
        phantom = Phantom([patient], [sample_view(seed, patient.long_axis)], [seed])
        pixels, truth = phantom.render([60.0], FRAMES, FPS, [0.2])
        volume = truth.motion.volume[0].numpy()
        made.append((pixels[0], (volume - volume.min()) / np.ptp(volume), patient.heart_rate / 60))
    return made


def test_the_other_frame_shows_the_same_moment_of_another_beat(
    beats: list[tuple[torch.Tensor, np.ndarray, float]],
) -> None:
    out, off = [], []
    for pixels, volume, rate in beats:
        for frame in range(4, FRAMES - 4, 5):
            other = find_other_beat(pixels, FPS, frame)
            if other is None:
                continue
            assert abs(other - frame) >= SHORTEST_BEAT * FPS
            beats_away = (other - frame) / FPS * rate
            out.append(abs(beats_away - round(beats_away)))  # in diastasis, moments of a quarter of a beat are alike
            off.append(abs(volume[other] - volume[frame]))
    assert len(out) > 20
    assert np.median(out) < 0.05
    assert max(out) < 0.3
    assert np.mean(off) < 0.06


def test_a_single_beat_and_its_ends_have_no_other(beats: list[tuple[torch.Tensor, np.ndarray, float]]) -> None:
    pixels, _, rate = beats[0]
    single = pixels[: int(0.9 * FPS / rate)]
    assert all(find_other_beat(single, FPS, frame) is None for frame in range(len(single)))
    assert find_other_beat(pixels, FPS, 0) is None
    assert find_other_beat(pixels, FPS, FRAMES - 1) is None
    assert find_other_beat(torch.zeros(7, 16, 16, dtype=torch.uint8), FPS, 3) is None


def test_noise_repeats_nothing() -> None:
    noise = torch.randint(0, 256, (80, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert all(find_other_beat(noise, FPS, frame) is None for frame in range(4, 76))

"""Appearance: closed forms on pictures whose answer is known."""

import numpy as np
import pytest
from scipy import ndimage

from echosynth.metrics.appearance import RATE, measure_appearance, percentiles
from echosynth.video.resample import resample_time


def noise_clip(blur: tuple[float, float], frames: int = 4, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(frames, 96, 96))
    smooth = ndimage.gaussian_filter(noise, (0, *blur))
    return np.clip(120 + 30 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def test_grey_levels() -> None:
    pixels = np.zeros((2, 10, 10), np.uint8)
    pixels[:, :, 5:] = 200
    pixels[0, 0, 0] = 20
    found = measure_appearance(pixels)
    assert found["mean"] == pytest.approx(100.1)
    assert found["p99"] == 200
    assert found["ever_lit"] == 0.51
    assert found["below_2"] == pytest.approx(0.495)
    assert found["below_128"] == pytest.approx(0.5)


def test_coherence_in_time() -> None:
    still = noise_clip((1, 1))[:1].repeat(4, axis=0)
    assert measure_appearance(still)["frame_correlation"] == pytest.approx(1.0)
    assert abs(measure_appearance(noise_clip((1, 1)))["frame_correlation"]) < 0.1


def test_grain_knows_its_direction() -> None:
    tall, wide = measure_appearance(noise_clip((1.5, 0.3))), measure_appearance(noise_clip((0.3, 1.5)))
    assert tall["grain_y"] > tall["grain_x"] + 0.3
    assert wide["grain_x"] > wide["grain_y"] + 0.3
    white = measure_appearance(noise_clip((0, 0)))
    assert abs(white["grain_x"]) < 0.1  # white noise minus its blur is almost white
    assert white["grain"] == pytest.approx(30, rel=0.1)


def test_the_rate_of_the_file_does_not_matter() -> None:
    slow = noise_clip((1, 1), frames=5)
    fast = slow.repeat(4, axis=0)[:17]
    assert measure_appearance(resample_time(fast, 32.0, RATE)) == pytest.approx(measure_appearance(slow))


def test_what_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="black"):
        measure_appearance(np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="short"):
        measure_appearance(np.full((1, 8, 8), 99, np.uint8))


def test_percentiles() -> None:
    assert percentiles([{"a": float(k)} for k in range(101)]) == {"a": [5.0, 25.0, 50.0, 75.0, 95.0]}

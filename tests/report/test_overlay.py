"""Overlay: only what is labelled changes colour."""

import numpy as np
import pytest

from echosynth.report.overlay import COLOURS, OPACITY, paint_labels


def test_only_labelled_pixels_change() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    labels = np.zeros_like(pixels)
    labels[0, 2, 3] = 1
    painted = paint_labels(pixels, labels)
    assert painted.shape == (2, 8, 8, 3)
    grey = np.repeat(pixels[..., None], 3, -1)
    assert (painted != grey).any(-1).sum() <= 1
    expected = (1 - OPACITY) * pixels[0, 2, 3] + OPACITY * np.array(COLOURS[1])
    np.testing.assert_allclose(painted[0, 2, 3], expected, atol=0.5)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        paint_labels(np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8))

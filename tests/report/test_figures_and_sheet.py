"""Figures and contact sheets: they are pictures, they show what was given, they refuse what they cannot show."""

import io

import numpy as np
import pytest
from PIL import Image

from echosynth.report.figures import (
    bland_altman,
    ef_histogram,
    ef_residuals,
    ef_scatter,
    embedding_map,
    figure_to_png,
)
from echosynth.report.sheet import contact_sheet, frame_indices
from echosynth.video.clip import EchoClip


def test_bland_altman_lines_are_bias_and_limits() -> None:
    rng = np.random.default_rng(0)
    t = rng.uniform(10, 80, 50)
    m = t + rng.normal(3, 4, 50)
    lines = [float(np.asarray(line.get_ydata())[0]) for line in bland_altman(t, m).axes[0].lines]
    sd = np.std(m - t, ddof=1)
    assert lines == pytest.approx([0, np.mean(m - t), np.mean(m - t) - 1.96 * sd, np.mean(m - t) + 1.96 * sd])


def test_scatter_shows_every_clip_and_png_is_reproducible() -> None:
    figure = ef_scatter([20, 40, 60], [25, 38, 130])
    axes = figure.axes[0]
    assert len(np.asarray(axes.collections[-1].get_offsets())) == 3
    assert axes.get_ylim()[1] >= 130
    png = figure_to_png(figure)
    assert Image.open(io.BytesIO(png)).size[0] > 300
    assert png == figure_to_png(ef_scatter([20, 40, 60], [25, 38, 130]))


def test_residuals_tell_how_many_intervals_hold() -> None:
    axes = ef_residuals([20, 40, 60, 80], [21, 42, 57, 70], [1, 1, 2, 2], "residuals").axes[0]
    assert axes.texts[0].get_text().startswith("50 %".replace(" ", ""))
    assert sum(len(bars.lines[0].get_xdata()) for bars in axes.containers) == 4  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="one deviation"):
        ef_residuals([20, 40], [21, 42], [1], "residuals")


def test_histogram_counts_every_clip() -> None:
    axes = ef_histogram([60, 61, 62], [60, 61, 62, 20, 100]).axes[0]
    heights = sorted(sum(patch.get_height() for patch in group) for group in axes.containers)  # type: ignore[attr-defined]
    assert heights == [3, 5]
    with pytest.raises(ValueError, match="0-100"):
        ef_histogram([0.6], [120])


def test_frames_run_from_ed_to_es_in_time() -> None:
    clip = EchoClip(np.zeros((30, 16, 16), np.uint8), 50, ed_frame=4, es_frame=14)
    assert frame_indices(clip, 6) == [4, 6, 8, 10, 12, 14]
    assert frame_indices(clip.replace(ed_frame=14, es_frame=4), 3) == [4, 9, 14]
    assert frame_indices(clip.replace(es_frame=None), 2) == [0, 29]


def test_contact_sheet_shows_the_frames() -> None:
    pixels = np.arange(0, 250, 10, dtype=np.uint8)[:, None, None] * np.ones((1, 20, 30), np.uint8)
    clip = EchoClip(pixels, 50, ed_frame=2, es_frame=22)
    sheet = contact_sheet([clip, clip.replace(pixels=pixels[:, ::2])], ["EF 25 asked\n27 gate", "truth"], columns=3)
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3
    greys = {int(p[0]) for p in sheet.reshape(-1, 3)[::7] if p[0] == p[1] == p[2]}
    assert {20, 120, 220} <= greys
    with pytest.raises(ValueError, match="label"):
        contact_sheet([clip], [])


def test_embedding_map_shows_every_clip_along_its_first_component() -> None:
    rng = np.random.default_rng(0)
    ef = rng.uniform(10, 85, 40)
    features = np.outer(ef, [3.0, -4.0, 0.0]) + rng.normal(0, 0.1, (40, 3))
    figure = embedding_map(features, ef, "map")
    shown = figure.axes[0].collections[0]
    assert abs(np.corrcoef(shown.get_offsets()[:, 0], ef)[0, 1]) > 0.999
    np.testing.assert_array_equal(shown.get_array(), ef)
    with pytest.raises(ValueError, match="three embeddings"):
        embedding_map(features[:2], ef[:2], "map")
    with pytest.raises(ValueError, match="one EF each"):
        embedding_map(features, ef[:5], "map")

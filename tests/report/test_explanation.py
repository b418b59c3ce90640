"""The explanation: one panel for each thing that is known, and a picture without heat stays as it is."""

from typing import Any

import numpy as np
import pytest

from echosynth.evaluation.explain import Explanation
from echosynth.report.explanation import SHOWN_SIDE, animate_heat, draw_explanation, paint_heat


def explanation(**known: Any) -> Explanation:
    rng = np.random.default_rng(0)
    none: dict[str, Any] = {"landmarks": None, "curve": None, "paths": None}
    parts = none | {"phases": (0, 3)} | known
    pixels, heat = rng.integers(0, 256, (6, 16, 16), dtype=np.uint8), rng.random((6, 16, 16))
    return Explanation(regressor="a", pixels=pixels, fps=16.0, heat=heat, ef=50.0, **parts)


@pytest.mark.parametrize(
    ("known", "panels"),
    [
        ({}, 4),
        ({"landmarks": np.full((2, 1, 21, 2, 2), 0.5)}, 4),
        ({"landmarks": np.full((2, 2, 21, 2, 2), 0.5)}, 4),
        ({"curve": np.linspace(1, 0.5, 6)}, 5),
        ({"paths": np.full((1, 30), 40.0)}, 5),
        ({"paths": np.full((9, 30), 40.0), "true_ef": 44.0}, 6),
    ],
)
def test_what_is_known_is_drawn(known: dict[str, Any], panels: int) -> None:
    true_ef = known.pop("true_ef", None)
    figure = draw_explanation(explanation(**known), "a on b", true_ef)
    assert len(figure.axes) == panels
    lines = sum(len(axes.lines) for axes in figure.axes[:4])
    assert lines == (4 * known["landmarks"].shape[1] if "landmarks" in known else 0)  # outline and axis at both phases
    assert figure.get_suptitle() == "a on b: EF 50 %" + ("" if true_ef is None else ", true 44 %")


def test_heat_is_laid_over_the_picture() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) * 3
    cold = paint_heat(pixels, np.zeros((1, 8, 8)))
    np.testing.assert_array_equal(cold, np.repeat(pixels[..., None], 3, axis=-1))
    hot = paint_heat(pixels, np.ones((1, 8, 8)))
    assert (hot[..., 0].astype(int) - cold[..., 0] > 30).all()
    np.testing.assert_allclose(hot[..., 2], 0.4 * pixels, atol=0.51)


def test_the_animation_keeps_frames_and_places() -> None:
    seen = explanation()
    moving = animate_heat(seen)
    assert moving.shape == (6, SHOWN_SIDE, SHOWN_SIDE, 3)
    assert moving.dtype == np.uint8
    painted = paint_heat(seen.pixels, seen.heat)
    means = moving.reshape(6, 16, SHOWN_SIDE // 16, 16, SHOWN_SIDE // 16, 3).mean(axis=(2, 4))
    assert np.corrcoef(means.ravel(), painted.ravel())[0, 1] > 0.95


def test_moments_are_named_only_where_they_are_known() -> None:
    titles = [axes.get_title() for axes in draw_explanation(explanation(phases=None), "t").axes]
    assert titles == ["0.00 s", "0.19 s", "heat, 0.00 s", "heat, 0.19 s"]
    assert draw_explanation(explanation(), "t").axes[0].get_title() == "ED, 0.00 s"

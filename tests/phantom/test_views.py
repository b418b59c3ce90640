"""View families: inside the wide one, and different from each other where their names say so."""

import numpy as np
import pytest

from echosynth.phantom.kinds import ViewFamily
from echosynth.phantom.scanner import sample_view
from echosynth.phantom.view_families import HARMFUL, QUALITIES, VIEW_FAMILIES, WIDE

COUNT = 300


def draw(family: str, name: str) -> np.ndarray:
    return np.array([getattr(sample_view(seed, 8.5, family), name) for seed in range(COUNT)])


@pytest.mark.parametrize("family", ["echonet", "camus", "point-of-care"])
def test_wide_contains_every_family(family: ViewFamily) -> None:
    for name, (low, high) in VIEW_FAMILIES[family].items():
        if name == "half_angle":  # drawn from its rare range elsewhere
            assert WIDE["half_angle_rare"][0] <= low <= high <= WIDE["half_angle_rare"][1]
        elif name != "tilt" and not name.startswith("p_"):
            assert WIDE[name][0] <= low <= high <= WIDE[name][1], name
    assert VIEW_FAMILIES[family].keys() == WIDE.keys()


@pytest.mark.heavy
def test_families_are_what_their_names_say() -> None:
    assert draw("point-of-care", "depth").mean() > draw("echonet", "depth").mean() + 2
    assert draw("point-of-care", "gain").mean() < draw("echonet", "gain").mean() - 1
    assert not draw("camus", "corner_cut").any()
    assert draw("echonet", "corner_cut").mean() > 0.8
    assert not draw("camus", "marks").any()
    spread = {family: draw(family, "tilt").std() for family in VIEW_FAMILIES}
    assert spread["wide"] > max(spread["echonet"], spread["camus"])


def test_quality_goes_from_excellent_to_poor() -> None:
    means = []
    for quality in QUALITIES:
        views = [sample_view(seed, 8.5, "wide", quality) for seed in range(COUNT)]
        means.append([float(np.mean([getattr(view, name) for view in views])) for name in sorted(HARMFUL)])
    assert bool((np.diff(means, axis=0) > 0).all())
    for seed in range(20):
        good, any_quality = sample_view(seed, 8.5, "echonet", "good"), sample_view(seed, 8.5, "echonet")
        assert (good.depth, good.gain, good.tilt) == (any_quality.depth, any_quality.gain, any_quality.tilt)


def test_an_unknown_family_or_quality_is_refused() -> None:
    with pytest.raises(ValueError, match="point-of-care"):
        sample_view(0, 8.5, "butterfly")
    with pytest.raises(ValueError, match="excellent"):
        sample_view(0, 8.5, "echonet", "superb")

"""View families: inside the wide one, and different from each other where their names say so."""

import numpy as np
import pytest

from echosynth.phantom.scanner import sample_view
from echosynth.phantom.view_families import VIEW_FAMILIES, WIDE

COUNT = 300


def draw(family: str, name: str) -> np.ndarray:
    return np.array([getattr(sample_view(seed, 8.5, family), name) for seed in range(COUNT)])


@pytest.mark.parametrize("family", ["echonet", "camus", "point-of-care"])
def test_wide_contains_every_family(family: str) -> None:
    for name, (low, high) in VIEW_FAMILIES[family].items():
        if name == "half_angle":  # drawn from its rare range elsewhere
            assert WIDE["half_angle_rare"][0] <= low <= high <= WIDE["half_angle_rare"][1]
        elif name != "tilt" and not name.startswith("p_"):
            assert WIDE[name][0] <= low <= high <= WIDE[name][1], name
    assert VIEW_FAMILIES[family].keys() == WIDE.keys()


def test_families_are_what_their_names_say() -> None:
    assert draw("point-of-care", "depth").mean() > draw("echonet", "depth").mean() + 2
    assert draw("point-of-care", "gain").mean() < draw("echonet", "gain").mean() - 1
    assert not draw("camus", "corner_cut").any()
    assert draw("echonet", "corner_cut").mean() > 0.8
    assert not draw("camus", "marks").any()
    spread = {family: draw(family, "tilt").std() for family in VIEW_FAMILIES}
    assert spread["wide"] > max(spread["echonet"], spread["camus"])


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="point-of-care"):
        sample_view(0, 8.5, "butterfly")

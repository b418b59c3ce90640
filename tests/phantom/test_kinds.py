"""Every kind that can be asked for exists, and no other."""

from typing import get_args

from echosynth.phantom.kinds import Heart, Quality, Rhythm, ViewFamily
from echosynth.phantom.population import HEARTS, RHYTHMS
from echosynth.phantom.view_families import QUALITIES, VIEW_FAMILIES


def test_every_name_has_its_ranges() -> None:
    assert set(get_args(Heart)) == set(HEARTS)
    assert set(get_args(Rhythm)) == set(RHYTHMS)
    assert set(get_args(ViewFamily)) == set(VIEW_FAMILIES)
    assert set(get_args(Quality)) == set(QUALITIES)

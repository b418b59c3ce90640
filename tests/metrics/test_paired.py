"""Pairs: perfect for the truth itself, worse for anything else, None where no cavity was found."""

from dataclasses import replace

import numpy as np
import pytest

from echosynth.evaluation.cases import PairedCase, paired_case, render_pair
from echosynth.metrics.paired import PairedScores, compare_pair, dice, summarise_pairs


@pytest.fixture(scope="module")
def pair() -> PairedCase:
    return paired_case(777, 20, 20.0)


@pytest.mark.heavy
def test_the_truth_is_perfect_and_the_frame_held_still_is_not(pair: PairedCase) -> None:
    truth = pair.case.truth.pixels
    same = compare_pair(truth, truth, truth[0], pair.cavity, pair.displacement, pair.cavity)
    assert (same.ssim, same.frame_ssim, same.es_dice, same.flicker) == (1, 1, 1, 1)
    assert same.motion == same.motion_ceiling
    assert same.motion is not None
    assert same.motion > 0.5
    held = np.repeat(truth[:1], len(truth), axis=0)
    still = compare_pair(held, truth, truth[0], pair.cavity, pair.displacement, None, ~pair.cavity)
    assert still.frame_ssim == 1
    assert still.ssim < 0.95
    assert still.flicker == 0
    assert (still.es_dice, still.es_dice_ceiling) == (None, 0)
    assert still.motion is None or abs(still.motion) < 0.1


@pytest.mark.heavy
def test_the_frame_shows_end_diastole_whatever_the_ef(pair: PairedCase) -> None:
    assert abs(pair.case.own_ef - pair.case.target_ef) > 1
    frame, _ = render_pair(777, pair.case.own_ef, pair.case.target_ef, 1, 20.0, 0.0)
    assert np.array_equal(pair.case.frame, frame)
    assert np.array_equal(pair.case.frame, pair.case.truth.pixels[0])
    assert 0.005 < pair.cavity.mean() < 0.3
    assert np.nanmax(np.abs(pair.displacement[0])) < 1e-3


def test_dice_counts_both_masks() -> None:
    one = np.zeros((4, 4), bool)
    one[0] = True
    two = np.zeros((4, 4), bool)
    two[0, :2] = True
    assert dice(one, two) == pytest.approx(2 * 2 / 6)
    assert dice(one, ~one) == 0
    assert dice(one & False, one & False) == 1


def test_a_mean_is_over_those_that_have_the_score() -> None:
    full = PairedScores(0.5, 0.9, 0.8, 0.9, 1.2, 0.4, 0.8)
    part = PairedScores(0.7, 0.7, None, None, 1.0, None, 0.6)
    found = summarise_pairs([full, part], ["a", "b"], 50)
    assert found["n"] == 2
    assert found["ssim"] == pytest.approx(0.6)
    assert found["es_dice"] == pytest.approx(0.8)
    assert found["ci"].keys() == {"ssim", "frame_ssim", "flicker", "motion_ceiling"}
    assert summarise_pairs([replace(part, motion=None)] * 2, ["a", "b"], 50)["motion"] is None
    assert summarise_pairs([], []) == {"n": 0}

"""What a scanner's clips look like, and phantoms that look like them; a reader tuned to them without a label."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.errors import DatasetError
from echosynth.evaluation.held_out import render_held_out
from echosynth.regression.loading import load_regressor
from echosynth.training.adaptation.adapt import FIRST_CANDIDATE, AdaptConfig, adapt, plan_training
from echosynth.training.adaptation.matching import choose_alike
from echosynth.training.adaptation.scanner_profile import (
    QUANTILES,
    TRAITS,
    ScannerProfile,
    describe_change,
    map_greys,
    measure_greys,
    profile_scanner,
)
from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_avi


def clips(count: int, brightness: float = 1.0, fps: float = 16.0) -> list[EchoClip]:
    """Noisy discs, each a little different."""
    rng, axis = np.random.default_rng(1), np.linspace(-1, 1, 112)
    inside = np.hypot(axis[None], axis[:, None]) < 0.9
    found = []
    for k in range(count):
        light = rng.gamma(2 + 0.1 * k, 30, (12, 112, 112)) * inside * brightness
        found.append(EchoClip(light.clip(0, 255).astype(np.uint8), fps))
    return found


def profile(values: np.ndarray) -> ScannerProfile:
    return ScannerProfile(values, np.tile(QUANTILES, (len(values), 1)), np.full(len(values), 16.0))


def test_a_scanner_is_measured_at_one_rate_and_size() -> None:
    once = profile_scanner(clips(5))
    assert once.traits.shape == (5, len(TRAITS))
    twice = profile_scanner([clip.replace(pixels=clip.pixels.repeat(2, 0), fps=32.0) for clip in clips(5)])
    np.testing.assert_allclose(once.traits[:, TRAITS.index("mean")], twice.traits[:, TRAITS.index("mean")], rtol=0.02)
    described = once.to_dict()
    assert described["clips"] == 5
    assert described["fps"] == [16.0] * 5
    json.dumps(described)


def test_clips_that_say_nothing_are_left_out_and_too_few_are_refused() -> None:
    black = EchoClip(np.zeros((8, 112, 112), np.uint8), 16.0)
    assert len(profile_scanner([black, *clips(4)]).traits) == 4
    with pytest.raises(DatasetError, match="3 clips can be measured"):
        profile_scanner([black, *clips(3)])


@given(exponent=st.floats(0.4, 2.5))
@settings(max_examples=20, deadline=None)
def test_the_grey_map_of_a_bent_scanner_is_the_bend(exponent: float) -> None:
    own = np.linspace(0, 1, 33)
    shown = np.array(map_greys(own, own**exponent))
    assert (np.diff(shown) >= 0).all()
    assert shown[0] == 0
    assert shown[-1] == 1
    np.testing.assert_allclose(shown, own**exponent, atol=1e-3)


def test_greys_that_are_mostly_black_have_a_map() -> None:
    own = np.concatenate([np.zeros(20), np.linspace(0.05, 0.9, 13)])
    shown = np.array(map_greys(own, 0.5 * own))
    assert (np.diff(shown) >= 0).all()
    np.testing.assert_allclose(np.interp(0.5, np.linspace(0, 1, 33), shown), 0.25, atol=0.02)


def test_greys_are_those_of_the_sector() -> None:
    dark, bright = (measure_greys(clips(1, brightness)[0].pixels) for brightness in (0.5, 1.0))
    assert (dark <= bright + 1e-9).all()
    assert bright[16] > 0.1, "black around the sector does not count"


@given(seed=st.integers(0, 200), count=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_those_that_look_alike_are_chosen_and_none_twice(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scanner = profile(rng.normal(3.0, 0.3, (7, len(TRAITS))))
    candidates = profile(rng.normal(0.0, 2.0, (40, len(TRAITS))) + rng.uniform(0, 4, (40, 1)))
    chosen = choose_alike(scanner, candidates, count)
    assert len(set(chosen.tolist())) == len(chosen) == count
    middle = np.median(scanner.traits, 0)
    away = np.abs(candidates.traits - middle).mean(1)
    if count <= 10:
        assert away[chosen].mean() < away.mean()


def test_the_change_is_told_in_spreads_of_the_scanners_clips() -> None:
    rng = np.random.default_rng(0)
    scanner = profile(rng.normal(0.0, 1.0, (400, len(TRAITS))))
    rows = describe_change(profile(scanner.traits + 2), profile(scanner.traits), scanner)
    assert [row["trait"] for row in rows] == list(TRAITS)
    assert all(1.7 < row["before"] < 2.3 for row in rows)
    assert all(row["after"] < 0.01 for row in rows)


def test_half_of_the_patients_look_alike_and_none_is_reserved() -> None:
    config = AdaptConfig(source=Path("anywhere"), patients=8)
    alike = [FIRST_CANDIDATE + k for k in (5, 1, 9, 3)]
    training = plan_training(config, "r2plus1d_small", alike, (0.0, 0.4, 1.0))
    seeds = training.data.model_dump()["seeds"]
    assert len(seeds) == training.data.model_dump()["patients"] == 8
    assert set(alike) < set(seeds)
    assert max(seeds) < 9_000_000
    assert training.appearance is not None
    assert training.appearance.grey_map == (0.0, 0.4, 1.0)
    assert str(training.init) == "r2plus1d_small"


@pytest.mark.slow
def test_a_reader_is_tuned_to_a_scanner_that_nobody_labelled(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for k in range(6):
        write_avi(tmp_path / "clips" / f"{k}.avi", render_held_out(3_300_100 + k, "camus", effects=True))
    config = AdaptConfig(source=tmp_path / "clips", regressors=("r2plus1d_small",), candidates=24, patients=8, steps=2)
    result = adapt(config, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "scanner.json").read_text())
    assert found["scanner"]["clips"] == 6
    assert np.mean([row["after"] for row in result.changes]) < np.mean([row["before"] for row in result.changes])
    tuned = load_regressor(result.models["r2plus1d_small"])
    assert 0 <= tuned.predict([render_held_out(3_300_200, "camus", effects=True)])[0].ef <= 100
    assert adapt(config, tmp_path / "run").to_dict() == result.to_dict()

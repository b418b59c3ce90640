"""Clinical scores against their definitions, an independent library, and the promise of conformal intervals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_f1_score,
    binary_precision,
    binary_recall,
)

from echosynth.metrics.clinical import auroc, clinical_scores, conformal_margin, error_by_band, score_calls
from echosynth.regression.base import EFPrediction
from echosynth.regression.panel import read_as_panel


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), threshold=st.sampled_from([35.0, 40.0, 50.0]))
def test_auroc_is_that_of_torchmetrics(seed: int, n: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(10, 85, n)
    measured = (truth + rng.normal(0, 15, n)).round(-1)  # rounded: ties
    ours = auroc(truth, measured, threshold)
    weak = torch.from_numpy(truth <= threshold)
    if weak.all() or not weak.any():
        assert math.isnan(ours)
    else:
        # scores are taken to be probabilities there
        theirs = binary_auroc(torch.from_numpy(1 - (measured + 100) / 300), weak.int())
        assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_every_clip_is_in_one_band() -> None:
    truth = [0.0, 29.9, 30.0, 45.0, 60.0, 100.0]
    bands = error_by_band(truth, [t + s for t, s in zip(truth, (1, 3, -2, 2, -4, 2), strict=True)])
    assert [(b.low, b.n, b.bias, b.mae) for b in bands] == [
        (0.0, 2, pytest.approx(2.0), pytest.approx(2.0)),
        (30.0, 1, -2.0, 2.0),
        (40.0, 1, 2.0, 2.0),
        (60.0, 2, pytest.approx(-1.0), pytest.approx(3.0)),
    ]


@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
def test_reduced_ef_agrees_with_torchmetrics(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    truth, measured = rng.uniform(10, 85, n), rng.uniform(10, 85, n)
    ours = score_calls(truth <= 40, measured <= 40)
    weak, called = torch.from_numpy(truth <= 40), torch.from_numpy(measured <= 40)
    for name, theirs in (("accuracy", binary_accuracy), ("precision", binary_precision), ("recall", binary_recall)):
        if ours[name] is not None:
            assert ours[name] == pytest.approx(float(theirs(called.int(), weak.int())), abs=1e-6)
    if ours["f1"] is not None:
        assert ours["f1"] == pytest.approx(float(binary_f1_score(called.int(), weak.int())), abs=1e-6)
    commoner = max(np.mean(truth <= 40), np.mean(truth > 40))
    assert ours["majority"] == pytest.approx(commoner)


def test_calls_are_scored_by_their_counts() -> None:
    scores = score_calls([True, True, True, False, False], [True, True, False, True, False])
    assert scores["accuracy"] == scores["majority"] == 0.6
    assert scores["recall"] == scores["precision"] == scores["f1"] == pytest.approx(2 / 3)
    assert scores["specificity"] == 0.5


def test_what_is_undefined_is_none() -> None:
    scores = clinical_scores([60.0, 70.0], [61.0, 69.0])
    assert scores["mean_mae"] == 5.0
    assert scores["reduced"] == {
        "accuracy": 1.0,
        "majority": 1.0,
        "precision": None,
        "recall": None,
        "specificity": 1.0,
        "f1": None,
    }
    assert scores["auroc"] == {"35": None, "40": None, "45": None, "50": None}


@pytest.mark.parametrize("n", [9, 30, 128])
def test_conformal_intervals_keep_their_promise(n: int) -> None:
    rng = np.random.default_rng(n)
    held_out, new = rng.standard_t(3, (4000, n)), rng.standard_t(3, 4000)
    covered = np.mean([abs(x) <= conformal_margin(errors) for errors, x in zip(held_out, new, strict=True)])
    assert 0.9 - 0.015 < covered < 0.9 + 1 / (n + 1) + 0.015
    assert conformal_margin(np.zeros(8)) == 100  # nine are needed for 90 %


def test_a_panel_is_the_median_and_says_where_it_parts() -> None:
    close = [EFPrediction(50, 45, 55, (50,)), EFPrediction(52, 47, 57, (52,)), EFPrediction(57, 52, 62, (57,))]
    reading = read_as_panel(close)
    assert (reading.ef, reading.low, reading.high, reading.range, reading.agreed) == (52, 47, 57, 7, True)
    assert not read_as_panel([*close, EFPrediction(70, 65, 75, (70,))]).agreed
    with pytest.raises(ValueError, match="at least two"):
        read_as_panel(close[:1])

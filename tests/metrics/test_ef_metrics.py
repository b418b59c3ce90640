"""EF scores against scipy, torchmetrics and their own laws."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, pearson_corrcoef, r2_score

from echosynth.metrics.bootstrap import PatientBootstrap
from echosynth.metrics.ef_metrics import best_of_k, compute_ef_scores

RNG = np.random.default_rng(7)
TARGET = RNG.uniform(10, 80, 90)
MEASURED = 0.8 * TARGET + 9 + RNG.normal(0, 5, 90)
PATIENTS = [f"p{i // 3}" for i in range(90)]


def test_equals_torchmetrics_and_scipy() -> None:
    s = compute_ef_scores(TARGET, MEASURED, PATIENTS, n_bootstrap=10)
    t, m = torch.tensor(TARGET), torch.tensor(MEASURED)
    assert s.r2 == pytest.approx(float(r2_score(m, t)), abs=1e-9)
    assert s.mae == pytest.approx(float(mean_absolute_error(m, t)))
    assert s.rmse == pytest.approx(float(mean_squared_error(m, t, squared=False)))
    assert s.pearson_r == pytest.approx(float(pearson_corrcoef(m, t)))
    assert s.slope == pytest.approx(stats.linregress(TARGET, MEASURED).slope)
    assert s.bias == pytest.approx(MEASURED.mean() - TARGET.mean())
    assert (s.n, s.n_patients) == (90, 30)


def test_perfect_and_mean_predictor() -> None:
    perfect = compute_ef_scores(TARGET, TARGET, PATIENTS, 20)
    assert (perfect.r2, perfect.mae, perfect.bias) == (1.0, 0.0, 0.0)
    constant = compute_ef_scores(TARGET, np.full(90, TARGET.mean()), PATIENTS, 20)
    assert constant.r2 == pytest.approx(0.0, abs=1e-12)
    assert constant.slope == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(constant.pearson_r)


@settings(max_examples=50, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.floats(0, 100), st.floats(-20, 120)), min_size=2, max_size=30),
    shift=st.floats(-30, 30),
)
def test_laws(pairs: list[tuple[float, float]], shift: float) -> None:
    t, m = np.array(pairs).T
    s = compute_ef_scores(t, m, [str(i) for i in range(len(t))], 5)
    assert s.rmse >= s.mae - 1e-9
    assert s.mae >= abs(s.bias) - 1e-9
    assert not s.r2 > 1
    moved = compute_ef_scores(t, m + shift, [str(i) for i in range(len(t))], 5)
    assert moved.bias == pytest.approx(s.bias + shift, abs=1e-8)
    # Bands partition the clips, and their weighted bias is the bias.
    assert sum(b.n for b in s.bias_by_decile) == s.n
    assert sum(b.n * b.bias for b in s.bias_by_decile) / s.n == pytest.approx(s.bias, abs=1e-8)
    counts, _ = np.histogram(t, bins=np.arange(0, 101, 10))
    assert {b.low: b.n for b in s.bias_by_decile} == {10.0 * i: n for i, n in enumerate(counts) if n}
    json.dumps(s.to_dict(), allow_nan=False)


def test_vectorised_bootstrap_equals_resampling_by_hand() -> None:
    boot = PatientBootstrap.draw(PATIENTS, 40, seed=3)
    names = np.unique(PATIENTS)
    r2 = []
    for counts in boot.counts:
        rows = np.concatenate([np.flatnonzero(np.array(PATIENTS) == name) for name in np.repeat(names, counts)])
        t, m = TARGET[rows], MEASURED[rows]
        r2.append(1 - ((t - m) ** 2).sum() / ((t - t.mean()) ** 2).sum())
    expected = np.quantile(r2, [0.025, 0.975])
    assert compute_ef_scores(TARGET, MEASURED, PATIENTS, 40, seed=3).ci["r2"] == pytest.approx(tuple(expected))


def test_bootstrap_is_by_patient_and_reproducible() -> None:
    """Copies of a clip add no knowledge: the interval stays; as new patients they would narrow it."""
    t, m = np.repeat(TARGET[:30], 4), np.repeat(MEASURED[:30], 4)
    patient = [f"{i:02d}" for i in range(30)]

    def width(*args: object) -> float:
        low, high = compute_ef_scores(*args, n_bootstrap=400).ci["mae"]  # type: ignore[arg-type]
        return high - low

    alone = width(TARGET[:30], MEASURED[:30], patient)
    assert width(t, m, list(np.repeat(patient, 4))) == pytest.approx(alone)
    assert width(t, m, [str(i) for i in range(120)]) < 0.7 * alone
    order = RNG.permutation(90)
    a = compute_ef_scores(TARGET, MEASURED, PATIENTS, 50).ci
    b = compute_ef_scores(TARGET[order], MEASURED[order], [PATIENTS[i] for i in order], 50).ci
    assert all(a[name] == pytest.approx(b[name]) for name in a)


def test_interval_covers_the_truth_about_95_times_in_100() -> None:
    hits = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        t = rng.uniform(10, 80, 60)
        low, high = compute_ef_scores(t, t + rng.normal(2.0, 5, 60), [str(i) for i in range(60)], 200, trial).ci["bias"]
        hits += low <= 2.0 <= high
    assert 175 <= hits <= 199


def test_best_of_k() -> None:
    measured = TARGET[:, None] + RNG.normal(0, 6, (90, 5))
    single = compute_ef_scores(TARGET, measured[:, 0], PATIENTS, 5)
    best = best_of_k(TARGET, measured, PATIENTS, 5)
    assert best.k == 5
    assert best.scores.mae < single.mae
    assert best.scores.mae == pytest.approx(np.abs(measured - TARGET[:, None]).min(axis=1).mean())
    assert best_of_k(TARGET, measured[:, :1], PATIENTS, 5).scores == single
    measured[:, 1:] = np.nan
    assert best_of_k(TARGET, measured, PATIENTS, 5).scores == single
    assert "optimistic" in best.to_dict()["chosen_by"]
    measured[4] = np.nan
    with pytest.raises(ValueError, match="at least one"):
        best_of_k(TARGET, measured)


def test_undefined_is_null_and_bad_input_is_refused() -> None:
    one = compute_ef_scores([50], [55], ["a"]).to_dict()
    assert one["r2"] is None
    assert one["ci"] == {}
    assert one["mae"] == 5
    assert one["bias_by_decile"] == [{"low": 50.0, "high": 60.0, "n": 1, "bias": 5.0}]
    assert compute_ef_scores([100], [90], ["a"]).bias_by_decile[0].high == 100
    for target, measured, names in (([], [], []), ([0.5], [np.nan], ["a"]), ([101], [50], ["a"]), ([1, 2], [1], ["a"])):
        with pytest.raises(ValueError, match=r"equal non-empty|finite|0-100"):
            compute_ef_scores(target, measured, names)

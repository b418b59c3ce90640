"""The linear probe: its optimum, its folds, and that it finds what is there and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.evaluation.probe import deal_patients, fit_logistic, probe


def test_the_gradient_vanishes_at_the_optimum() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.uniform(size=60) < 0.4
    w = fit_logistic(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    miss = 1 / (1 + np.exp(-(x @ w[:-1] + w[-1]))) - y
    np.testing.assert_allclose(x.T @ miss / 60 + w[:-1] / 60, 0, atol=1e-6)
    assert miss.sum() == pytest.approx(0, abs=1e-5)


@settings(max_examples=40)
@given(counts=st.lists(st.integers(1, 4), min_size=5, max_size=30), folds=st.integers(2, 5))
def test_patients_stay_together_and_folds_are_even(counts: list[int], folds: int) -> None:
    patients = [f"p{k}" for k, count in enumerate(counts) for _ in range(count)]
    dealt = deal_patients(patients, folds)
    fold_of: dict[str, set[int]] = {}
    for name, fold in zip(patients, dealt.tolist(), strict=True):
        fold_of.setdefault(name, set()).add(fold)
    assert all(len(found) == 1 for found in fold_of.values())
    sizes = np.bincount([found.pop() for found in fold_of.values()], minlength=folds)
    assert sizes.max() - sizes.min() <= 1


def test_it_finds_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    labels = rng.uniform(size=200) < 0.5
    features = rng.normal(size=(200, 8))
    patients = [f"p{k // 2}" for k in range(200)]
    blind = probe(features, labels.tolist(), patients)
    assert blind["auroc"] == pytest.approx(0.5, abs=0.12)
    features[:, 3] += 3 * labels
    seeing = probe(features, labels.tolist(), patients)
    assert seeing["auroc"] > 0.95
    assert seeing["accuracy"] > 0.85 > blind["accuracy"]


def test_a_patient_cannot_be_recognised() -> None:
    # Each patient's two clips look alike and share a random label: with clips dealt singly this would be easy.
    rng = np.random.default_rng(2)
    names = [f"p{k // 2}" for k in range(120)]
    looks, label = rng.normal(size=(60, 90)), rng.uniform(size=60) < 0.5
    features = np.repeat(looks, 2, axis=0) + 0.01 * rng.normal(size=(120, 90))
    assert probe(features, np.repeat(label, 2).tolist(), names)["auroc"] < 0.65


@pytest.mark.parametrize("labels", [[True] * 6, [True] * 5 + [False]])
def test_one_kind_alone_is_refused(labels: list[bool]) -> None:
    with pytest.raises(ValueError, match="both kinds"):
        probe(np.zeros((6, 2)), labels, [f"p{k}" for k in range(6)], 2)
    with pytest.raises(ValueError, match="as many patients"):
        probe(np.zeros((6, 2)), labels, ["p"] * 6, 2)

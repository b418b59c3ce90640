"""The linear probe: its optimum, its folds, and that it finds what is there and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.evaluation.linear_probe import fit_probe, probe_embeddings, split_patients


def test_the_gradient_vanishes_at_the_optimum() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, [1, 10, 0.1, 1, 1], size=(60, 5)), rng.uniform(size=60) < 0.4
    weights, offset = fit_probe(x, y)
    miss = 1 / (1 + np.exp(-(x @ weights + offset))) - y
    standardised, slopes = (x - x.mean(0)) / x.std(0), weights * x.std(0)
    np.testing.assert_allclose(standardised.T @ miss + slopes, 0, atol=1e-4)
    assert miss.sum() == pytest.approx(0, abs=1e-4)
    constant = np.column_stack([x, np.full(60, 7.0)])  # a feature that never changes says nothing
    more, same = fit_probe(constant, y)
    np.testing.assert_allclose(constant @ more + same, x @ weights + offset, atol=1e-5)


@settings(max_examples=40)
@given(counts=st.lists(st.integers(1, 4), min_size=5, max_size=30), folds=st.integers(2, 5))
def test_patients_stay_together_and_folds_are_even(counts: list[int], folds: int) -> None:
    patients = [f"p{k}" for k, count in enumerate(counts) for _ in range(count)]
    fold_of: dict[str, set[int]] = {}
    predicted: list[int] = []
    for fold, (known, out) in enumerate(split_patients(patients, folds)):
        assert sorted([*known, *out]) == list(range(len(patients)))
        predicted += out.tolist()
        for row in out:
            fold_of.setdefault(patients[row], set()).add(fold)
    assert sorted(predicted) == list(range(len(patients)))
    assert all(len(found) == 1 for found in fold_of.values())
    sizes = np.bincount([found.pop() for found in fold_of.values()], minlength=folds)
    assert sizes.max() - sizes.min() <= 1


def test_it_finds_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    labels = rng.uniform(size=200) < 0.5
    features = rng.normal(size=(200, 8))
    patients = [f"p{k // 2}" for k in range(200)]
    blind = probe_embeddings(features, labels.tolist(), patients)
    assert blind["auroc"] == pytest.approx(0.5, abs=0.12)
    features[:, 3] += 3 * labels
    seeing = probe_embeddings(features, labels.tolist(), patients)
    assert seeing["auroc"] > 0.95
    assert seeing["accuracy"] > 0.85 > blind["accuracy"]


def test_a_patient_cannot_be_recognised() -> None:
    # Each patient's two clips look alike and share a random label: with clips dealt singly this would be easy.
    rng = np.random.default_rng(2)
    names = [f"p{k // 2}" for k in range(120)]
    looks, label = rng.normal(size=(60, 90)), rng.uniform(size=60) < 0.5
    features = np.repeat(looks, 2, axis=0) + 0.01 * rng.normal(size=(120, 90))
    assert probe_embeddings(features, np.repeat(label, 2).tolist(), names)["auroc"] < 0.65


@pytest.mark.parametrize("labels", [[True] * 6, [True] * 5 + [False]])
def test_one_kind_alone_is_refused(labels: list[bool]) -> None:
    with pytest.raises(ValueError, match="both kinds"):
        probe_embeddings(np.zeros((6, 2)), labels, [f"p{k}" for k in range(6)], 2)
    with pytest.raises(ValueError, match="as many patients"):
        probe_embeddings(np.zeros((6, 2)), labels, ["p"] * 6, 2)

"""The assembled evaluation: what is scored, in which protocol, under which key."""

import json

import numpy as np
import pytest

from echosynth.evaluation.result import EvaluatedSample, MeasuredTruth, assemble_evaluation
from echosynth.metrics.frechet import compare_features
from echosynth.metrics.similarity import ClipSimilarity

PUBLISHED_KEYS = {"n", "counterfactual", "factual", "ceiling", "best_of_k", "similarity", "frechet"}
PUBLISHED_SCORES = {"r2", "mae", "rmse", "bias_by_decile", "ci"}


def samples() -> list[EvaluatedSample]:
    """Ten patients, three targets each; the first attempt is 8 off, the second 2 and accepted."""
    result = []
    for patient in range(10):
        for target, factual in ((25.0, False), (65.0, False), (50.0 + patient, True)):
            for attempt, error in enumerate((8.0, -2.0)):
                result.append(
                    EvaluatedSample(
                        f"p{patient}", target, factual, target + error, attempt, accepted=attempt == 1,
                        similarity=ClipSimilarity(0.5 + 0.4 * attempt, 20, 3),
                    )
                )  # fmt: skip
    return result


def truth() -> list[MeasuredTruth]:
    return [MeasuredTruth(f"p{i}", 40.0 + i, 41.0 + i) for i in range(10)]


def test_protocols_are_kept_apart() -> None:
    r = assemble_evaluation(samples(), truth(), judge="b", gate="a", n_bootstrap=20).to_dict()
    assert r["n"] == 30
    assert (r["counterfactual"]["n"], r["counterfactual"]["bias"]) == (20, pytest.approx(8))
    assert (r["factual"]["n"], r["factual"]["bias"]) == (10, pytest.approx(8))
    assert r["gated"]["bias"] == pytest.approx(-2)
    assert (r["gated"]["attempt_rate"], r["gated"]["target_rate"]) == (0.5, 1.0)
    assert r["ceiling"]["mae"] == pytest.approx(1)
    assert (r["best_of_k"]["counterfactual"]["k"], r["best_of_k"]["counterfactual"]["mae"]) == (2, pytest.approx(2))
    # Similarity is of the first attempts too, not of survivors.
    assert (r["similarity"]["n"], r["similarity"]["ssim"]) == (30, pytest.approx(0.5))


def test_json_has_the_published_keys_and_no_nan() -> None:
    x = np.random.default_rng(0).normal(size=(20, 4))
    distance = compare_features(x, x[:8], "judge:b", repeats=2)
    result = assemble_evaluation(samples(), truth(), judge="b", frechet=[distance], n_bootstrap=20)
    r = json.loads(result.to_json())
    assert set(r) >= PUBLISHED_KEYS
    assert all(set(r[kind]) >= PUBLISHED_SCORES for kind in ("counterfactual", "factual", "ceiling"))
    assert set(r["frechet"]) == {"fd[judge:b;n=8]"}


def test_order_does_not_matter() -> None:
    a = assemble_evaluation(samples(), truth(), judge="b", n_bootstrap=20)
    b = assemble_evaluation(samples()[::-1], truth(), judge="b", n_bootstrap=20)
    assert a.to_json() == b.to_json()


def test_sections_without_samples_are_empty() -> None:
    r = assemble_evaluation([EvaluatedSample("p", 30, False, 33)], [], judge="b").to_dict()
    for empty in (r["factual"], r["ceiling"], r["gated"], r["similarity"], r["best_of_k"]["factual"]):
        assert empty == {"n": 0}


def test_dishonest_input_is_refused() -> None:
    with pytest.raises(ValueError, match="judge must not be the gate"):
        assemble_evaluation(samples(), truth(), judge="a", gate="a")
    with pytest.raises(ValueError, match="attempts must be"):
        assemble_evaluation([s for s in samples() if s.accepted], truth(), judge="b")
    with pytest.raises(ValueError, match="attempts must be"):
        assemble_evaluation(samples() * 2, truth(), judge="b")
    with pytest.raises(ValueError, match="no samples"):
        assemble_evaluation([], truth(), judge="b")

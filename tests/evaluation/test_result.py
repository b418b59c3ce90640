"""The assembled evaluation: what is scored, in which protocol, under which key."""

import json

import numpy as np
import pytest

from echosynth.evaluation.records import Record, Sample
from echosynth.evaluation.result import assemble_evaluation
from echosynth.metrics.frechet import compare_features
from echosynth.metrics.similarity import ClipSimilarity
from tests.evaluations import make_pair, make_sample, make_truth

PUBLISHED_KEYS = {"n", "counterfactual", "factual", "ceiling", "best_of_k", "similarity", "frechet"}
PUBLISHED_SCORES = {"r2", "mae", "rmse", "bias_by_decile", "ci"}


def samples() -> list[Sample]:
    """Ten patients, three targets each; the first attempt is 8 off, the second 2 and accepted."""
    return [
        make_sample(
            f"p{patient}", target, target + error, factual, attempt, attempt == 1,
            ClipSimilarity(0.5 + 0.4 * attempt, 20, 3), (float(patient), target),
        )
        for patient in range(10)
        for target, factual in ((25.0, False), (65.0, False), (50.0 + patient, True))
        for attempt, error in enumerate((8.0, -2.0))
    ]  # fmt: skip


def truths() -> list[Record]:
    return [make_truth(f"p{i}", 40.0 + i, 41.0 + i, (float(i), 2.0 * i)) for i in range(10)]


def test_protocols_are_kept_apart() -> None:
    pairs = [make_pair("p0", 0.6), make_pair("p1", 0.8)]
    r = assemble_evaluation([*samples(), *truths(), *pairs], judge="b", gate="a", n_bootstrap=20).to_dict()
    assert r["n"] == 30
    assert (r["counterfactual"]["n"], r["counterfactual"]["bias"]) == (20, pytest.approx(8))
    assert (r["factual"]["n"], r["factual"]["bias"]) == (10, pytest.approx(8))
    assert r["gated"]["bias"] == pytest.approx(-2)
    assert (r["gated"]["attempt_rate"], r["gated"]["target_rate"]) == (0.5, 1.0)
    assert r["ceiling"]["mae"] == pytest.approx(1)
    assert (r["best_of_k"]["counterfactual"]["k"], r["best_of_k"]["counterfactual"]["mae"]) == (2, pytest.approx(2))
    # Similarity is of the first attempts too, not of survivors.
    assert (r["similarity"]["n"], r["similarity"]["ssim"]) == (30, pytest.approx(0.5))
    assert (r["paired"]["n"], r["paired"]["ssim"], r["paired"]["es_dice"]) == (2, pytest.approx(0.7), None)


def test_json_has_the_published_keys_and_no_nan() -> None:
    result = assemble_evaluation([*samples(), *truths()], judge="b[;]", gate="a", n_bootstrap=20)
    r = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert set(r) >= PUBLISHED_KEYS
    assert all(set(r[kind]) >= PUBLISHED_SCORES for kind in ("counterfactual", "factual", "ceiling"))
    assert set(r["frechet"]) == {"fd[judge:b;n=5]"}


def test_the_distance_is_of_first_counterfactual_attempts_from_true_clips() -> None:
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(20, 3)), rng.normal(0.5, 1, size=(20, 3))
    first = [make_sample(f"p{i:02d}", 50.0, 50.0, features=tuple(made[i].tolist())) for i in range(20)]
    later = [make_sample(f"p{i:02d}", 50.0, 50.0, attempt=1, features=(9.0, 9.0, 9.0)) for i in range(20)]
    own = [make_sample(f"p{i:02d}", 50.0, 50.0, factual=True, features=(9.0, 9.0, 9.0)) for i in range(20)]
    true = [make_truth(f"p{i:02d}", 50.0, 50.0, tuple(real[i].tolist())) for i in range(20)]
    r = assemble_evaluation([*first, *later, *own, *true], judge="b", gate="a", n_bootstrap=2, seed=3).to_dict()
    expected = compare_features(real, made, "judge:b", seed=3)
    assert r["frechet"] == {expected.name: pytest.approx(expected.to_dict())}


def test_order_does_not_matter() -> None:
    records = [*samples(), *truths(), make_pair("p0", 0.6), make_pair("p1", 0.8)]
    a, b = (assemble_evaluation(some, judge="b", gate="a", n_bootstrap=20) for some in (records, records[::-1]))
    assert json.dumps(a.to_dict()) == json.dumps(b.to_dict())


def test_sections_without_samples_are_empty() -> None:
    r = assemble_evaluation([make_sample("p", 30, 33)], judge="b", gate="a").to_dict()
    for empty in (r["factual"], r["ceiling"], r["similarity"], r["paired"], r["best_of_k"]["factual"]):
        assert empty == {"n": 0}
    assert r["gated"] == {"n": 0, "target_rate": 0, "attempt_rate": 0}
    assert r["frechet"] == {}


def test_dishonest_input_is_refused() -> None:
    with pytest.raises(ValueError, match="judge must not be the gate"):
        assemble_evaluation(samples(), judge="a", gate="a")
    with pytest.raises(ValueError, match="attempts must be"):
        assemble_evaluation([s for s in samples() if s.accepted], judge="b", gate="a")
    with pytest.raises(ValueError, match="attempts must be"):
        assemble_evaluation(samples() * 2, judge="b", gate="a")
    with pytest.raises(ValueError, match="no samples"):
        assemble_evaluation(truths(), judge="b", gate="a")

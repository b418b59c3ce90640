"""All scores of one generator in one object: the JSON that `echosynth evaluate` prints. Pure: records in, numbers out.

Protocol, in the order of the JSON:
    counterfactual, factual   SINGLE-SAMPLE: the first attempt for every target, before any gate
    gated                     the attempts that the gate accepted, with the acceptance rate; measured by the judge
    ceiling                   the judge against truth on clips with known EF: no generator can look better than this
    best_of_k                 the best attempt by the judge itself, as papers print it; optimistic, hence apart
    similarity                pixels against the true counterfactual (phantoms only), first attempts
    paired                    borders, motion, flicker and identity against the true counterfactual, frame by frame
    frechet                   distances in named feature spaces, each beside its real-vs-real baseline
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from echosynth.augmentation.manifest import package_versions
from echosynth.evaluation.config import EvaluateConfig
from echosynth.evaluation.features import plain_name
from echosynth.evaluation.records import Pair, Record, Sample, Truth
from echosynth.metrics.ef_metrics import best_of_k, compute_ef_scores
from echosynth.metrics.frechet import FeatureDistance, compare_features
from echosynth.metrics.paired import summarise_pairs
from echosynth.metrics.similarity import summarise_similarity

TargetKey = tuple[str, float, bool]
ScoreFunction = Callable[[Sequence[Sample]], dict[str, Any]]

LEAST_CLIPS = 4  # two disjoint sets of two: the least that has a real-vs-real baseline


@dataclass(frozen=True)
class EvaluationScores:
    """Every score of one generator; the fields are keys of the JSON.

    Attributes:
        n: number of targets, i.e. of single samples.
        judge: name of the regressor that scored.
        gate: name of the regressor that accepted.
    """

    n: int
    judge: str
    gate: str
    counterfactual: dict[str, Any]
    factual: dict[str, Any]
    gated: dict[str, Any]
    ceiling: dict[str, Any]
    best_of_k: dict[str, Any]
    similarity: dict[str, Any]
    paired: dict[str, Any]
    frechet: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dict(vars(self))


@dataclass(frozen=True)
class EvaluationResult:
    """The scores of an evaluation with all that they were computed from.

    Attributes:
        scores: every score.
        records: the lines of `samples.jsonl`.
        models: name and hash of "cascade", "gate" and "judge".
        device: that the last clips were made on.
        versions: of the packages that decide pixels.
    """

    scores: EvaluationScores
    records: tuple[Record, ...]
    models: dict[str, list[str]]
    device: str
    versions: dict[str, str]

    @property
    def samples(self) -> list[Sample]:
        """The generated clips, in the order in which they were made."""
        return [record for record in self.records if isinstance(record, Sample)]

    def to_dict(self) -> dict[str, Any]:
        """The object that `evaluate --json` prints."""
        seconds = float(np.median([sample.seconds for sample in self.samples]))
        made = {"models": self.models, "seconds_per_clip": seconds, "device": self.device, "versions": self.versions}
        return {**self.scores.to_dict(), **made}


def summarise_evaluation(
    config: EvaluateConfig, records: Sequence[Record], models: dict[str, list[str]], device: str
) -> EvaluationResult:
    """Score the records of a finished evaluation.

    Args:
        config: of the evaluation.
        records: all of them.
        models: name and hash of "cascade", "gate" and "judge".
        device: that clips were made on.
    """
    judge, gate = models["judge"][0], models["gate"][0]
    scores = assemble_evaluation(records, judge=judge, gate=gate, n_bootstrap=config.n_bootstrap, seed=config.seed)
    return EvaluationResult(scores, tuple(records), models, device, package_versions())


def assemble_evaluation(
    records: Sequence[Record], *, judge: str, gate: str, n_bootstrap: int = 1000, seed: int = 0
) -> EvaluationScores:
    """Compute every score from records of generated and true clips.

    Args:
        records: all attempts at all targets, accepted or not, clips of known EF and pairs, in any order.
        judge: name of the scoring regressor.
        gate: name of the accepting regressor.
        n_bootstrap: bootstrap draws of every interval.
        seed: root seed of the draws.

    Raises:
        ValueError: no samples; the judge is the gate; an attempt is doubled; or a target's first attempt is missing,
            so that the score would be one of survivors.
    """
    samples = [record for record in records if isinstance(record, Sample)]
    truths = [record for record in records if isinstance(record, Truth)]
    pairs = [record for record in records if isinstance(record, Pair)]
    if not samples:
        raise ValueError("there are no samples to evaluate")
    if judge == gate:
        raise ValueError(f"the judge must not be the gate, and both are {judge!r}")
    by_target = _group_attempts(samples)
    first = [attempts[0] for attempts in by_target.values()]

    def scores(chosen: Sequence[Sample]) -> dict[str, Any]:
        return _ef_scores(
            [s.target_ef for s in chosen], [s.judge_ef for s in chosen], [s.patient for s in chosen], n_bootstrap, seed
        )

    compared = [(s.patient, s.similarity) for s in first if s.similarity is not None]
    made = [s for s in samples if s.attempt == 0 and not s.factual]
    return EvaluationScores(
        n=len(first),
        judge=judge,
        gate=gate,
        counterfactual=scores([s for s in first if not s.factual]),
        factual=scores([s for s in first if s.factual]),
        gated=_gated(by_target, scores),
        ceiling=_ef_scores(
            [t.ef for t in truths], [t.judge_ef for t in truths], [t.patient for t in truths], n_bootstrap, seed
        ),
        best_of_k={
            name: _best_of_k([a for key, a in by_target.items() if key[2] is factual], n_bootstrap, seed)
            for name, factual in (("counterfactual", False), ("factual", True))
        },
        similarity=summarise_similarity([s for _, s in compared], [p for p, _ in compared], n_bootstrap, seed),
        paired=summarise_pairs([p.scores for p in pairs], [p.patient for p in pairs], n_bootstrap, seed),
        frechet={d.name: d.to_dict() for d in _distances(truths, made, f"judge:{plain_name(judge)}", seed)},
    )


def _distances(truths: Sequence[Truth], made: Sequence[Sample], space: str, seed: int) -> list[FeatureDistance]:
    """Distance of first counterfactual attempts from clips of known EF; [] where there are too few."""
    if len(truths) < LEAST_CLIPS:
        return []
    real = np.array([truth.features for truth in sorted(truths, key=lambda t: t.patient)])
    generated = np.array([sample.features for sample in sorted(made, key=_key)])
    return [compare_features(real, generated, space, seed)]


def _key(sample: Sample) -> TargetKey:
    """What was asked for; attempts at the same thing share it."""
    return (sample.patient, sample.target_ef, sample.factual)


def _group_attempts(samples: Sequence[Sample]) -> dict[TargetKey, list[Sample]]:
    """Return the attempts of each target in order, targets sorted; refuse doubled and missing attempts."""
    by_target: dict[TargetKey, list[Sample]] = {}
    for sample in sorted(samples, key=lambda s: (_key(s), s.attempt)):
        by_target.setdefault(_key(sample), []).append(sample)
    for key, attempts in by_target.items():
        numbers = [a.attempt for a in attempts]
        if numbers != list(range(len(numbers))):
            raise ValueError(f"patient {key[0]}, EF {key[1]:g}: attempts must be 0, 1, 2, ..., got {numbers}")
    return by_target


def _ef_scores(
    target: list[float], measured: list[float], patients: list[str], n_bootstrap: int, seed: int
) -> dict[str, Any]:
    """Return scores as a dict, {"n": 0} where there is nothing to score."""
    return compute_ef_scores(target, measured, patients, n_bootstrap, seed).to_dict() if target else {"n": 0}


def _gated(by_target: dict[TargetKey, list[Sample]], scores: ScoreFunction) -> dict[str, Any]:
    """Score the accepted clip of each target, with the share of targets and of attempts that were accepted."""
    attempts = [a for group in by_target.values() for a in group]
    accepted = [a for a in attempts if a.accepted]
    return {
        "target_rate": len({_key(a) for a in accepted}) / len(by_target),
        "attempt_rate": len(accepted) / len(attempts),
        **scores(accepted),
    }


def _best_of_k(groups: list[list[Sample]], n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Score the best attempt of each target by the judge; targets with fewer attempts are padded with NaN."""
    if not groups:
        return {"n": 0}
    measured = np.full((len(groups), max(map(len, groups))), np.nan)
    for row, attempts in enumerate(groups):
        measured[row, : len(attempts)] = [a.judge_ef for a in attempts]
    targets, patients = [g[0].target_ef for g in groups], [g[0].patient for g in groups]
    return best_of_k(targets, measured, patients, n_bootstrap, seed).to_dict()

"""All scores of one generator in one object: the JSON that `echosynth evaluate` prints. Pure: records in, numbers out.

Protocol, in the order of the JSON:
    counterfactual, factual   SINGLE-SAMPLE: the first attempt for every target, before any gate
    gated                     the attempts that the gate accepted, with the acceptance rate; judged by the judge
    ceiling                   the judge against truth on clips with known EF: no generator can look better than this
    best_of_k                 the best attempt by the judge itself, as papers print it; optimistic, hence apart
    similarity                pixels against the true counterfactual (phantoms only), first attempts
    paired                    borders, motion, flicker and identity against the truth that beats along (paired.py)
    frechet                   distances in named feature spaces, each beside its real-vs-real baseline
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from echosynth.metrics.ef_metrics import best_of_k, compute_ef_scores
from echosynth.metrics.frechet import FeatureDistance
from echosynth.metrics.similarity import ClipSimilarity, summarise_similarity

TargetKey = tuple[str, float, bool, int]
ScoreFunction = Callable[[Sequence["EvaluatedSample"]], dict[str, Any]]


@dataclass(frozen=True)
class EvaluatedSample:
    """One generated clip, as the judge saw it.

    Attributes:
        patient: patient name; the unit of the bootstrap.
        target_ef: EF asked for, per cent 0-100.
        factual: whether the target is the patient's own EF.
        judge_ef: EF that the judge measures, per cent.
        attempt: 0 for the first clip made for this target, 1 for the next, ...
        sample: number of the sample where more than one is wanted per target.
        gate_ef: EF that the gate measures, per cent, or None without a gate.
        accepted: whether the gate accepted it, or None without a gate.
        similarity: agreement with the true counterfactual, or None where there is none.
    """

    patient: str
    target_ef: float
    factual: bool
    judge_ef: float
    attempt: int = 0
    sample: int = 0
    gate_ef: float | None = None
    accepted: bool | None = None
    similarity: ClipSimilarity | None = None

    @property
    def key(self) -> TargetKey:
        """What was asked for; attempts at the same thing share it."""
        return (self.patient, self.target_ef, self.factual, self.sample)


@dataclass(frozen=True)
class MeasuredTruth:
    """One clip of known EF, as the judge saw it; EF in per cent."""

    patient: str
    ef: float
    judge_ef: float


@dataclass(frozen=True)
class EvaluationResult:
    """Every score of one generator; the fields are the keys of the JSON.

    Attributes:
        n: number of targets, i.e. of single samples.
        judge: name of the regressor that scored.
        gate: name of the regressor that accepted, or None.
    """

    n: int
    judge: str
    gate: str | None
    counterfactual: dict[str, Any]
    factual: dict[str, Any]
    gated: dict[str, Any]
    ceiling: dict[str, Any]
    best_of_k: dict[str, Any]
    similarity: dict[str, Any]
    paired: dict[str, Any]
    frechet: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the dict that is printed as JSON."""
        return dict(vars(self))

    def to_json(self) -> str:
        """Return JSON text; fails rather than write NaN, which is not JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


def assemble_evaluation(
    samples: Sequence[EvaluatedSample],
    ceiling: Sequence[MeasuredTruth],
    *,
    judge: str,
    gate: str | None = None,
    paired: dict[str, Any] | None = None,
    frechet: Sequence[FeatureDistance] = (),
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> EvaluationResult:
    """Compute every score from records of generated clips.

    Args:
        samples: all attempts at all targets, accepted or not, in any order.
        ceiling: the judge's measurements of clips with known EF; may be empty.
        judge: name of the scoring regressor.
        gate: name of the accepting regressor, or None if nothing was gated.
        paired: scores of pairs, made by `paired.summarise_pairs`; None for none.
        frechet: distances in feature spaces, made by `frechet.compare_features`.
        n_bootstrap: bootstrap draws of every interval.
        seed: root seed of the draws.

    Raises:
        ValueError: no samples; the judge is the gate; an attempt is doubled; or a target's first attempt is missing,
            so that the score would be one of survivors.
    """
    if not samples:
        raise ValueError("there are no samples to evaluate")
    if judge == gate:
        raise ValueError(f"the judge must not be the gate, and both are {judge!r}")
    by_target = _group_attempts(samples)
    first = [attempts[0] for attempts in by_target.values()]

    def scores(chosen: Sequence[EvaluatedSample]) -> dict[str, Any]:
        return _ef_scores(
            [s.target_ef for s in chosen], [s.judge_ef for s in chosen], [s.patient for s in chosen], n_bootstrap, seed
        )

    compared = [s for s in first if s.similarity is not None]
    return EvaluationResult(
        n=len(first),
        judge=judge,
        gate=gate,
        counterfactual=scores([s for s in first if not s.factual]),
        factual=scores([s for s in first if s.factual]),
        gated=_gated(by_target, scores),
        ceiling=_ef_scores(
            [c.ef for c in ceiling], [c.judge_ef for c in ceiling], [c.patient for c in ceiling], n_bootstrap, seed
        ),
        best_of_k={
            name: _best_of_k([a for key, a in by_target.items() if key[2] is factual], n_bootstrap, seed)
            for name, factual in (("counterfactual", False), ("factual", True))
        },
        similarity=summarise_similarity(
            [s.similarity for s in compared if s.similarity is not None],
            [s.patient for s in compared],
            n_bootstrap,
            seed,
        ),
        paired=paired or {"n": 0},
        frechet={distance.name: distance.to_dict() for distance in frechet},
    )


def _group_attempts(samples: Sequence[EvaluatedSample]) -> dict[TargetKey, list[EvaluatedSample]]:
    """Return the attempts of each target in order, targets sorted; refuse doubled and missing attempts."""
    by_target: dict[TargetKey, list[EvaluatedSample]] = {}
    for sample in sorted(samples, key=lambda s: (s.key, s.attempt)):
        by_target.setdefault(sample.key, []).append(sample)
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


def _gated(by_target: dict[TargetKey, list[EvaluatedSample]], scores: ScoreFunction) -> dict[str, Any]:
    """Score the accepted clip of each target, with the share of targets and of attempts that were accepted."""
    attempts = [a for group in by_target.values() for a in group if a.accepted is not None]
    if not attempts:
        return {"n": 0}
    accepted = [a for a in attempts if a.accepted]
    targets = {a.key for a in attempts}
    return {
        "target_rate": len({a.key for a in accepted}) / len(targets),
        "attempt_rate": len(accepted) / len(attempts),
        **scores(accepted),
    }


def _best_of_k(groups: list[list[EvaluatedSample]], n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Score the best attempt of each target by the judge; targets with fewer attempts are padded with NaN."""
    if not groups:
        return {"n": 0}
    measured = np.full((len(groups), max(map(len, groups))), np.nan)
    for row, attempts in enumerate(groups):
        measured[row, : len(attempts)] = [a.judge_ef for a in attempts]
    targets, patients = [g[0].target_ef for g in groups], [g[0].patient for g in groups]
    return best_of_k(targets, measured, patients, n_bootstrap, seed).to_dict()

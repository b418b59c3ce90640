"""Evaluation: how true and how lifelike generated clips are, in numbers that carry their protocol.

ef_metrics   agreement of asked and measured ejection fraction, with patient-bootstrap intervals
frechet      distance of two sets of clips in a NAMED feature space (features), beside a real-vs-real baseline
kernel       unbiased kernel distance in the same space, the primary score when n is small
similarity   pixels of a generated clip against the TRUE counterfactual
evaluate     puts all of them into the one JSON object that `echosynth evaluate` prints
"""

from echosynth.evaluation.features import ClipFeatures, JudgeFeatures, extract_features, score_name
from echosynth.evaluation.result import EvaluatedSample, EvaluationResult, MeasuredTruth, assemble_evaluation
from echosynth.metrics.ef_metrics import BestOfK, DecileBias, EFScores, best_of_k, compute_ef_scores
from echosynth.metrics.frechet import (
    FeatureDistance,
    GaussianStats,
    compare_features,
    frechet_distance,
    real_vs_real_baseline,
)
from echosynth.metrics.kernel import kernel_distance
from echosynth.metrics.similarity import ClipSimilarity, compare_clips, summarise_similarity

__all__ = [
    "BestOfK",
    "ClipFeatures",
    "ClipSimilarity",
    "DecileBias",
    "EFScores",
    "EvaluatedSample",
    "EvaluationResult",
    "FeatureDistance",
    "GaussianStats",
    "JudgeFeatures",
    "MeasuredTruth",
    "assemble_evaluation",
    "best_of_k",
    "compare_clips",
    "compare_features",
    "compute_ef_scores",
    "extract_features",
    "frechet_distance",
    "kernel_distance",
    "real_vs_real_baseline",
    "score_name",
    "summarise_similarity",
]

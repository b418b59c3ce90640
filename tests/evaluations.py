"""Records of evaluations that were never run."""

from echosynth.evaluation.records import Pair, Sample, Truth
from echosynth.metrics.paired import PairedScores
from echosynth.metrics.similarity import ClipSimilarity


def make_sample(
    patient: str,
    target_ef: float,
    judge_ef: float,
    factual: bool = False,
    attempt: int = 0,
    accepted: bool = False,
    similarity: ClipSimilarity | None = None,
    features: tuple[float, ...] = (0.0, 0.0),
) -> Sample:
    """A generated clip as the judge measured it."""
    return Sample(
        patient=patient,
        own_ef=50.0,
        target_ef=target_ef,
        factual=factual,
        attempt=attempt,
        seed=attempt,
        gate_ef=target_ef,
        accepted=accepted,
        similarity=similarity,
        seconds=1.0 + attempt,
        judge_ef=judge_ef,
        features=features,
    )


def make_truth(patient: str, ef: float, judge_ef: float, features: tuple[float, ...] = (0.0, 0.0)) -> Truth:
    """A clip of known EF as the judge measured it."""
    return Truth(patient=patient, ef=ef, judge_ef=judge_ef, features=features)


def make_pair(patient: str, ssim: float) -> Pair:
    """A pair whose segmenter found no cavity."""
    return Pair(patient=patient, target_ef=50.0, scores=PairedScores(ssim, 0.9, None, None, 1.1, 0.5, 0.7))

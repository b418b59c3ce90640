"""What an evaluation records, one line of `samples.jsonl` each: generated clips, clips of known EF, pairs.

    {"type": "sample", "patient": "phantom-2000000", "target_ef": 30.0, "judge_ef": 31.2, ...}

The lines are what an interrupted evaluation goes on from, and all scores are computed from them.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from echosynth.metrics.paired import PairedScores
from echosynth.metrics.similarity import ClipSimilarity
from echosynth.storage.jsonl import damaged, read_records


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One generated clip, as gate and judge measure it; EF in per cent.

    Attributes:
        patient: name; the unit of the bootstrap.
        own_ef: EF of the clip that the conditioning frame is from.
        target_ef: EF asked for.
        factual: whether the target is the patient's own EF.
        attempt: 0 for the first clip made for this target, 1 for the next, ...
        seed: of the clip's noise.
        gate_ef: EF that the gate measures.
        accepted: whether the gate accepts it.
        similarity: agreement with the true counterfactual; None where there is none.
        seconds: to generate it.
        judge_ef: EF that the judge measures.
        features: of its first window in the judge's feature space.
        type: the tag of the line.
    """

    type: Literal["sample"] = "sample"
    patient: str
    own_ef: float
    target_ef: float
    factual: bool
    attempt: int
    seed: int
    gate_ef: float
    accepted: bool
    similarity: ClipSimilarity | None
    seconds: float
    judge_ef: float
    features: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One clip of known EF, as the judge measures it; see `Sample`."""

    type: Literal["truth"] = "truth"
    patient: str
    ef: float
    judge_ef: float
    features: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One clip of known timing against its true counterfactual, see metrics/paired.py."""

    type: Literal["pair"] = "pair"
    patient: str
    target_ef: float
    scores: PairedScores


Record = Sample | Truth | Pair
_LINE: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="type")])


def to_line(record: Record) -> dict[str, Any]:
    """The record as a line's JSON object."""
    return asdict(record)


def read_evaluation(path: Path) -> list[Record]:
    """Read the lines of an evaluation; [] if there is no file.

    Raises:
        OutputError: a line is not one that an evaluation writes, or the file cannot be read.
    """
    records: list[Record] = []
    for number, line in enumerate(read_records(path), start=1):
        try:
            records.append(_LINE.validate_python(line))
        except ValidationError:
            raise damaged(path, number) from None
    return records

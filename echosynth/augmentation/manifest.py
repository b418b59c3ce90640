"""The manifest: one JSON line per ATTEMPT, refused ones included, synced before the next attempt begins.

    {"schema": 1, "sample_id": "a4c_ef30_s0", "attempt": 0, "seed": ..., "target_ef": 30.0, "gate_ef": 33.2, ...}

It is the source of truth when a run continues: a sample is finished when one of its attempts was accepted or when the
attempts are used up. A last line that a killed process left torn is cut off; any other damage is an error.
"""

import importlib.metadata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from echosynth import __version__
from echosynth.storage.jsonl import append_record, damaged, read_typed

SCHEMA = 1


@dataclass(frozen=True)
class ManifestEntry:
    """One attempt at one sample.

    Attributes:
        sample_id: the planned sample.
        source: name of what gave the conditioning frame.
        frame: index of that frame.
        attempt: 0, 1, 2, ...
        seed: of the attempt's generator.
        target_ef: asked for, per cent.
        gate_ef: measured by the gate, per cent.
        gate_low: lower end of the gate's 90 % interval.
        gate_high: upper end.
        judge_ef: measured by the judge, per cent; None without a judge.
        accepted: by the gate.
        reason: why.
        file: the sample's clip, relative to the run's folder, which this attempt wrote; a later and better attempt
            writes it anew. None if this attempt's clip was not kept.
        seconds: to generate and measure.
        model: name of the cascade.
        model_hash: of its weights, 12 hex digits.
        gate: name of the gate.
        gate_hash: of its weights.
        judge: name of the judge, or None.
        judge_hash: of its weights, or None.
        versions: of the packages that decide pixels.
        schema: of this record.
    """

    sample_id: str
    source: str
    frame: int
    attempt: int
    seed: int
    target_ef: float
    gate_ef: float
    gate_low: float
    gate_high: float
    judge_ef: float | None
    accepted: bool
    reason: str
    file: str | None
    seconds: float
    model: str
    model_hash: str
    gate: str
    gate_hash: str
    judge: str | None
    judge_hash: str | None
    versions: dict[str, str]
    schema: int = SCHEMA

    @property
    def distance(self) -> float:
        """|gate_ef - target_ef|, points."""
        return abs(self.gate_ef - self.target_ef)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide pixels."""
    packages = ("torch", "diffusers", "numpy")
    return {"echosynth": __version__, **{name: importlib.metadata.version(name) for name in packages}}


class Manifest:
    """A manifest on disk, or the part of one that a process appends to.

    Args:
        path: the file; it need not exist.

    Attributes:
        entries: everything that was recorded, in order.

    Raises:
        OutputError: the file is damaged, is of another schema, or cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.entries = read_typed(self.path, ManifestEntry)
        for number, entry in enumerate(self.entries, start=1):
            if entry.schema != SCHEMA:
                raise damaged(self.path, number, f"not of schema {SCHEMA}")

    def append(self, entry: ManifestEntry) -> None:
        """Record an attempt; when this returns it is safe on disk."""
        append_record(self.path, asdict(entry))
        self.entries.append(entry)

    def by_sample(self) -> dict[str, list[ManifestEntry]]:
        """Return the attempts at each sample, in order, by sample id."""
        grouped: dict[str, list[ManifestEntry]] = {}
        for entry in self.entries:
            grouped.setdefault(entry.sample_id, []).append(entry)
        return grouped


def best_entries(entries: Iterable[ManifestEntry]) -> dict[str, ManifestEntry]:
    """Return each sample's entry: the accepted attempt, else the one nearest to the target by the gate."""
    best: dict[str, ManifestEntry] = {}
    for entry in entries:
        old = best.get(entry.sample_id)
        if old is None or (entry.accepted, -entry.distance) > (old.accepted, -old.distance):
            best[entry.sample_id] = entry
    return best

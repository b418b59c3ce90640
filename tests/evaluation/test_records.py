"""Lines of samples.jsonl: what is written is read back, in the format of earlier runs; other lines are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from echosynth.errors import OutputError
from echosynth.evaluation.records import Record, read_evaluation, to_line
from echosynth.metrics.similarity import ClipSimilarity
from echosynth.storage.jsonl import append_record
from tests.evaluations import make_pair, make_sample, make_truth

EARLIER = {  # a line that an evaluation wrote before there were classes for it
    "type": "sample", "patient": "phantom-7", "own_ef": 41.5, "target_ef": 30.25, "factual": False, "attempt": 0,
    "seed": 12345678901234, "gate_ef": 31.0, "accepted": True,
    "similarity": {"ssim": 0.5, "psnr": 20.25, "mae": 9.0}, "seconds": 1.25, "judge_ef": 33.0, "features": [0.5, -1.0],
}  # fmt: skip


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    records: list[Record] = [
        make_sample("a", 30.0, 31.0, similarity=ClipSimilarity(1.0, float("inf"), 0.0)),
        make_truth("a", 30.0, 29.0),
        make_pair("a", 0.5),
        make_sample("a", 50.0, 51.0, factual=True, attempt=1, accepted=True),
    ]
    for record in records:
        append_record(tmp_path / "samples.jsonl", to_line(record))
    assert read_evaluation(tmp_path / "samples.jsonl") == records
    assert read_evaluation(tmp_path / "none.jsonl") == []


def test_lines_of_earlier_runs_are_read_and_written_alike(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text(json.dumps(EARLIER) + "\n")
    (record,) = read_evaluation(tmp_path / "samples.jsonl")
    assert json.dumps(to_line(record)) == json.dumps(EARLIER)


@pytest.mark.parametrize(
    "change", [{"type": "clip"}, {"judge_ef": "much"}, {"similarity": {"ssim": 1.0}}, {"features": None}]
)
def test_other_lines_are_refused_by_their_number(tmp_path: Path, change: dict[str, Any]) -> None:
    lines = [EARLIER, EARLIER | change]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(OutputError, match="line 2 is damaged"):
        read_evaluation(tmp_path / "samples.jsonl")

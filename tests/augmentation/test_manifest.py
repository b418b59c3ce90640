"""The manifest survives a kill at any byte and refuses any other damage."""

import json
from pathlib import Path

import pytest

from echosynth.augmentation.manifest import Manifest, ManifestEntry, best_entries
from echosynth.errors import OutputError


def entry(
    sample_id: str = "a_ef30_s0", attempt: int = 0, gate_ef: float = 40.0, accepted: bool = False
) -> ManifestEntry:
    return ManifestEntry(
        sample_id, "a", 0, attempt, 7, 30.0, gate_ef, gate_ef - 5, gate_ef + 5, 33.0, accepted, "why", None, 1.0,
        "m", "0" * 12, "g", "1" * 12, "j", "2" * 12, {"torch": "2"},
    )  # fmt: skip


def test_a_torn_tail_is_passed_over_and_then_cut_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest = Manifest(path)
    manifest.append(entry(attempt=0))
    first = path.read_bytes()
    manifest.append(entry(attempt=1))
    second = path.read_bytes()[len(first) :]
    for length in (0, 1, len(second) // 2, len(second) - 1):
        path.write_bytes(first + second[:length])
        again = Manifest(path)
        assert [e.attempt for e in again.entries] == [0]
        assert path.read_bytes() == first + second[:length], "another process may still write"
        again.append(entry(attempt=1))
        assert path.read_bytes() == first + second


def test_other_damage_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    Manifest(path).append(entry())
    good = path.read_bytes()
    for bad in (b"\x00\x01\n" + good, good.replace(b'"schema": 1', b'"schema": 9'), b"[1]\n" + good):
        path.write_bytes(bad)
        with pytest.raises(OutputError):
            Manifest(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("gate_ef", "x"), ("gate_ef", None), ("seconds", []), ("accepted", "yes"), ("sample_id", 3), ("versions", [1])],
)
def test_a_value_of_a_wrong_type_is_reported_by_line_and_key(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest = Manifest(path)
    manifest.append(entry())
    path.write_text(path.read_text() + json.dumps(json.loads(path.read_text()) | {key: value}) + "\n")
    with pytest.raises(OutputError, match=rf"line 2 is damaged.*{key}"):
        Manifest(path)


def test_best_is_the_accepted_one_else_the_nearest_by_the_gate() -> None:
    tries = [entry(attempt=0, gate_ef=41), entry(attempt=1, gate_ef=38), entry(attempt=2, gate_ef=39)]
    assert best_entries(tries)["a_ef30_s0"].attempt == 1
    tries.append(entry(attempt=3, gate_ef=60, accepted=True))
    assert best_entries(tries)["a_ef30_s0"].attempt == 3

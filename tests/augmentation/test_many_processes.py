"""Several processes share a run: the same bytes as of one process, whoever is killed whenever."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from echosynth.augmentation.augment import augment, augmentation_status, merge_augmentation
from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.errors import ConfigError, OutputError
from echosynth.storage.parts import Parts
from echosynth.storage.shard import Shard
from tests.shared_runs import CLIPS, PATIENCE, contents


def start(config: AugmentConfig, out: Path, index: int = 0, count: int = 1, *words: object) -> subprocess.Popen[str]:
    """Start one process of a launch."""
    file = out.parent / "config.yaml"
    file.write_text(config.model_dump_json())
    place = {"RANK": index, "WORLD_SIZE": count, "LOCAL_RANK": index, "LOCAL_WORLD_SIZE": count}
    command = [sys.executable, "-m", "echosynth", "augment", file, "--out", out, "--json", *words]
    return subprocess.Popen(
        [str(word) for word in command],
        env={**os.environ, **{name: str(value) for name, value in place.items()}, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.heavy
@pytest.mark.parametrize("count", [2, 3])
def test_many_processes_make_the_same_bytes(
    config: AugmentConfig, alone: dict[str, bytes], tmp_path: Path, count: int
) -> None:
    processes = [start(config, tmp_path / "run", index, count) for index in range(count)]
    ended = [(*process.communicate(timeout=PATIENCE), process.returncode) for process in processes]
    assert [code for _, _, code in ended] == [0] * count, ended
    assert json.loads(ended[0][0])["planned"] == CLIPS
    assert [out for out, _, _ in ended[1:]] == [""] * (count - 1), "the first alone answers"
    assert [err for _, err, _ in ended[1:]] == [""] * (count - 1)
    assert contents(tmp_path / "run") == alone


@pytest.mark.heavy
def test_killed_processes_lose_and_double_nothing_whatever_their_number(
    config: AugmentConfig, alone: dict[str, bytes], tmp_path: Path
) -> None:
    draw, out = random.Random(24), tmp_path / "run"
    for count in (3, 2):
        processes = [start(config, out, index, count) for index in range(count)]
        until = time.monotonic() + PATIENCE
        while not list(out.glob(".parts/*.lock")) and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 1))
        processes[draw.randrange(count)].kill()
        time.sleep(draw.uniform(0, 1))
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    assert augment(config, out).to_dict()["planned"] == CLIPS
    assert contents(out) == alone


@pytest.mark.heavy
def test_shards_come_in_any_order_and_only_the_last_one_completes_the_run(
    config: AugmentConfig, alone: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    first = augment(config, out, shard=Shard(3, 3))
    assert (first.planned, first.accepted + first.refused, first.parts_left) == (CLIPS, 1, 4)
    assert not (out / "manifest.jsonl").exists()
    assert augment(config, out, shard=Shard(1, 3)).parts_left == 2
    with pytest.raises(OutputError, match=r"2 of 5 parts .* are unfinished \(1, 4\); start"):
        merge_augmentation(out)
    with Parts(out, CLIPS)._take(4):
        status = augmentation_status(out).to_dict()
    assert {name: status[name] for name in ("planned", "samples", "parts", "unfinished", "held")} == {
        "planned": CLIPS, "samples": 3, "parts": CLIPS, "unfinished": [1, 4], "held": [4]
    }  # fmt: skip
    with pytest.raises(OutputError, match="another configuration: per_bin was 3, now 4"):
        augment(config.model_copy(update={"per_bin": 4}), out, shard=Shard(2, 3))
    last = augment(config, out, shard=Shard(2, 3))
    assert last.parts_left == 0
    assert contents(out) == alone
    (out / "manifest.jsonl").unlink()
    (out / "dataset" / "FileList.csv").unlink()
    assert merge_augmentation(out).to_dict() == last.to_dict()
    assert contents(out) == alone
    assert augment(config, out).to_dict() == last.to_dict(), "nothing is left to do"


@pytest.mark.heavy
def test_a_shard_that_overlaps_another_ones_is_refused(config: AugmentConfig, tmp_path: Path) -> None:
    out = tmp_path / "run"
    augment(config, out, shard=Shard(1, 5))
    with Parts(out, CLIPS)._take(1) as mine:
        assert mine
        with pytest.raises(OutputError, match=r"another process works on part 1 .* overlap"):
            augment(config, out, shard=Shard(2, 4))


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_scheduler_s_signal_ends_the_process_after_the_clip_in_hand(
    config: AugmentConfig, alone: dict[str, bytes], tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "run"
    process = start(config, out)
    until = time.monotonic() + PATIENCE
    while not list(out.glob(".parts/*.lock")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 75
    last = said.splitlines()[-1]
    assert last == "echosynth: stopped after the clip in hand; what was finished is kept, the same command continues"
    made = sum(len(path.read_text().splitlines()) for path in out.glob(".parts/?????.jsonl"))
    assert 1 <= made < 2 * CLIPS
    augment(config, out)
    assert contents(out) == alone


def test_a_shard_is_read_from_words_and_from_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Shard.parse("3/8") == Shard(3, 8)
    assert [part for number in (1, 2, 3) for part in Shard(number, 3).of(7)] == [0, 3, 6, 1, 4, 2, 5]
    for wrong in ("0/8", "9/8", "3", "3/0", "a/b", "-1/2", "1/2/3", ""):
        with pytest.raises(ConfigError, match="shard"):
            Shard.parse(wrong)
    assert Shard.of_slurm_array() == Shard(1, 1)
    for first, step in ((0, 1), (1, 1), (10, 5)):
        monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", str(first))
        monkeypatch.setenv("SLURM_ARRAY_TASK_STEP", str(step))
        monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "4")
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(first + 2 * step))
        assert Shard.of_slurm_array() == Shard(3, 4)
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    with pytest.raises(ConfigError, match="SLURM_ARRAY_TASK_COUNT=2"):
        Shard.of_slurm_array()

"""scripts/augment.sbatch, started as Slurm would start its tasks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from echosynth.augmentation.augment import augmentation_status
from echosynth.augmentation.augment_config import AugmentConfig
from tests.shared_runs import CLIPS, PATIENCE, contents

pytestmark = pytest.mark.heavy

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "augment.sbatch"


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """A folder for PATH: this Python, and a `scontrol` that writes down what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {"python": f'exec {sys.executable} "$@"', "scontrol": f'echo "$@" >> {tmp_path}/told'}
    for name, line in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return folder


def start_task(cluster: Path, config: AugmentConfig, out: Path, task: int, count: int) -> subprocess.Popen[str]:
    file = out.parent / "config.yaml"
    file.write_text(config.model_dump_json())
    array = {"TASK_ID": task, "TASK_COUNT": count, "TASK_MIN": 0, "JOB_ID": 77}
    variables = {f"SLURM_ARRAY_{name}": str(value) for name, value in array.items()}
    return subprocess.Popen(
        ["bash", str(SCRIPT), str(file), str(out)],
        env={**os.environ, **variables, "PATH": f"{cluster}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_tasks_of_an_array_make_the_run_together(
    cluster: Path, config: AugmentConfig, alone: dict[str, bytes], tmp_path: Path
) -> None:
    tasks = [start_task(cluster, config, tmp_path / "run", task, 2) for task in range(2)]
    said = [task.communicate(timeout=PATIENCE)[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert contents(tmp_path / "run") == alone
    assert not (tmp_path / "told").exists()


def test_a_task_whose_time_is_up_is_queued_again(
    cluster: Path, config: AugmentConfig, alone: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    task = start_task(cluster, config, out, 0, 1)
    until = time.monotonic() + PATIENCE
    while not list(out.glob(".parts/*.lock")) and time.monotonic() < until:
        time.sleep(0.02)
    task.send_signal(signal.SIGUSR1)
    said, _ = task.communicate(timeout=PATIENCE)
    assert task.returncode == 75, said
    assert (tmp_path / "told").read_text() == "requeue 77_0\n"
    assert augmentation_status(out).counts.samples < CLIPS
    again = start_task(cluster, config, out, 0, 1)
    again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert contents(out) == alone

"""`echosynth inspect`: what it counts, what it finds wrong, what it draws."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from echosynth.cli import main
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.video.clip import EchoClip
from tests.data.fake_datasets import write_camus, write_hmc_qu, write_pediatric

pytestmark = pytest.mark.heavy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "echonet"
    with EchoNetWriter(root, lossless=True) as writer:
        for k, (ef, split) in enumerate([(62.0, "TRAIN"), (35.0, "VAL"), (58.0, "TEST")]):
            pixels = np.random.default_rng(k).integers(0, 255, (9, 112, 112), dtype=np.uint8)
            writer.add(f"clip{k}", EchoClip(pixels, 50.0, ef, 100.0, 100.0 - ef), split)
    return root


def inspect(capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> dict[str, Any]:
    assert main(["inspect", str(path), "--json", "--sheet", str(path / "sheet.png"), *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = inspect(capsys, folder)
    assert (found["layout"], found["clips"], found["patients"]) == ("EchoNet-Dynamic", 3, 3)
    assert found["splits"] == {"TRAIN": 1, "VAL": 1, "TEST": 1}
    assert found["ef_histogram"] == [0, 0, 0, 1, 0, 1, 1, 0, 0, 0]
    assert found["ef"]["mean"] == pytest.approx(51.67)
    assert found["fps"] == {"50": 3}
    assert found["frames"] == {"min": 9, "median": 9, "max": 9}
    assert Image.open(found["sheet"]).size[0] > 600


def test_a_name_that_is_listed_twice_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = folder / "FileList.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[1].replace("TRAIN", "TEST")]) + "\n")
    assert "1 names stand there more than once: clip0" in inspect(capsys, folder)["problems"]
    assert main(["measure", str(folder)]) == 2  # whoever would work with it is still refused
    assert "more than once" in capsys.readouterr().err


def test_everything_that_is_wrong_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = folder / "FileList.csv"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace("62.0", "22.0")
    lines.append("gone,50,50,100,768,1024,50,9,TRAIN")
    table.write_text("\n".join(lines) + "\n")
    (folder / "Videos" / "clip1.avi").write_bytes(b"RIFF damaged")
    (folder / "Phantom.csv").write_text("file,factual,patient_seed\nclip0,heart,1\nclip2,heart,1\n")
    problems = " | ".join(inspect(capsys, folder, "--decode")["problems"])
    for problem in ("1 videos are missing", "more than a point off", "112 x 112: gone", "two traced frames"):
        assert problem in problems
    assert "1 patients are in more than one split: heart" in problems
    assert "cannot decode" in problems
    assert "clip1.avi" in problems


def test_text_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder), "--sheet", str(folder / "s.png")]) == 0
    text = capsys.readouterr().out
    assert "EchoNet-Dynamic" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["30-40", "1", "#" * 40] in rows
    assert ["70-80", "0"] in rows
    assert ["decoded", "3", "of", "3", "videos"] in rows
    assert rows[0] == ["dataset", str(folder)]


@pytest.mark.parametrize(("make", "clips"), [(write_pediatric, 10), (write_camus, 4), (write_hmc_qu, 3)])
def test_other_layouts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], Path], clips: int
) -> None:
    found = inspect(capsys, make(tmp_path), "--decode")
    assert found["clips"] == found["decoded"] == clips
    assert sum(found["fps"].values()) == clips


def test_nothing_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1

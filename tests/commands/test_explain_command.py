"""`echosynth explain`: pictures of what is known, and one clear line for what cannot be explained."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from echosynth.regression.loading import DEFAULT_GATE, DEFAULT_JUDGE, REGRESSORS
from echosynth.storage.checksums import write_sums
from tests.command_line import Run
from tests.regressors import SMALL

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("name", ["EchoE3Net", "MCSDR"])
def test_a_regressor_s_reading_is_drawn(echosynth: Run, phantom_video: Path, tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    folder = tmp_path / "mine" / "model"
    REGRESSORS[name](**SMALL[name]).save_pretrained(folder)
    write_sums(folder)
    out = tmp_path / "out"
    done = echosynth("explain", phantom_video, "--regressor", folder, "--out", out, "--json")
    assert done.code == 0
    (entry,) = done.json["explained"]
    measured = echosynth("measure", phantom_video, "--regressor", folder, "--json").json["clips"][0]
    assert entry["ef"] == pytest.approx(measured["windows"][0], abs=0.01) or not 0 <= entry["ef"] <= 100
    with Image.open(entry["animation"]) as animation:
        assert animation.n_frames > 1
    with Image.open(entry["figure"]) as figure:
        assert figure.width > figure.height
    before = (out / "mine.png").read_bytes()
    assert echosynth("explain", phantom_video, "--regressor", folder, "--out", out).code == 0
    assert (out / "mine.png").read_bytes() == before


def test_what_has_no_beat_is_refused(echosynth: Run, tmp_path: Path) -> None:
    Image.new("L", (112, 112)).save(tmp_path / "one.png")
    for words in ((tmp_path / "one.png",), (tmp_path / "none.avi",), (tmp_path / "one.png", "--fps", "0")):
        done = echosynth("explain", *words, "--out", tmp_path / "out")
        assert done.code == 2
        assert len(done.err.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()


def test_the_object_names_its_files(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    done = echosynth("explain", phantom_video, "--out", tmp_path / "out", "--json")
    assert {entry["regressor"] for entry in done.json["explained"]} == {DEFAULT_GATE, DEFAULT_JUDGE}
    assert json.loads(done.out)["file"].endswith("patient.avi")

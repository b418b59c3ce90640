"""Tiny models under the bundled names, a source to generate from, and the command line in this process."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from echosynth.evaluation.cases import render_pair
from echosynth.video.writers import write_avi
from tests.command_line import Generated, Run, make_run, run_for_all
from tests.models import make_tiny_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def phantom_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 16 frames of a phantom patient with EF 55."""
    _, clip = render_pair(3_000_009, 55.0, 55.0, 16, 32.0, 0.0)
    path = tmp_path_factory.mktemp("video") / "patient.avi"
    write_avi(path, clip)
    return path


@pytest.fixture(scope="session")
def generated(bundle: Path, phantom_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """The patient of `phantom_video` at EF 30 and 60."""
    out = tmp_path_factory.mktemp("generated") / "run"
    words = ("generate", phantom_video, "--ef", 30, "--ef", 60, "--max-attempts", 2)
    done = run_for_all(bundle, *words, "--out", out, "--json")
    assert done.code == 0, done.err
    return Generated(out, words, done)


@pytest.fixture
def echosynth(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the tiny models, in an empty folder, for a user who has added no model."""
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(bundle))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return make_run(capsys)


@pytest.fixture
def noise_picture(tmp_path: Path) -> Path:
    """A picture that is no ultrasound."""
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320), dtype=np.uint8)).save(path)
    return path

"""Tiny models under the bundled names, a source to generate from, and the command line in this process."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from echosynth.cli import main
from echosynth.evaluation.cases import render_pair
from echosynth.video.files import write_avi
from tests.models import make_tiny_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def phantom_video(tmp_path_factory):
    """A clip of 16 frames of a phantom patient with EF 55."""
    _, clip = render_pair(3_000_009, 55.0, 55.0, 16, 32.0, 0.0)
    path = tmp_path_factory.mktemp("video") / "patient.avi"
    write_avi(path, clip)
    return path


@pytest.fixture
def echosynth(bundle, monkeypatch, capsys):
    """Run a command; gives code, out, err and, with --json, the object."""
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(bundle))

    def run(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err, json=json.loads(out) if "--json" in words and out else None)

    return run


@pytest.fixture
def noise_picture(tmp_path):
    """A picture that is no ultrasound."""
    from PIL import Image

    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320), dtype=np.uint8)).save(path)
    return path

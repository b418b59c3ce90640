"""Tiny models for the tests of a run."""

from pathlib import Path

import numpy as np
import pytest

from echosynth.augmentation.augment import augment
from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.video.clip import EchoClip
from tests.models import CASCADE, GATE, make_tiny_bundle
from tests.shared_runs import CLIPS, contents


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def config(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> AugmentConfig:
    """Five clips in two attempts each at most, of which the tiny gate refuses some."""
    source = tmp_path_factory.mktemp("source") / "real"
    with EchoNetWriter(source, synthetic=False) as writer:
        pixels = np.random.default_rng(0).integers(0, 255, (6, 112, 112), dtype=np.uint8)
        writer.add("real0", EchoClip(pixels, 32.0, 35.0, 100.0, 65.0), "TRAIN")
    models = {"model": str(bundle / CASCADE), "gate": str(bundle / GATE)}
    bins = {"per_bin": 3, "bin_width": 25.0, "low": 20.0, "high": 70.0}
    return AugmentConfig.model_validate(
        {"name": "shared", "source": source, "max_attempts": 2, "tolerance": 12.0, **bins, **models}
    )


@pytest.fixture(scope="session")
def alone(config: AugmentConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("alone") / "run"
    result = augment(config, out)
    assert result.planned == CLIPS
    assert 0 < result.accepted < CLIPS, "the tolerance of this test is to refuse some and accept some"
    return contents(out)

"""Several datasets in one batch: their shares, what is read of each, and how a config names them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import ConfigError
from echosynth.seeding import make_generator
from echosynth.training.clips.sources import open_source
from echosynth.training.clips.weighted import WeightedSource, WeightedSourceConfig
from echosynth.training.regressor import RegressorConfig
from echosynth.video.clip import EchoClip


def write(root: Path, efs: list[float], side: int = 32) -> Path:
    rng = np.random.default_rng(0)
    with EchoNetWriter(root, lossless=True) as writer:
        for k, ef in enumerate(efs):
            pixels = rng.integers(100, 255, (20, side, side), dtype=np.uint8)
            writer.add(f"{root.name}{k}", EchoClip(pixels, 32.0, ef=ef, edv=100.0, esv=100 - ef), "TRAIN")
    return root


@pytest.fixture
def config(tmp_path: Path) -> WeightedSourceConfig:
    shared = {"num_frames": 16, "cache": tmp_path / "cache"}
    real = {"root": write(tmp_path / "real", [60.0, 61.0, 62.0]), "weight": 3.0, **shared}
    synthetic = {"root": write(tmp_path / "synthetic", [20.0, 21.0]), **shared}
    return WeightedSourceConfig.model_validate({"parts": [real, synthetic]})


@pytest.mark.parametrize("count", [1, 3, 4, 16])
def test_each_dataset_has_its_share(config: WeightedSourceConfig, count: int) -> None:
    source = open_source(config)
    assert isinstance(source, WeightedSource)
    real = [source.counts(count, make_generator(seed))[0] for seed in range(300)]
    assert set(real) <= {int(0.75 * count), int(np.ceil(0.75 * count))}
    assert np.mean(real) == pytest.approx(0.75 * count, abs=0.1)
    drawn = source.draw_ef_batch(count, make_generator(5))
    assert drawn.ef.shape == (count,)
    assert bool(((drawn.ef < 30) | (drawn.ef > 55)).all())
    assert source.draw(count, make_generator(5)).clips.shape == (count, 16, 32, 32)


def test_whole_clips_come_in_order(config: WeightedSourceConfig) -> None:
    source = open_source(config)
    assert [source.clip(k).ef for k in range(len(source))] == [60, 61, 62, 20, 21]
    assert source.patients().shape[0] == 5
    with pytest.raises(IndexError):
        source.clip(5)


def test_a_batch_is_the_same_whenever_it_is_drawn(config: WeightedSourceConfig) -> None:
    one, two = (open_source(config).draw_ef_batch(6, make_generator(3)) for _ in range(2))
    assert torch.equal(one.clips, two.clips)


def test_a_config_writes_a_list(config: WeightedSourceConfig) -> None:
    parts = config.model_dump(mode="json")["parts"]
    of_run = {"kind": "regressor", "name": "x", "network": "R2Plus1D", "optim": {"steps": 1}}
    made = RegressorConfig.model_validate({**of_run, "data": parts, "validation": parts[:1]})
    assert made.data == config
    assert RegressorConfig.model_validate(made.model_dump(mode="json")).data == config


def test_what_does_not_fit_together_is_refused(config: WeightedSourceConfig, tmp_path: Path) -> None:
    values = config.model_dump(mode="json")
    values["parts"][1]["num_frames"] = 12
    with pytest.raises(ValueError, match="num_frames must be the same"):
        WeightedSourceConfig.model_validate(values)
    with pytest.raises(ValueError, match="greater than 0"):
        WeightedSourceConfig.model_validate({"parts": [{**values["parts"][0], "weight": 0}]})
    other = {**config.model_dump(mode="json")["parts"][1], "root": write(tmp_path / "large", [40.0], side=48)}
    with pytest.raises(ConfigError, match="32, 48 pixels"):
        open_source(WeightedSourceConfig.model_validate({"parts": [values["parts"][0], other]}))

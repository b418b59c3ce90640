"""A dataset and phantoms in one batch: shares, what is known of each, and a training on both."""

from pathlib import Path

import numpy as np
import pytest
import torch

from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import ConfigError
from echosynth.seeding import make_generator
from echosynth.training.clips.mixture import MixtureSource, MixtureSourceConfig
from echosynth.training.clips.sources import open_source
from echosynth.training.regressor import RegressorConfig, train_regressor
from echosynth.video.clip import EchoClip
from tests.fake_set import write_fake_set


@pytest.fixture
def config(tmp_path: Path) -> MixtureSourceConfig:
    """A hospital of white noise on 32 x 32 pixels, and blobs beside it."""
    rng = np.random.default_rng(0)
    with EchoNetWriter(tmp_path / "hospital", lossless=True) as writer:
        for k in range(10):
            pixels = rng.integers(100, 255, (20, 32, 32), dtype=np.uint8)
            clip = EchoClip(pixels, 32.0, ef=50.0 + k, edv=100.0, esv=50.0 - k)
            writer.add(f"own{k}", clip, "TRAIN" if k < 6 else "VAL")
    phantoms = write_fake_set(tmp_path / "sets").model_dump(mode="json")
    own = {"root": tmp_path / "hospital", "num_frames": 16, "cache": tmp_path / "cache"}
    return MixtureSourceConfig.model_validate({"own": own, "rehearsal": phantoms, "share": 0.25})


@pytest.mark.parametrize(("count", "phantoms"), [(1, 0), (2, 1), (3, 1), (8, 2), (16, 4)])
def test_a_batch_has_its_share_of_phantoms(config: MixtureSourceConfig, count: int, phantoms: int) -> None:
    source = open_source(config)
    assert isinstance(source, MixtureSource)
    drawn = source.draw_ef_batch(count, make_generator(1))
    assert drawn.clips.shape == (count, 16, 32, 32)
    # of a hospital's clip the volumes between end-diastole and end-systole are not known
    assert int((~drawn.curve.isnan().any(1)).sum()) == phantoms
    assert bool(((drawn.ef[: count - phantoms] >= 50) & (drawn.ef[: count - phantoms] < 56)).all())


def test_what_one_kind_alone_knows_is_unknown_of_the_other(config: MixtureSourceConfig) -> None:
    drawn = open_source(config).draw(8, make_generator(2), traced=False)
    assert drawn.known["ef"].isnan().sum() == 0
    assert drawn.known["heart_rate"].isnan().tolist() == [True] * 6 + [False] * 2
    assert drawn.frames.shape == (8, 32, 32)
    assert torch.equal(drawn.frames[:6], drawn.clips[:6, 0]), "a hospital's conditioning frame is its clip's own"


def test_whole_clips_are_the_hospitals(config: MixtureSourceConfig) -> None:
    source = open_source(config)
    assert len(source) == 6
    assert [source.clip(k).ef for k in range(6)] == [50, 51, 52, 53, 54, 55]


def test_clips_of_another_length_are_refused(config: MixtureSourceConfig) -> None:
    values = config.model_dump(mode="json")
    values["own"]["num_frames"] = 12
    with pytest.raises(ValueError, match=r"own.num_frames 12 and rehearsal.num_frames 16"):
        MixtureSourceConfig.model_validate(values)


def test_pictures_of_another_size_are_refused(config: MixtureSourceConfig, tmp_path: Path) -> None:
    small = write_fake_set(tmp_path / "small", size=16).model_dump(mode="json")
    other = MixtureSourceConfig.model_validate(config.model_dump(mode="json") | {"rehearsal": small})
    with pytest.raises(ConfigError, match=r"32 pixels, rehearsal.size 16"):
        open_source(other)


@pytest.mark.heavy
def test_a_regressor_is_tuned_on_both_and_keeps_its_best_weights(config: MixtureSourceConfig, tmp_path: Path) -> None:
    own = config.own.model_dump(mode="json")
    network = {"fps": 16, "frames": 8, "size": 32, "patch": 4, "widths": [8, 8], "dim": 16, "depth": 1, "heads": 2}
    tuned = RegressorConfig.model_validate(
        {
            "kind": "regressor",
            "name": "tuned",
            "data": config.model_dump(mode="json"),
            "validation": own | {"split": "VAL"},
            "network": "FrameTransformer",
            "arguments": network,
            "loss": {"curve": 1.0},
            "timing": {},
            "appearance": {},
            "optim": {"steps": 4, "batch_size": 4, "mixed_precision": "no"},
            "pace": {"log_every": 1, "validate_every": 2, "keep_best": True, "validation_batches": 1},
        }
    )
    folder = train_regressor(tuned, tmp_path / "run")
    assert (folder / "diffusion_pytorch_model.safetensors").is_file()
    assert (tmp_path / "run" / "tuned" / "best" / "best.json").is_file()

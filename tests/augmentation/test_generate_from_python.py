"""`generate` as a library: frames in memory, wrong values as errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echosynth.augmentation.generate import GenerateConfig, generate
from echosynth.errors import CheckpointError, ConfigError, OutputError, SourceError
from echosynth.video.clip import EchoClip

FRAME = np.random.default_rng(0).integers(0, 255, (112, 112), dtype=np.uint8)


@pytest.fixture(autouse=True)
def tiny_models(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(bundle))


@pytest.mark.heavy
def test_frames_and_clips_in_memory(tmp_path: Path) -> None:
    cine = EchoClip(np.stack([FRAME, FRAME[::-1], FRAME[:, ::-1]]), 32.0, ef=55.0, source="cine")
    result = generate(GenerateConfig(source=[FRAME, cine], ef=[30, 60], frame=0, max_attempts=1), tmp_path / "run")
    assert [clip.source for clip in result.clips] == ["frame_1", "frame_1", "cine", "cine"]
    assert [clip.file.name for clip in result.clips[::2]] == ["frame_1_ef30_s0.avi", "cine_ef30_s0.avi"]
    clips = [result.load(clip) for clip in result.clips]
    assert [clip.ef for clip in clips] == [30, 60, 30, 60]
    assert clips[0].pixels.shape == (16, 112, 112)
    assert result.frames[1].ef == 55.0
    # One picture and a clip whose frame 0 is that picture are the same frame under another name.
    moved = generate(GenerateConfig(source=cine, ef=30, frame=1, max_attempts=1), tmp_path / "moved")
    assert np.array_equal(moved.frames[0].pixels, FRAME[::-1])


@pytest.mark.heavy
def test_other_pixels_in_memory_are_another_run(tmp_path: Path) -> None:
    generate(GenerateConfig(source=FRAME, ef=30, max_attempts=1), tmp_path / "run")
    generate(GenerateConfig(source=FRAME, ef=30, max_attempts=1), tmp_path / "run")
    with pytest.raises(OutputError, match="frames_hash"):
        generate(GenerateConfig(source=FRAME.T.copy(), ef=30, max_attempts=1), tmp_path / "run")


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"samples": 0}, "samples", "samples must be at least 1, got 0"),
        ({"limit": 0}, "limit", "limit must be at least 1, got 0"),
        ({"max_attempts": 0}, "max_attempts", "max_attempts must be at least 1, got 0"),
        ({"steps": 0}, "steps", "steps must be at least 1, got 0"),
        ({"guidance": 100}, "guidance", "guidance must be a number from 0 to 100, got 100"),
        ({"tolerance": float("nan")}, "tolerance", "tolerance must be a number of at least 0, got nan"),
        ({"heart_rate": 7}, "heart_rate", "heart rate must be 30 to 150 beats per minute, got 7"),
        ({"phase": 1.5}, "phase", "phase must be 0 to 1 of a beat, got 1.5"),
        ({"phase": "mid"}, "phase", "phase must be ed, es or a share of a beat, got 'mid'"),
        ({"quality": "so"}, "quality", "quality must be poor, medium, good or a number from 0 to 1, got 'so'"),
        ({"seconds": 0}, "seconds", "seconds must be above 0 and at most 60, got 0"),
        ({"seconds": 60.5}, "seconds", "seconds must be above 0 and at most 60, got 60.5"),
        ({"fps": 4.9}, "fps", "fps must be 5 to 200, got 4.9"),
        ({"size": 1025}, "size", "size must be 28 to 1024 pixels, got 1025"),
        ({"keep": 0}, "keep", "keep must be a number of seconds above 0, got 0"),
        ({"ef": 95.5}, "", "EF 95.5: a target EF is in per cent, from 1 to 95"),
        ({"ef": []}, "ef", "give at least one EF"),
        ({"edv": 100, "esv": 40}, "", "make an EF of 60.0 per cent, but 40 was asked for"),
        ({"source": None}, "fictional", "give either a source or fictional N"),
        ({"fictional": 2}, "fictional", "give either a source or fictional N"),
        ({"source": None, "fictional": 0}, "fictional", "fictional takes a number of at least 1"),
        ({"source": None, "fictional": 1, "keep": 1}, "fictional", "neither keep nor frame"),
        ({"source": 5}, "source", "source must be a path, clips, or pictures"),
        ({"samples": "many"}, "samples", "samples: Input should be a valid integer"),
        ({"stepps": 3}, "stepps", "stepps"),
    ],
)
def test_a_wrong_value_is_one_error_that_names_its_field(values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        GenerateConfig(**{"source": FRAME, "ef": 40, **values})
    assert words in str(caught.value)
    assert caught.value.key == field
    assert "\n" not in str(caught.value)


def test_words_stand_for_numbers() -> None:
    config = GenerateConfig(source="a.png", ef=40, phase="es", quality="good")
    assert (config.phase, config.quality, config.source) == (0.4, 0.85, Path("a.png"))
    assert GenerateConfig(source="a.png", ef=40, phase="0.25").phase == 0.25


def test_what_cannot_be_used_is_refused_before_the_folder_is_made(tmp_path: Path) -> None:
    floats = GenerateConfig(source=FRAME.astype(np.float32), ef=40)
    with pytest.raises(SourceError, match="uint8"):
        generate(floats, tmp_path / "run")
    with pytest.raises(CheckpointError, match="no_such"):
        generate(GenerateConfig(source=FRAME, ef=40, model="no_such"), tmp_path / "run")
    with pytest.raises(ConfigError, match="does not support the heart rate; leave heart_rate out"):
        generate(GenerateConfig(source=FRAME, ef=40, heart_rate=70), tmp_path / "run")
    assert not (tmp_path / "run").exists()

"""One split of a dataset, runs as sources, folders of DICOM files with folders below, stills among videos."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import examples

from echosynth.augmentation.conditioning import load_conditioning_frames
from echosynth.cardiac.landmarks import CHORDS
from echosynth.data.echonet_tables import Tracing
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.data.layouts import iter_clips, iter_videos, open_dataset
from echosynth.errors import ConfigError, DatasetError, SourceError
from echosynth.evaluation.cases import render_pair
from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_avi, write_png


def tracing(frame: int, width: float) -> Tracing:
    chords = np.stack([np.array([50 - width, 20.0 + k, 50 + width, 20.0 + k]) for k in range(CHORDS)])
    return Tracing(frame, np.array([[50.0, 20.0], [50.0, 40.0]]), chords)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with EchoNetWriter(tmp_path / "set", synthetic=False) as writer:
        for k, split in enumerate(("TRAIN", "TEST", "TEST")):
            clip = EchoClip(rng.integers(0, 255, (8, 112, 112), dtype=np.uint8), 32.0, 50.0, 100.0, 50.0)
            traced = [] if k == 2 else [tracing(2 + k, 12), tracing(5 + k, 6)]
            writer.add(f"c{k}", clip, split, traced)
    return tmp_path / "set"


def test_one_split_is_read_alone(dataset: Path) -> None:
    assert [name for name, _ in iter_clips(dataset, split="TEST")] == ["c1", "c2"]
    assert [name for name, _ in iter_clips(dataset)] == ["c0", "c1", "c2"]
    with pytest.raises(DatasetError, match="no clip in the split VAL; it has TEST, TRAIN"):
        next(iter_clips(dataset, split="VAL"))


def test_a_frame_is_chosen_by_number_or_by_tracing(dataset: Path) -> None:
    def frames(**options: object) -> list[int]:
        return [one.frame for one in load_conditioning_frames(dataset, limit=2, **options)]  # type: ignore[arg-type]

    assert frames(frame="ed") == [2, 3]
    assert frames(frame="es") == [5, 6]
    assert frames(frame=4) == [4, 4]
    with pytest.raises(ConfigError, match="c2 has no traced frame of ED"):
        load_conditioning_frames(dataset, "ed")
    assert [one.frame for one in load_conditioning_frames(dataset, "ed", limit=1, split="TEST")] == [3]


@pytest.mark.parametrize("inside", ["dataset", "clips"])
def test_what_a_run_made_is_a_source(dataset: Path, tmp_path: Path, inside: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"command": "augment", "inputs": {}}))
    with pytest.raises(SourceError, match="has made no clips"):
        open_dataset(run)
    if inside == "dataset":
        shutil.copytree(dataset, run / inside)
    else:
        write_avi(run / inside / "a.avi", render_pair(3_000_009, 55.0, 55.0, 4, 32.0, 0.0)[1])
    assert open_dataset(run).root == run / inside
    assert len(list(iter_clips(run))) == (3 if inside == "dataset" else 1)


def test_a_study_of_dicom_files_is_read_whole(tmp_path: Path) -> None:
    cine = Path(examples.get_path("ybr_color"))
    for place in ("IM0001", "series1/IM0002", "series2/deep/IM0003"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(cine, tmp_path / place)
    (tmp_path / "series1" / "report.txt").write_text("none of ours")
    (tmp_path / ".hidden").mkdir()
    shutil.copy(cine, tmp_path / ".hidden" / "IM0004")
    names = [entry.name for entry in open_dataset(tmp_path).entries]
    assert names == [str(tmp_path / place) for place in ("IM0001", "series1/IM0002", "series2/deep/IM0003")]
    (tmp_path / "IM0001").unlink()
    assert len(open_dataset(tmp_path).entries) == 2, "a folder of folders"


def test_a_folder_of_videos_keeps_to_itself(tmp_path: Path) -> None:
    _, clip = render_pair(3_000_009, 55.0, 55.0, 4, 32.0, 0.0)
    write_avi(tmp_path / "a.avi", clip)
    write_avi(tmp_path / "below" / "b.avi", clip)
    assert len(open_dataset(tmp_path).entries) == 1
    (tmp_path / "a.avi").unlink()
    with pytest.raises(SourceError, match="only folders"):
        open_dataset(tmp_path)


def test_stills_among_videos_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame, clip = render_pair(3_000_009, 55.0, 55.0, 4, 32.0, 0.0)
    write_png(tmp_path / "still_a.png", frame)
    with pytest.raises(SourceError, match="nothing but single pictures"):
        list(iter_videos(tmp_path))
    with pytest.raises(SourceError, match="is a single picture"):
        list(iter_videos(tmp_path / "still_a.png"))
    write_avi(tmp_path / "video.avi", clip)
    with caplog.at_level(logging.WARNING, "echosynth"):
        assert [Path(name).name for name, _ in iter_videos(tmp_path)] == ["video.avi"]
    assert "still_a.png is a single picture" in caplog.text

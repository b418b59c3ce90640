"""The clip store and its windows: by time, on frames of the clip, nothing padded in silence."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echosynth.data.clips import ClipStore, build_store, choose_first, cut_window, store_folder
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import DatasetError, SourceError
from echosynth.video.clip import EchoClip
from echosynth.video.resample import resample_time

LENGTHS = {"long": 40, "short": 5, "other": 20}


def ramp(frames: int) -> torch.Tensor:
    """A clip whose pixels say which frame they are of."""
    return (2 * torch.arange(frames, dtype=torch.uint8))[:, None, None].expand(-1, 2, 2).contiguous()


@pytest.fixture
def dataset(tmp_path: Path) -> EchoNetDataset:
    with EchoNetWriter(tmp_path / "set", lossless=True) as writer:
        for name, frames in LENGTHS.items():
            pixels = np.random.default_rng(frames).integers(0, 255, (frames, 112, 112), dtype=np.uint8)
            split = "TEST" if name == "other" else "TRAIN"
            writer.add(name, EchoClip(pixels, 50.0, 60.0, 100.0, 40.0), split)
    return EchoNetDataset(tmp_path / "set")


def test_a_store_holds_every_pixel(dataset: EchoNetDataset, tmp_path: Path) -> None:
    done: list[int] = []
    build_store(dataset, tmp_path / "store", progress=done.append)
    store = ClipStore(tmp_path / "store")
    assert done == [1, 2, 3]
    for k in range(3):
        assert np.array_equal(store.pixels(k).numpy(), dataset.clip(k).pixels)
        assert (store.clips[k].name, store.clips[k].ef) == (dataset.entries[k].name, 60.0)


def test_a_store_of_one_split_and_of_none(dataset: EchoNetDataset, tmp_path: Path) -> None:
    assert [c.name for c in build_store(dataset, tmp_path / "train", "TRAIN").clips] == ["long", "short"]
    with pytest.raises(DatasetError, match="no VAL clip"):
        build_store(dataset, tmp_path / "val", "VAL")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set", "train"]  # nothing half-written stays


@pytest.mark.parametrize(
    ("name", "content"),
    [("index.json", "{"), ("index.json", "[]"), ("index.json", '{"clips": [{}]}'), ("pixels.bin", "")],
)
def test_a_damaged_store_is_one_line(dataset: EchoNetDataset, tmp_path: Path, name: str, content: str) -> None:
    build_store(dataset, tmp_path / "store")
    (tmp_path / "store" / name).write_text(content)
    with pytest.raises(DatasetError, match=r"the decoded clips in .*store are damaged"):
        build_store(dataset, tmp_path / "store")


def test_what_killed_processes_left_goes_after_a_day(dataset: EchoNetDataset, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name, age in (("old", 2 * 24 * 3600), ("new", 60)):
        part = cache / f".{name}.0123456789ab.tmp"
        part.mkdir(parents=True)
        (part / "pixels.bin").write_text("half")
        for path in (part, part / "pixels.bin"):
            os.utime(path, (time.time() - age,) * 2)
    build_store(dataset, cache / "store")
    assert sorted(path.name for path in cache.iterdir()) == [".new.0123456789ab.tmp", "store"]


def test_a_damaged_video_is_left_out_only_on_request(dataset: EchoNetDataset, tmp_path: Path) -> None:
    (dataset.root / "Videos" / "long.avi").write_bytes(b"damaged")
    with pytest.raises(SourceError, match="long"):
        build_store(dataset, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    complaints: list[str] = []
    assert len(build_store(dataset, tmp_path / "store", pass_over=complaints.append)) == 2
    assert len(complaints) == 1


def test_a_dataset_that_changed_has_another_store(dataset: EchoNetDataset, tmp_path: Path) -> None:
    first = store_folder(tmp_path, dataset, "TRAIN")
    assert first == store_folder(tmp_path, EchoNetDataset(dataset.root), "TRAIN")
    assert first != store_folder(tmp_path, dataset, "TEST")
    with (dataset.root / "Videos" / "long.avi").open("ab") as file:
        file.write(b"x")
    assert first != store_folder(tmp_path, dataset, "TRAIN")


@given(
    frames=st.integers(2, 120),
    clip_fps=st.sampled_from([18.0, 25.0, 32.0, 50.0, 64.0]),
    fps=st.sampled_from([8.0, 16.0, 32.0]),
    num_frames=st.integers(1, 40),
    start=st.floats(0, 1),
)
def test_a_window_is_the_clip_sampled_in_time(
    frames: int, clip_fps: float, fps: float, num_frames: int, start: float
) -> None:
    chosen = choose_first(frames, clip_fps, start, num_frames, fps)
    window, shown = cut_window(ramp(frames), clip_fps, chosen, num_frames, fps)
    count = int(shown.sum())
    assert bool(shown[:count].all())
    assert count == num_frames or (num_frames - 1) * clip_fps / fps > frames - 1
    assert int(window[0, 0, 0]) == 2 * chosen
    same = resample_time(ramp(frames).numpy(), clip_fps, fps, count, chosen / clip_fps)
    assert np.abs(window[:count].numpy().astype(int) - same.astype(int)).max() <= 1
    assert bool((window[count:] == 2 * (frames - 1)).all())  # what is not shown holds the last frame


def test_windows_start_anywhere_they_fit() -> None:
    starts = {choose_first(20, 32.0, k / 200, 8, 16.0) for k in range(201)}
    assert starts == set(range(6))  # 8 frames at half the rate span 15 of 20


@given(frames=st.integers(2, 20), num_frames=st.integers(1, 80))
def test_play_back_goes_to_and_fro_without_a_jump(frames: int, num_frames: int) -> None:
    window, _ = cut_window(ramp(frames), 32.0, 0, num_frames, 32.0, play_back=True)
    numbers = window[:, 0, 0].int() // 2
    assert numbers[:frames].tolist() == list(range(min(frames, num_frames)))
    assert bool((numbers.diff().abs() == 1).all())


def test_a_batch_of_windows(dataset: EchoNetDataset, tmp_path: Path) -> None:
    store = build_store(dataset, tmp_path / "store")
    windows = store.windows([0, 1], [0.0, 0.0], 16, 50.0)
    assert windows.clips.shape == (2, 16, 112, 112)
    assert windows.shown.sum(dim=1).tolist() == [16, 5]
    assert windows.firsts.tolist() == [0, 0]
    assert np.array_equal(windows.clips[0].numpy(), dataset.clip(0).pixels[:16])

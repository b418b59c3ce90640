"""Tars of clips: the same bytes however they were made, read back by our reader, by webdataset and by datasets."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from echosynth.augmentation.augment import augment
from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.augmentation.manifest import Manifest
from echosynth.data.layouts import open_dataset
from echosynth.data.tar_dataset import TarDataset, write_tar
from echosynth.errors import DatasetError
from echosynth.storage.shard import Shard
from echosynth.video.readers import load_video_bytes
from echosynth.video.writers import SYNTHETIC_NOTE

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def tar_config(config: AugmentConfig) -> AugmentConfig:
    return config.model_copy(update={"format": "webdataset", "clips_per_tar": 2, "tolerance": 100.0})


@pytest.fixture(scope="module")
def run(tar_config: AugmentConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tars") / "run"
    assert augment(tar_config, out).accepted == 5
    return out


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "dataset").iterdir()}


def test_shards_in_another_order_and_a_killed_part_give_the_same_bytes(
    tar_config: AugmentConfig, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sorted(files(run)) == ["000000.tar", "000001.tar", "000002.tar", "README.md", "SYNTHETIC", "index.parquet"]
    append, calls = Manifest.append, 0

    def killed_before_the_line(manifest: Manifest, entry: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        append(manifest, entry)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "append", killed_before_the_line)
        with pytest.raises(KeyboardInterrupt):
            augment(tar_config, tmp_path / "run", shard=Shard(2, 2))
    for number in (2, 1):
        augment(tar_config, tmp_path / "run", shard=Shard(number, 2))
    assert files(tmp_path / "run") == files(run)
    assert not [path for path in (tmp_path / "run" / ".parts").iterdir() if path.is_dir()], "no loose clip is left"


def test_a_part_killed_while_its_loose_clips_are_removed_is_completed(
    tar_config: AugmentConfig, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    parts = tmp_path / "run" / ".parts"
    (parts / "00000.json").unlink()
    (tmp_path / "run" / "manifest.jsonl").unlink()
    (parts / "00000.rows").mkdir()  # of whose clips some are gone already
    augment(tar_config, tmp_path / "run")
    assert files(tmp_path / "run") == files(run)
    assert not (parts / "00000.rows").exists()


def test_members_carry_no_times_and_the_json_says_all(run: Path) -> None:
    with tarfile.open(run / "dataset" / "000000.tar") as tar:
        members = tar.getmembers()
        first = json.loads(tar.extractfile(members[1]).read())  # type: ignore[union-attr]
    assert [(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members] == [(0, 0, 0, "", 0o644)] * 4
    assert [m.name.split(".")[-1] for m in members] == ["avi", "json"] * 2
    assert first["note"] == SYNTHETIC_NOTE
    assert first["ef"] == first["target_ef"]
    assert first["split"] == "TRAIN"


def test_our_reader_finds_every_clip(run: Path) -> None:
    dataset = open_dataset(run / "dataset")
    assert isinstance(dataset, TarDataset)
    assert dataset.problems() == []
    accepted = [entry for entry in Manifest(run / "manifest.jsonl").entries if entry.accepted]
    assert [entry.name for entry in dataset.entries] == [entry.sample_id.replace(".", "-") for entry in accepted]
    assert [entry.ef for entry in dataset.entries] == [entry.target_ef for entry in accepted]
    clip = dataset.clip(4)
    assert clip.pixels.shape == (16, 112, 112)
    assert clip.ef == accepted[4].target_ef


def test_others_read_the_same_pixels(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    webdataset, datasets = pytest.importorskip("webdataset"), pytest.importorskip("datasets")
    ours = open_dataset(run / "dataset")
    tars = sorted(map(str, (run / "dataset").glob("*.tar")))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    streamed = list(
        datasets.load_dataset(
            "webdataset", data_files=tars, split="train", streaming=True, cache_dir=str(tmp_path)
        ).cast_column("avi", datasets.Video(decode=False))
    )
    for k, entry in enumerate(ours.entries):
        assert samples[k]["__key__"] == streamed[k]["__key__"] == entry.name
        for data in (samples[k]["avi"], streamed[k]["avi"]["bytes"]):
            assert np.array_equal(load_video_bytes(data, "theirs").pixels, ours.clip(k).pixels)
        assert json.loads(samples[k]["json"])["target_ef"] == streamed[k]["json"]["target_ef"] == entry.ef


def test_what_is_missing_or_cut_off_is_said(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "dataset", tmp_path / "set")
    tar = tmp_path / "set" / "000001.tar"
    tar.write_bytes(tar.read_bytes()[:2000])
    assert open_dataset(tmp_path / "set").problems() == ["1 tars are shorter than index.parquet says: 000001.tar"]
    tar.unlink()
    with pytest.raises(DatasetError, match="1 tars are missing"):
        open_dataset(tmp_path / "set")
    (tmp_path / "set" / "index.parquet").write_bytes(b"no index")
    with pytest.raises(DatasetError, match=r"index\.parquet cannot be read"):
        open_dataset(tmp_path / "set")


def test_a_tar_is_whole_or_absent(tmp_path: Path) -> None:
    def members() -> object:
        yield "a", Path(__file__), {}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tar(tmp_path / "0.tar", members())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []

"""A simulated dataset read back by the reader: labels, pairs, splits, resume, any number of workers."""

import csv
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_tables import read_file_list, read_tracings
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import ConfigError, DatasetError, OutputError
from echosynth.phantom.patient import RESERVED_PATIENT_SEEDS
from echosynth.phantom.plan import SimulateConfig, split_of
from echosynth.phantom.simulate import simulate
from echosynth.phantom.simulated_clips import traced_ef
from echosynth.storage.lock import hold
from echosynth.video.readers import load_video

CONFIG = SimulateConfig(patients=3, seed=5, counterfactual=(30.0,), frames=44, fps=32.0, size=56)

MASKED = SimulateConfig(patients=2, seed=5, counterfactual=(30.0,), frames=44, fps=32.0, size=28, masks=True)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms") / "set"
    result = simulate(CONFIG, root)
    assert result.clips == result.rendered == 6
    keys = {"run", "patients", "clips", "rendered", "splits", "seconds"}
    assert set(result.to_dict()) == keys
    return root


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("masked") / "set"
    simulate(MASKED, root)
    return root


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file but the history of starts, which holds the time."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "provenance.json"
    }


@pytest.mark.heavy
def test_the_reader_takes_it_and_the_labels_are_exact(dataset: Path) -> None:
    data = EchoNetDataset(dataset)
    assert [row.file_name for row in data.rows[:2]] == ["P0000005", "P0000005_ef30"]
    for index, row in enumerate(data.rows):
        traced = data.tracings(row.file_name)
        assert traced_ef(traced[0], traced[1]) == pytest.approx(row.ef, abs=1e-4)
        assert len(traced[0].chords) == 20
        clip = data.clip(index)
        assert clip.pixels.shape == (44, 56, 56)
        assert (clip.ed_frame, clip.es_frame) == (traced[0].frame, traced[1].frame)
        assert row.split == split_of(int(row.file_name[1:8]))
        assert row.ef == pytest.approx(100 * (1 - row.esv / row.edv))


@pytest.mark.heavy
def test_end_systolic_rows_come_first(dataset: Path) -> None:
    with (dataset / "VolumeTracings.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (dataset / "Phantom.csv").open() as file:
        known = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == 6 * 2 * 21
    for begin in range(0, len(rows), 42):
        row = known[rows[begin]["FileName"].removesuffix(".avi")]
        assert rows[begin]["Frame"] == row["es_frame"]
        assert rows[begin + 21]["Frame"] == row["ed_frame"]


def test_volumes_in_ml_follow_from_the_pixel_pitch(dataset: Path) -> None:
    data = EchoNetDataset(dataset)
    with (dataset / "Phantom.csv").open() as file:
        for row in csv.DictReader(file):
            edv = data.tracings(row["file"])[0].volume * float(row["pixel_pitch_cm"]) ** 3
            assert edv == pytest.approx(float(row["edv"]), rel=1e-6)


def test_a_pair_shares_its_end_diastolic_frame(dataset: Path) -> None:
    data = EchoNetDataset(dataset)
    for index in range(0, 6, 2):
        factual, other = data.clip(index), data.clip(index + 1)
        assert factual.ed_frame == other.ed_frame
        assert np.array_equal(factual.pixels[factual.ed_frame], other.pixels[other.ed_frame])
        assert data.rows[index].split == data.rows[index + 1].split
        assert not np.array_equal(factual.pixels[factual.es_frame], other.pixels[other.es_frame])


def test_it_says_that_it_is_synthetic(dataset: Path) -> None:
    assert "SYNTHETIC" in (dataset / "README.md").read_text()


@pytest.mark.heavy
def test_an_interrupted_run_continues_to_the_same_bytes(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, add = snapshot(dataset), EchoNetWriter.add

    def die(self: EchoNetWriter, *args: object) -> object:
        if len(self) == 3:
            monkeypatch.setattr(EchoNetWriter, "close", lambda self: None)  # killed: no tables are written
            raise KeyboardInterrupt
        return add(self, *args)

    with monkeypatch.context() as context:
        context.setattr(EchoNetWriter, "add", die)
        with pytest.raises(KeyboardInterrupt):
            simulate(CONFIG, tmp_path / "set")
    monkeypatch.undo()
    assert not (tmp_path / "set" / "FileList.csv").exists()
    assert simulate(CONFIG, tmp_path / "set").rendered == 3
    assert snapshot(tmp_path / "set") == whole
    assert simulate(CONFIG, tmp_path / "set").rendered == 0
    assert snapshot(tmp_path / "set") == whole


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    simulate(CONFIG, tmp_path / "set", workers=2)
    assert snapshot(tmp_path / "set") == snapshot(dataset)


def test_a_folder_of_something_else_is_left_alone(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="another configuration: seed was 5, now 6"):
        simulate(CONFIG.model_copy(update={"seed": 6}), dataset)
    (tmp_path / "FileList.csv").write_text("mine")
    with pytest.raises(OutputError, match="other files and no run"):
        simulate(CONFIG, tmp_path)
    assert (tmp_path / "FileList.csv").read_text() == "mine"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def drop_lines(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "harm", "made_again", "hashed"),
    [
        ("Videos/P0000006.avi", Path.unlink, 1, True),
        ("Videos/P0000006.avi", Path.unlink, 1, False),
        ("Videos/P0000006.avi", cut, 1, True),
        ("Videos/P0000006.avi", cut, 1, False),
        ("Videos/P0000006_ef30.avi", flip, 1, True),
        ("Masks/P0000006.npz", Path.unlink, 1, False),
        ("Masks/P0000006.npz", cut, 1, True),
        ("Masks/P0000006.npz", cut, 1, False),
        ("FileList.csv", drop_lines, 2, True),
        ("VolumeTracings.csv", Path.unlink, 4, True),
        ("Phantom.csv", cut, 0, True),
    ],
)
def test_what_a_finished_dataset_has_lost_is_made_again(
    masked: Path, tmp_path: Path, name: str, harm: Callable[[Path], None], made_again: int, hashed: bool
) -> None:
    """Without hashes, in a dataset of an earlier version, what is missing or was cut off is found."""
    out = tmp_path / "set"
    shutil.copytree(masked, out)
    if not hashed:
        (out / "SHA256SUMS").unlink()
    harm(out / name)
    assert simulate(MASKED, out).rendered == made_again
    assert snapshot(out) == snapshot(masked)


@pytest.mark.heavy
def test_a_damaged_list_of_hashes_and_a_folder_for_a_file_are_one_line(masked: Path, tmp_path: Path) -> None:
    for name, harm in (("SHA256SUMS", cut), ("Videos/P0000005.avi", put_a_folder)):
        out = tmp_path / Path(name).stem
        shutil.copytree(masked, out)
        harm(out / name)
        with pytest.raises(OutputError, match=Path(name).name):
            simulate(MASKED, out)


def test_the_hashes_are_those_of_sha256sum(dataset: Path) -> None:
    lines = [line.split("  ") for line in (dataset / "SHA256SUMS").read_text().splitlines()]
    assert [name for _, name in lines] == [f"Videos/{row.file_name}.avi" for row in read_file_list(dataset)]
    assert all(digest == hashlib.sha256((dataset / name).read_bytes()).hexdigest() for digest, name in lines)


def test_what_a_killed_run_left_half_written_is_removed(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    shutil.copytree(dataset, out)
    for name in ("Videos/.P0000001.avi.6f60e52564d3.tmp", ".config.yaml.4711.tmp", ".VolumeTracings.csv.0a1b2c.tmp"):
        (out / name).write_text("half")
    simulate(CONFIG, out)
    assert snapshot(out) == snapshot(dataset)


def test_a_dataset_of_an_earlier_version_is_continued(dataset: Path, tmp_path: Path) -> None:
    """It had no run.json, no hashes and no lock."""
    out = tmp_path / "set"
    shutil.copytree(dataset, out)
    for name in ("run.json", "SHA256SUMS", ".lock"):
        (out / name).unlink()
    with pytest.raises(OutputError, match="another configuration: patients was 3, now 4"):
        simulate(CONFIG.model_copy(update={"patients": 4}), out)
    assert simulate(CONFIG, out).rendered == 0
    assert snapshot(out) == snapshot(dataset)


def test_one_process_at_a_time(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    shutil.copytree(dataset, out)
    (out / "Videos/P0000005.avi").unlink()
    before = snapshot(out)
    with hold(out), pytest.raises(OutputError, match="another process is working in"):
        simulate(CONFIG, out)
    assert snapshot(out) == before


def test_clips_too_short_to_label_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="more --frames"):
        simulate(CONFIG.model_copy(update={"frames": 4}), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_acceptance_patients_may_be_simulated(tmp_path: Path) -> None:
    config = SimulateConfig(patients=1, seed=RESERVED_PATIENT_SEEDS, frames=44, fps=32.0, size=28)
    assert simulate(config, tmp_path).clips == 1


@pytest.mark.parametrize(
    "change", [{"patients": 0}, {"counterfactual": (0.5,)}, {"counterfactual": (30, 30)}, {"fps": 10}]
)
def test_a_config_that_cannot_be_run_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"greater|lies within|twice"):
        SimulateConfig(**({"patients": 1} | change))


@pytest.mark.heavy
def test_motion_lies_beside_the_videos_and_carries_the_heart(dataset: Path, tmp_path: Path) -> None:
    simulate(CONFIG.model_copy(update={"motion": True}), tmp_path)
    rows = {row.file_name: row for row in read_file_list(tmp_path)}
    tracings = read_tracings(tmp_path)
    for name, row in rows.items():
        assert (tmp_path / "Videos" / f"{name}.avi").read_bytes() == (dataset / "Videos" / f"{name}.avi").read_bytes()
        with np.load(tmp_path / "Motion" / f"{name}.npz") as file:
            moved, volume = file["displacement"].astype(float), file["volume"]
        assert moved.shape == (row.num_frames, 2, row.height, row.width)
        ed, es = tracings[name]
        np.testing.assert_allclose(np.nan_to_num(moved[ed.frame]), 0, atol=0.02)  # float16
        assert volume[ed.frame] == pytest.approx(row.edv, rel=1e-3)
        assert volume[es.frame] == pytest.approx(row.esv, rel=1e-3)
        # The ends of the ES chords of the free part of the wall lie, carried back, near the wider ED border.
        x, y = es.chords[10, 2:].round().astype(int)
        back = es.chords[10, 2:] + moved[es.frame, :, y, x]
        border = ed.chords[:, 2:]
        assert np.hypot(*(border - back).T).min() < 3
    assert "Motion/NAME.npz" in (tmp_path / "README.md").read_text()


@pytest.mark.heavy
def test_masks_lie_beside_the_videos_and_change_nothing_else(masked: Path, tmp_path: Path) -> None:
    simulate(MASKED.model_copy(update={"masks": False}), tmp_path)
    for video in (tmp_path / "Videos").iterdir():
        assert (masked / "Videos" / video.name).read_bytes() == video.read_bytes()
        with np.load(masked / "Masks" / f"{video.stem}.npz") as file:
            assert file["labels"].shape == load_video(video).pixels.shape
            assert {1, 2} <= set(np.unique(file["labels"]))
    assert "Masks/NAME.npz" in (masked / "README.md").read_text()

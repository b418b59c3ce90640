"""Every layout: recognised, read, its quirks, and its problems reported."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from echosynth.data.camus import CamusDataset
from echosynth.data.clip_files import ClipFiles
from echosynth.data.dataset import read_clips
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_pediatric import PediatricDataset, Polygon
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.data.hmc_qu import HmcQuDataset
from echosynth.data.layouts import open_dataset
from echosynth.errors import CorruptVideoError, DatasetError, SourceError
from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_avi, write_gif, write_mp4, write_png
from tests.data.fake_datasets import make_fan, write_camus, write_hmc_qu, write_pediatric


def write_echonet(root: Path) -> Path:
    with EchoNetWriter(root, lossless=True) as writer:
        for name, split in (("a", "TRAIN"), ("b", "TEST")):
            writer.add(name, EchoClip(np.zeros((3, 112, 112), np.uint8), 50.0, 60.0, 100.0, 40.0), split)
    return root


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("make", "kind", "length"),
    [
        (write_echonet, EchoNetDataset, 2),
        (write_pediatric, PediatricDataset, 10),
        (write_camus, CamusDataset, 4),
        (write_hmc_qu, HmcQuDataset, 3),
    ],
)
def test_every_layout_is_recognised(tmp_path: Path, make: Callable[[Path], Path], kind: type, length: int) -> None:
    dataset = open_dataset(make(tmp_path))
    assert isinstance(dataset, kind)
    assert len(dataset.entries) == length
    assert dataset.clip(0).pixels.shape[1:] == (112, 112)
    assert {entry.view for entry in dataset.entries} == {"A4C"}


def test_a_view_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no view PSAX"):
        open_dataset(write_hmc_qu(tmp_path), view="PSAX")
    with pytest.raises(SourceError, match="no such"):
        open_dataset(tmp_path / "nothing")


# EchoNet-Pediatric


def test_pediatric_names_folds_and_facts(tmp_path: Path) -> None:
    dataset = PediatricDataset(write_pediatric(tmp_path), "PSAX", test_fold=3)
    assert [entry.split for entry in dataset.entries] == [{3: "TEST", 4: "VAL"}.get(k, "TRAIN") for k in range(10)]
    first, second = dataset.entries[:2]
    assert first.name == "CR0000000-CR0000100-000000"
    assert first.patient == "CR0000000"
    assert first.facts == {"sex": "M", "age": "0", "height": "100", "fold": "0"}  # no weight was known
    assert second.facts["weight"] == "11"
    assert first.fps is None
    assert dataset.clip(0).fps == 50.0


def test_pediatric_ed_is_the_larger_polygon_although_it_stands_second(tmp_path: Path) -> None:
    dataset = PediatricDataset(write_pediatric(tmp_path))
    clip = dataset.clip(0)
    assert (clip.ed_frame, clip.es_frame, clip.ef) == (2, 5, 50.0)
    assert [polygon.area for polygon in dataset.polygons[dataset.entries[0].name]] == [800.0, 200.0]


def test_pediatric_clip_without_a_systolic_frame(tmp_path: Path) -> None:
    dataset = PediatricDataset(write_pediatric(tmp_path))
    assert dataset.clip(1).ed_frame is None
    assert dataset.not_traced == [dataset.entries[1].name]
    assert any("without a phase" in problem for problem in dataset.problems())


def test_pediatric_list_with_an_index_column(tmp_path: Path) -> None:
    assert len(PediatricDataset(write_pediatric(tmp_path, index_column=True)).entries) == 10


@pytest.mark.parametrize(
    "change", [("CR0000000-CR0000100-000000.avi", "../secret.avi"), (",50,M", ",500,M"), (",M,0,", ",M\n")]
)
def test_pediatric_malformed_list(tmp_path: Path, change: tuple[str, str]) -> None:
    path = write_pediatric(tmp_path) / "A4C" / "FileList.csv"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DatasetError, match="line 2"):
        PediatricDataset(tmp_path)


def test_area_of_a_polygon_does_not_depend_on_its_direction() -> None:
    points = np.array([(0, 0), (4, 0), (4, 3), (0, 3)], float)
    assert Polygon(0, points).area == Polygon(0, points[::-1]).area == 12.0


# CAMUS


@pytest.mark.heavy
def test_camus_phases_count_from_one_in_either_order(tmp_path: Path) -> None:
    dataset = CamusDataset(write_camus(tmp_path))
    assert [(c.ed_frame, c.es_frame) for c in map(dataset.clip, range(2))] == [(0, 4), (4, 0)]
    assert [entry.split for entry in dataset.entries] == ["TRAIN", "TRAIN", "VAL", "TEST"]
    entry = dataset.entries[0]
    assert (entry.name, entry.patient, entry.ef, entry.fps) == ("patient0001_4CH", "patient0001", 41.0, 48.5)
    assert entry.facts == {"sex": "F", "age": "51", "quality": "Good"}


@pytest.mark.heavy
def test_camus_pixels_become_square_and_axes_are_turned(tmp_path: Path) -> None:
    """The fan is stored twice as high as it is: read right, it is the crop of the fan itself."""
    from echosynth.video.sector import find_and_crop

    read = CamusDataset(write_camus(tmp_path)).clip(0).pixels.astype(int)
    straight = find_and_crop(make_fan(frames=5, height=200, width=240)).astype(int)
    inside = (read > 0) & (straight > 0)
    assert inside.mean() > 0.9 * (straight > 0).mean()
    assert np.corrcoef(read[inside], straight[inside])[0, 1] > 0.85


@pytest.mark.heavy
def test_camus_masks_lie_on_the_clip(tmp_path: Path) -> None:
    dataset = CamusDataset(write_camus(tmp_path))
    masks, clip = dataset.masks(0), dataset.clip(0)
    assert masks.shape == clip.pixels.shape
    assert set(np.unique(masks)) == {0, 1, 2, 3}
    rows, columns = np.nonzero(masks[0] == 1)
    wall_rows, wall_columns = np.nonzero(masks[0] == 2)
    assert wall_rows.min() < rows.min() < rows.max() < wall_rows.max()
    assert wall_columns.min() < columns.min() < columns.max() < wall_columns.max()
    # 60 by 80 square pixels of the fan's picture, seen at 112 pixels per 106 / (200 / 1.2) of it
    scale = 106 / (200 / 1.2)
    assert (masks[0] == 1).sum() == pytest.approx(60 * 80 * scale**2, rel=0.08)


@pytest.mark.heavy
def test_camus_mirrored_half_beat_is_a_whole_one(tmp_path: Path) -> None:
    half, whole = (CamusDataset(write_camus(tmp_path / str(m)), mirror=m).clip(0) for m in (False, True))
    assert whole.num_frames == 8
    assert np.array_equal(whole.pixels[:5], half.pixels)
    assert np.array_equal(whole.pixels[5:], half.pixels[3:0:-1])


def test_camus_from_the_inner_folder_keeps_its_split(tmp_path: Path) -> None:
    write_camus(tmp_path)
    assert open_dataset(tmp_path / "database_nifti").entries[3].split == "TEST"


def test_camus_problems_are_reported(tmp_path: Path) -> None:
    write_camus(tmp_path)
    folder = tmp_path / "database_nifti"
    (folder / "patient0002" / "Info_4CH.cfg").unlink()
    (folder / "patient0001" / "patient0001_4CH_half_sequence.nii.gz").unlink()
    info = folder / "patient0003" / "Info_4CH.cfg"
    info.write_text(info.read_text().replace("ED: 1", "ED: 9").replace("EF: 43", "EF: many"))
    problems = " ".join(CamusDataset(tmp_path).problems())
    for sentence in (
        "half sequences are missing",
        "without this view",
        "of the split are not there",
        "without EF",
        "ED or ES",
    ):
        assert sentence in problems


def test_camus_lists_that_share_a_patient_or_are_no_text(tmp_path: Path) -> None:
    write_camus(tmp_path)
    assert not any("more than one split" in line for line in CamusDataset(tmp_path).problems())
    listed = tmp_path / "database_split" / "subgroup_testing.txt"
    listed.write_text(listed.read_text() + "patient0001\n")
    problems = " ".join(CamusDataset(tmp_path).problems())
    assert "1 patients are listed in more than one split: patient0001" in problems
    listed.write_bytes(b"\xff\xfe\x81")
    with pytest.raises(DatasetError, match=r"subgroup_testing\.txt"):
        CamusDataset(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "text", "signed", "large"])
def test_camus_damaged_files_are_corrupt_videos(tmp_path: Path, damage: str) -> None:
    dataset = CamusDataset(write_camus(tmp_path))
    path = tmp_path / "database_nifti" / "patient0001" / "patient0001_4CH_half_sequence.nii.gz"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "text":
        path.write_text("no NIfTI")
    else:
        shape = (4, 4, 2) if damage == "signed" else (30000, 30000, 1)
        image = nibabel.nifti1.Nifti1Image(np.broadcast_to(np.int16(-5), (4, 4, 2)), np.eye(4))
        nibabel.save(image, path)
        if damage == "large":
            import gzip

            header = bytearray(gzip.decompress(path.read_bytes()))
            header[40:56] = np.array([3, *shape, 1, 1, 1, 1], np.int16)[:8].tobytes()
            path.write_bytes(gzip.compress(bytes(header)))
    with pytest.raises(CorruptVideoError, match="patient0001_4CH"):
        dataset.clip(0)


# HMC-QU


@pytest.mark.heavy
def test_hmc_qu_labels(tmp_path: Path) -> None:
    dataset = HmcQuDataset(write_hmc_qu(tmp_path))
    assert [entry.facts.get("infarction") for entry in dataset.entries] == ["yes", "no", None]
    assert dataset.entries[0].facts["One cardiac-cycle frames"] == "3"
    assert dataset.entries[0].patient == "ES0001"
    problems = " ".join(dataset.problems())
    assert "missing: ES0009_CH4_1" in problems
    assert "not listed: ES0003_CH4_1" in problems
    assert dataset.clip(0).fps == 25.0


def test_hmc_qu_table_that_is_none(tmp_path: Path) -> None:
    write_hmc_qu(tmp_path)
    (tmp_path / "A4C.xlsx").write_text("hello")
    with pytest.raises(DatasetError, match="not an Excel table"):
        HmcQuDataset(tmp_path)


@pytest.mark.heavy
def test_hmc_qu_table_that_is_damaged_anywhere(tmp_path: Path) -> None:
    table = write_hmc_qu(tmp_path) / "A4C.xlsx"
    whole, refused = table.read_bytes(), 0
    for start in range(40, len(whole), 150):
        table.write_bytes(whole[:start] + bytes(60) + whole[start + 60 :])
        try:
            HmcQuDataset(tmp_path)  # some places hold nothing that is read
        except DatasetError:
            refused += 1
    assert refused > 5


# plain files


@pytest.mark.heavy
def test_numbered_frames_are_one_clip_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    fan = make_fan(frames=11)
    for k, frame in enumerate(fan):
        write_png(tmp_path / f"frame_{k}.png", frame)  # frame_10 sorts before frame_2
    (clip,) = [clip for _, clip in read_clips(open_dataset(tmp_path, fps=20.0))]
    assert (clip.num_frames, clip.fps) == (11, 20.0)
    write_avi(tmp_path / "same.avi", EchoClip(fan, 20.0))
    video = ClipFiles(tmp_path / "same.avi").clip(0)
    assert np.array_equal(clip.pixels, video.pixels)


def test_stills_of_patients_stay_apart(tmp_path: Path) -> None:
    for k in range(3):
        write_png(tmp_path / f"patient{k}.png", make_fan(1, seed=k)[0])
    assert len(open_dataset(tmp_path).entries) == 3


def test_previews_beside_a_lossless_video_are_not_clips(tmp_path: Path) -> None:
    clip = EchoClip(make_fan(), 25.0)
    write_avi(tmp_path / "x.avi", clip)
    write_mp4(tmp_path / "x.mp4", clip)
    write_gif(tmp_path / "y.gif", clip)
    assert [Path(entry.name).name for entry in open_dataset(tmp_path).entries] == ["x.avi", "y.gif"]


def test_frames_of_different_size_are_no_clip(tmp_path: Path) -> None:
    write_png(tmp_path / "0001.png", make_fan(1)[0])
    write_png(tmp_path / "0002.png", make_fan(1, width=200)[0])
    with pytest.raises(CorruptVideoError, match="one size"):
        open_dataset(tmp_path).clip(0)


@pytest.mark.heavy
def test_an_unusable_clip_is_passed_over_only_on_request(tmp_path: Path) -> None:
    write_avi(tmp_path / "good.avi", EchoClip(make_fan(), 25.0))
    (tmp_path / "bad.avi").write_text("hello")
    dataset = open_dataset(tmp_path)
    with pytest.raises(SourceError):
        list(read_clips(dataset))
    complaints: list[str] = []
    assert [clip.source for _, clip in read_clips(dataset, complaints.append)] == ["good.avi"]
    assert len(complaints) == 1
    assert "bad.avi" in complaints[0]


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="empty"):
        open_dataset(tmp_path)


def test_a_folder_of_folders_names_them(tmp_path: Path) -> None:
    (tmp_path / "EchoNet-Dynamic").mkdir()
    with pytest.raises(SourceError, match=r"only folders \(EchoNet-Dynamic\)"):
        open_dataset(tmp_path)

"""What the gate traces, and whose loaders take the dataset: their selection rules, written down independently."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from echosynth.augmentation.augment import augment
from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.augmentation.tracing import trace
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.regression.base import EFDetails
from echosynth.regression.echo_e3net import EchoE3Net
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.video.clip import EchoClip
from tests.models import CASCADE, publish


@pytest.fixture(scope="module")
def tracer() -> EchoE3Net:
    torch.manual_seed(0)
    widths, blocks = (8, 8, 16, 16), (1, 1, 1, 1)
    return EchoE3Net(fps=16.0, frames=8, size=32, widths=widths, blocks=blocks, dim=16, hidden=16).eval()


def make_clip(frames: int, fps: float) -> EchoClip:
    return EchoClip(np.random.default_rng(1).integers(0, 255, (frames, 112, 112), dtype=np.uint8), fps, 50.0)


class Fixed(torch.nn.Module):
    """A regressor that finds what it is told to."""

    contract = EchoE3Net(fps=16.0, frames=8, size=32, widths=[8, 8], blocks=[1, 1], attention=[False, False]).contract
    device = torch.device("cpu")

    def __init__(self, phases: tuple[int, int], landmarks: torch.Tensor) -> None:
        super().__init__()
        self.found = EFDetails(torch.zeros(1), phases=torch.tensor([phases]), landmarks=landmarks[None])

    def windows(self, clip: EchoClip) -> torch.Tensor:
        return torch.zeros(1, 1, 8, 32, 32)

    def forward(self, x: torch.Tensor, details: bool) -> EFDetails:
        return self.found


def ellipse(width: float) -> torch.Tensor:
    """Landmarks (21, 2, 2) of an upright ellipse in the middle of the picture, in shares of its side."""
    heights = (torch.arange(20) + 0.5) / 20
    half = width * (1 - (2 * heights - 1) ** 2).sqrt()
    chords = torch.stack(
        [torch.stack([0.5 - half, 0.2 + 0.6 * heights], 1), torch.stack([0.5 + half, 0.2 + 0.6 * heights], 1)], 1
    )
    return torch.cat([torch.tensor([[[0.5, 0.2], [0.5, 0.8]]]), chords])


def test_places_are_pixels_and_frames_are_the_clips() -> None:
    borders = torch.stack([ellipse(0.2), ellipse(0.1)])[:, None]
    ed, es = trace(Fixed((0, 5), borders), make_clip(20, 32.0))  # type: ignore[arg-type]
    assert (ed.frame, es.frame) == (0, 10)
    assert ed.long_axis.tolist() == [[55.5, 21.9], [55.5, 89.1]]
    assert ed.chords[0, 1] == pytest.approx(112 * 0.215 - 0.5, abs=0.01)
    assert es.volume / ed.volume == pytest.approx(0.25, abs=1e-3)


def test_a_clip_that_is_played_there_and_back_is_traced_where_it_was_read() -> None:
    borders = torch.stack([ellipse(0.2), ellipse(0.1)])[:, None]
    shown = [0, 1, 2, 3, 4, 3, 2, 1]  # five frames at the contract's rate, in a window of eight
    for phase, frame in enumerate(shown):
        traced = trace(Fixed((phase, (phase + 1) % 8), borders), make_clip(5, 16.0))  # type: ignore[arg-type]
        assert traced[0].frame == frame
    both = trace(Fixed((4, 4), borders), make_clip(5, 16.0))  # type: ignore[arg-type]
    assert [t.frame for t in both] == [4, 3], "a heart that stands still has two traced frames all the same"


def test_who_finds_no_borders_traces_nothing(tracer: EchoE3Net) -> None:
    blind = R2Plus1D(fps=16.0, frames=8, size=56, widths=[8, 8, 8, 8], blocks=[1, 1, 1, 1], stem_width=8).eval()
    assert trace(blind, make_clip(8, 16.0)) == []
    assert trace(tracer, make_clip(1, 16.0)) == []
    assert len(trace(tracer, make_clip(8, 16.0))) == 2


def select_as_echonet(root: Path) -> dict[str, list[int]]:
    """EchoNet-Dynamic's rule: listed, the video there, and at least two traced frames; name -> frames in file order."""
    with (root / "FileList.csv").open() as file:
        names = [row["FileName"] + ".avi" for row in csv.DictReader(file) if row["Split"] == "TRAIN"]
    frames: dict[str, list[int]] = defaultdict(list)
    rows: dict[tuple[str, int], int] = defaultdict(int)
    with (root / "VolumeTracings.csv").open() as file:
        header, *lines = csv.reader(file)
    assert header == ["FileName", "X1", "Y1", "X2", "Y2", "Frame"]
    for name, *_, frame in lines:
        rows[name, int(frame)] += 1
        if int(frame) not in frames[name]:
            frames[name].append(int(frame))
    assert all(count == 21 for count in rows.values())
    return {name: frames[name] for name in names if (root / "Videos" / name).is_file() and len(frames[name]) >= 2}


@pytest.mark.heavy
@pytest.mark.parametrize("label", ["target", "gate"])
def test_loaders_of_others_take_every_clip(bundle: Path, tracer: EchoE3Net, tmp_path: Path, label: str) -> None:
    tracer.save_pretrained(tmp_path / "gate")
    gate = publish(tmp_path / "gate", "regressor", f"{EchoE3Net.__module__}.{EchoE3Net.__name__}")
    with EchoNetWriter(tmp_path / "real", synthetic=False) as writer:
        writer.add("real0", make_clip(6, 32.0).replace(edv=100.0, esv=50.0), "TRAIN")
    bins = {"per_bin": 1, "bin_width": 20.0, "low": 20.0, "high": 80.0}
    made_with = {"model": str(bundle / CASCADE), "gate": str(gate), "tolerance": 100.0, "label": label}
    config = AugmentConfig.model_validate({"name": "traced", "source": tmp_path / "real", **bins, **made_with})
    result = augment(config, tmp_path / "run")
    assert result.accepted == result.planned == 2
    selected = select_as_echonet(result.dataset)
    rows = EchoNetDataset(result.dataset).rows
    assert list(selected) == [f"{row.file_name}.avi" for row in rows]
    for row in rows:
        assert all(0 <= frame < row.num_frames for frame in selected[f"{row.file_name}.avi"])
        assert len(EchoNetDataset(result.dataset).tracings(row.file_name)) == 2
    with (result.dataset / "Synthetic.csv").open() as file:
        facts = list(csv.DictReader(file))
    assert [row.ef for row in rows] == [float(fact["TargetEF" if label == "target" else "GateEF"]) for fact in facts]
    assert {fact["TracedBy"] for fact in facts} == {"gate"}
    assert "Estimates" in (result.dataset / "README.md").read_text()

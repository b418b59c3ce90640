"""Valves: what is left out beside their patch of the picture is nothing, whatever the other frames show."""

import pytest
import torch

from echosynth.phantom import valves
from echosynth.phantom.acoustics import NUM_BEAMS, NUM_RANGES
from echosynth.phantom.population import sample_patient
from echosynth.phantom.pose import to_lv_frame
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view

SEEDS = (5000, 5004, 5011, 5023)


def draw_whole(phantom: Phantom, ef: float) -> torch.Tensor:
    """Both valves on the whole polar grid, (2, B, 8, R, A)."""
    truth = phantom.move([ef] * len(SEEDS), 8, 8.0)
    frame = to_lv_frame(phantom.machine.x[:, None], phantom.machine.z[:, None], truth.pose)
    pictures = torch.zeros(2, len(SEEDS), 8, NUM_RANGES, NUM_BEAMS)
    drawn = valves.draw_valves(phantom.patient, frame, truth.cycle, truth.motion)
    for picture, (valve, (rows, columns)) in zip(pictures, drawn, strict=True):
        picture[..., rows, columns] = valve
    return pictures


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    patients = [sample_patient(seed) for seed in SEEDS]
    views = [sample_view(seed, p.long_axis, "wide") for seed, p in zip(SEEDS, patients, strict=True)]
    return Phantom(patients, views, SEEDS, 112)


def test_nothing_lies_beside_the_patches(phantom: Phantom, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = draw_whole(phantom, 55.0)
    assert ((cut > 0.1).flatten(3).sum(3) > 0).float().mean() > 0.7  # most frames show both valves
    monkeypatch.setattr(valves, "MARGIN", 60.0)
    torch.testing.assert_close(cut, draw_whole(phantom, 55.0), atol=1e-5, rtol=0)


def test_valves_at_end_diastole_do_not_depend_on_ef(phantom: Phantom) -> None:
    low, high = draw_whole(phantom, 10.0), draw_whole(phantom, 60.0)
    torch.testing.assert_close(low[:, :, 0], high[:, :, 0], atol=1e-5, rtol=0)
    assert (low[:, :, 3] - high[:, :, 3]).abs().max() > 0.05

"""Borders taken from pixels: of shapes whose chords are known in closed form, and of phantoms, traced exactly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.cardiac.discs import disc_volume
from echosynth.data.camus import CamusDataset
from echosynth.data.echonet_pediatric import PediatricDataset
from echosynth.data.layouts import open_dataset
from echosynth.data.outlines import OutlinedDataset, fill_polygon, find_axis, trace_region
from echosynth.phantom.contours import trace_contours, trace_epicardium
from echosynth.phantom.maps import CAVITY, LEFT_ATRIUM, MYOCARDIUM, label_pixels
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from tests.data.fake_datasets import write_camus, write_hmc_qu, write_pediatric


@settings(max_examples=30, deadline=None)
@given(
    lean=st.floats(-0.5, 0.5),
    length=st.floats(40, 60),
    width=st.floats(9, 14),
    x=st.floats(48, 64),
    y=st.floats(62, 70),
)
def test_half_an_ellipse_has_the_chords_of_its_equation(
    lean: float, length: float, width: float, x: float, y: float
) -> None:
    along = np.array([np.sin(lean), np.cos(lean)])  # towards the base
    base = np.array([x, y]) + 0.4 * length * along
    down, right = np.mgrid[:112, :112]
    offset = np.stack([right, down], -1) - base
    back, aside = -(offset @ along), offset @ np.array([along[1], -along[0]])
    region = (back >= 0) & ((back / length) ** 2 + (aside / width) ** 2 < 1)
    atrium = (back < 0) & (back > -10) & (np.abs(aside) < width)
    axis = find_axis(region, atrium)
    assert axis is not None
    found = trace_region(region, axis)
    assert np.hypot(*(found[0, 1] - base)) < 1.5
    assert np.hypot(*(found[0, 0] - (base - length * along))) < 2.5
    lengths = np.linalg.norm(found[1:, 1] - found[1:, 0], axis=-1)
    share = 1 - (np.arange(20) + 0.5) / 20
    np.testing.assert_allclose(lengths, 2 * width * np.sqrt(1 - share**2), atol=2.5)
    assert (found[1:, 1, 0] > found[1:, 0, 0]).all()  # left end first


@pytest.mark.heavy
def test_masks_of_phantoms_have_the_volumes_of_their_tracings() -> None:
    seeds = (3, 8, 40)
    patients = [sample_patient(seed) for seed in seeds]
    phantom = Phantom(patients, [sample_view(s, p.long_axis) for s, p in zip(seeds, patients, strict=True)], seeds)
    _, truth = phantom.render([60.0, 45.0, 50.0], 12, 24.0, [0.0] * 3)
    labels = label_pixels(phantom, truth).numpy()
    for item in range(3):
        for frame in (truth.ed_frame(item), truth.es_frame(item)):
            one = labels[item, frame]
            axis = find_axis(one == CAVITY, one == LEFT_ATRIUM)
            assert axis is not None
            for trace, region in (
                (trace_contours, one == CAVITY),
                (trace_epicardium, np.isin(one, (CAVITY, MYOCARDIUM))),
            ):
                long_axis, chords = (v[item, 0] for v in trace(phantom, truth.at(frame)))
                exact = torch.cat([long_axis[None], chords])
                volume = disc_volume(torch.from_numpy(trace_region(region, axis)))
                assert float(volume / disc_volume(exact)) == pytest.approx(1, abs=0.1)


def test_too_little_is_no_ventricle() -> None:
    nothing = np.zeros((20, 20), bool)
    assert find_axis(nothing) is None
    nothing[3:5, 3:6] = True
    assert find_axis(nothing) is None


def test_a_polygon_is_filled_to_its_edges() -> None:
    square = np.array([[2.5, 1.5], [6.5, 1.5], [6.5, 4.5], [2.5, 4.5]])
    filled = fill_polygon(square, (8, 9))
    assert filled.sum() == 12
    assert filled[2:5, 3:7].all()


@pytest.mark.heavy
def test_each_layout_tells_the_borders_that_it_has(tmp_path: Path) -> None:
    camus = CamusDataset(write_camus(tmp_path / "camus"))
    ed, es = camus.outlines(0)
    assert (ed.frame, es.frame) == (0, 4)
    assert ed.epicardium is not None
    inner, outer = (np.ptp(border[1:], axis=1)[:, 0].mean() for border in (ed.endocardium, ed.epicardium))
    assert outer / inner == pytest.approx(80 / 60, abs=0.1)
    children = write_pediatric(tmp_path / "pediatric")
    (diastole, systole), untraced = (PediatricDataset(children).outlines(k) for k in (0, 1))
    assert (diastole.frame, systole.frame) == (2, 5)
    assert diastole.epicardium is None
    np.testing.assert_allclose(np.hypot(*np.diff(diastole.endocardium[0], axis=0)[0]), 40, atol=2)
    assert untraced == []
    assert PediatricDataset(children, "PSAX").outlines(0) == []
    assert not isinstance(open_dataset(write_hmc_qu(tmp_path / "hmc")), OutlinedDataset)

"""Truth per pixel: labels have the traced volume, displacements carry the end-diastolic picture along."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from echosynth.data.outlines import fill_polygon
from echosynth.phantom.contours import trace_contours
from echosynth.phantom.maps import CAVITY, LEFT_ATRIUM, MYOCARDIUM, displace_pixels, label_pixels
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom, Truth
from echosynth.phantom.scanner import sample_view

SEEDS = (3, 8, 21, 33)


def render(bulk_motion: bool) -> tuple[Phantom, torch.Tensor, Truth]:
    patients = [sample_patient(seed, bulk_motion=bulk_motion) for seed in SEEDS]
    views = [sample_view(seed, p.long_axis) for seed, p in zip(SEEDS, patients, strict=True)]
    phantom = Phantom(patients, views, SEEDS)
    return phantom, *phantom.render([60.0, 45.0, 30.0, 70.0], 16, 24.0, [0.0] * len(SEEDS))


@pytest.fixture(scope="module")
def rendered() -> tuple[Phantom, torch.Tensor, Truth]:
    return render(bulk_motion=True)


@pytest.fixture(scope="module")
def contracting() -> tuple[Phantom, torch.Tensor, Truth]:
    return render(bulk_motion=False)


@pytest.mark.heavy
def test_the_cavity_is_what_the_tracing_encloses(rendered: tuple[Phantom, torch.Tensor, Truth]) -> None:
    phantom, _, truth = rendered
    labels = label_pixels(phantom, truth)
    for item in range(len(SEEDS)):
        for frame in (truth.ed_frame(item), truth.es_frame(item)):
            axis, chords = (v[item, 0].numpy() for v in trace_contours(phantom, truth.at(frame)))
            corners = np.vstack([axis[:1], chords[:, 0], chords[::-1, 1]])
            traced = fill_polygon(corners, (phantom.size, phantom.size)) & (phantom.mask[item] > 0).numpy()
            cavity = (labels[item, frame] == CAVITY).numpy()
            assert 2 * (traced & cavity).sum() / (traced.sum() + cavity.sum()) > 0.96


@pytest.mark.heavy
def test_muscle_lies_around_the_cavity_and_the_atrium_below(rendered: tuple[Phantom, torch.Tensor, Truth]) -> None:
    phantom, pixels, truth = rendered
    labels = label_pixels(phantom, truth)
    assert labels.dtype == torch.uint8
    assert labels.shape == pixels.shape
    assert set(labels.unique().tolist()) <= {0, CAVITY, MYOCARDIUM, LEFT_ATRIUM}
    assert bool((labels[~(phantom.mask[:, None] > 0).expand_as(labels)] == 0).all())
    for item in range(len(SEEDS)):
        one = labels[item, 0].numpy()
        touching = F.max_pool2d(torch.from_numpy(one == CAVITY).float()[None, None], 3, 1, 1)[0, 0].numpy() > 0
        ring = touching & (one != CAVITY) & (phantom.mask[item] > 0).numpy()
        assert np.isin(one[ring], (MYOCARDIUM, LEFT_ATRIUM)).mean() > 0.9
        # muscle cannot be squeezed: it keeps its area while the cavity loses a third or more of its own
        areas = [(labels[item] == label).sum(dim=(1, 2)).float() for label in (CAVITY, MYOCARDIUM)]
        assert float(areas[0].min() / areas[0].max()) < 0.85
        assert float(areas[1].min() / areas[1].max()) > 0.75


def follow_muscle(phantom: Phantom, pixels: torch.Tensor, truth: Truth) -> tuple[list[float], list[float]]:
    """Correlation of the muscle's greys at end-systole with the first frame's: as it lies, and carried along."""
    moved, labels = displace_pixels(phantom, truth, truth.at(0)), label_pixels(phantom, truth)
    size = phantom.size
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    still, carried = [], []
    for item in range(len(SEEDS)):
        frame = truth.es_frame(item)
        d = moved[item, frame].nan_to_num()
        grid = torch.stack([(x + d[0] + 0.5) * 2 / size - 1, (y + d[1] + 0.5) * 2 / size - 1], -1)
        warped = F.grid_sample(pixels[item, 0].float()[None, None], grid[None], align_corners=False)[0, 0]
        muscle = labels[item, frame] == MYOCARDIUM
        now = pixels[item, frame].float()[muscle]
        still.append(float(torch.corrcoef(torch.stack([now, pixels[item, 0].float()[muscle]]))[0, 1]))
        carried.append(float(torch.corrcoef(torch.stack([now, warped[muscle]]))[0, 1]))
    return still, carried


@pytest.mark.heavy
def test_displacement_carries_the_end_diastolic_muscle_to_every_frame(
    contracting: tuple[Phantom, torch.Tensor, Truth],
) -> None:
    still, carried = follow_muscle(*contracting)
    assert min(carried) > 0.6
    assert np.mean(carried) > np.mean(still) + 0.3


@pytest.mark.heavy
def test_displacement_carries_the_muscle_of_a_heart_that_moves_as_a_whole(
    rendered: tuple[Phantom, torch.Tensor, Truth],
) -> None:
    """It leaves gain, shadows and clutter behind, where the machine has them: less of its greys comes along."""
    still, carried = follow_muscle(*rendered)
    assert min(carried) > 0.4
    assert np.mean(carried) > np.mean(still) + 0.3


def test_nothing_has_moved_in_the_reference_frame(rendered: tuple[Phantom, torch.Tensor, Truth]) -> None:
    phantom, _, truth = rendered
    moved = displace_pixels(phantom, truth, truth.at(0))
    inside = phantom.mask > 0
    assert float(moved[:, 0].permute(0, 2, 3, 1)[inside].abs().max()) < 0.02
    assert bool(moved[:, 0].permute(0, 2, 3, 1)[~inside].isnan().all())


def test_tissue_goes_where_another_ef_takes_it_and_comes_back(
    rendered: tuple[Phantom, torch.Tensor, Truth],
) -> None:
    """From a frame at one EF to a frame at another and back again is no way at all."""
    phantom, _, truth = rendered
    other = phantom.move([70.0] * len(SEEDS), 1, 32.0, [0.35] * len(SEEDS))
    there = displace_pixels(phantom, truth.at(5), other)[:, 0]
    back = displace_pixels(phantom, other, truth.at(5))[:, 0]
    size = phantom.size
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    u, v = x + there[:, 0], y + there[:, 1]
    grid = torch.stack([(u + 0.5) * 2 / size - 1, (v + 0.5) * 2 / size - 1], -1).nan_to_num(9.0)
    returned = there + F.grid_sample(back, grid, align_corners=False, padding_mode="zeros")
    inside = (grid.abs() < 1).all(-1) & ~returned.isnan().any(1)
    lost = returned.norm(dim=1)[inside]
    assert float(inside.float().mean()) > 0.2
    assert float(there.norm(dim=1)[inside].quantile(0.9)) > 1.0
    # where layers slide along one another, or the ventricle begins, a pixel's neighbours go different ways
    assert float(lost.quantile(0.9)) < 0.05
    assert float(lost.median()) < 0.005

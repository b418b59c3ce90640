"""Borders of the left ventricle in datasets: from stored chords, or traced from masks and polygons.

A border is 21 pairs of points in pixels, see cardiac/landmarks.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from echosynth.cardiac.landmarks import CHORDS

STEP = 0.25  # pixels, between the points of a chord that are looked at
BASE = 0.06  # share of the long axis that counts as its lower end where no atrium tells
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))


@dataclass(frozen=True, eq=False)
class Outline:
    """The left ventricle in one frame.

    Attributes:
        frame: its number.
        endocardium: float (21, 2, 2), pixels.
        epicardium: likewise, None if it is not known.
    """

    frame: int
    endocardium: np.ndarray
    epicardium: np.ndarray | None = None


@runtime_checkable
class OutlinedDataset(Protocol):
    """A dataset with the ventricle's borders in some frames."""

    def outlines(self, index: int) -> Sequence[Outline]:
        """Those of `entries[index]`, the fullest ventricle first, in the pixels of its clip; none if it has none."""
        ...


def find_axis(cavity: np.ndarray, atrium: np.ndarray | None = None) -> np.ndarray | None:
    """Find the long axis of a ventricle in the pixels that its cavity covers.

    The annulus is where it touches the atrium; without one, the lower end of its main axis. The apex is the place
    furthest from there.

    Args:
        cavity: bool (H, W).
        atrium: bool (H, W), the left atrium.

    Returns:
        Apex and middle of the annulus, (2, 2); None if there is too little to tell.
    """
    places = np.argwhere(cavity)[:, ::-1].astype(float)
    if len(places) < CHORDS:
        return None
    base = _find_annulus(cavity, places, atrium)
    distance = np.hypot(*(places - base).T)
    # Many pixels of a blunt apex are about as far: their middle.
    axis = np.stack([places[distance > distance.max() - 1].mean(0), base])
    return axis if distance.max() >= 2 else None


def trace_region(region: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Trace a region, bool (H, W), along an axis (2, 2): its border, from where the axis enters the region at the apex.

    Both borders of a ventricle are traced along the axis of its cavity.
    """
    apex, base = axis
    length = float(np.hypot(*(base - apex)))
    along = (base - apex) / length
    across = np.array([-along[1], along[0]]) * (-1 if along[1] > 0 else 1)  # to the picture's right
    reach = np.arange(0, sum(region.shape), STEP)

    def leave(start: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """The last point of the region on a ray; its start if there is none."""
        inside = np.flatnonzero(_sample(region, start + reach[:, None] * direction) >= 0.5)
        point: np.ndarray = start + (reach[inside[-1]] if len(inside) else 0) * direction
        return point

    apex = leave(base, -along)
    chords = []
    for share in (np.arange(CHORDS) + 0.5) / CHORDS:
        centre = apex + share * (base - apex)
        chords.append(np.stack([leave(centre, -across), leave(centre, across)]))
    return np.stack([np.stack([apex, base]), *chords])


def _find_annulus(cavity: np.ndarray, places: np.ndarray, atrium: np.ndarray | None) -> np.ndarray:
    if atrium is not None and (touching := atrium & _surround(cavity)).any():
        # Between the last pixels of the one and the first of the other.
        ends: list[np.ndarray] = [np.argwhere(side)[:, ::-1].mean(0) for side in (touching, cavity & _surround(atrium))]
        return (ends[0] + ends[1]) / 2
    axis = np.linalg.eigh(np.cov(places.T))[1][:, -1]
    axis = axis if axis[1] > 0 else -axis
    depth = places @ axis
    lowest: np.ndarray = places[depth >= depth.max() - BASE * np.ptp(depth)].mean(0)
    return lowest + (depth.max() - lowest @ axis) * axis


def _surround(region: np.ndarray) -> np.ndarray:
    """The region and the pixels beside it."""
    grown, padded = np.zeros_like(region), np.pad(region, 1)
    for down, right in NEIGHBOURS:
        grown |= padded[1 + down : 1 + down + len(region), 1 + right : 1 + right + region.shape[1]]
    return grown | region


def _sample(region: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Share of the region at points (N, 2), by the four pixels around each; nothing lies beyond the picture."""
    padded = np.pad(region.astype(float), 1)
    points = np.clip(points + 1, 0, np.array(padded.shape[::-1]) - 1.001)
    corner = np.floor(points).astype(int)
    (x, y), (fx, fy) = corner.T, (points - corner).T
    upper = padded[y, x] * (1 - fx) + padded[y, x + 1] * fx
    lower = padded[y + 1, x] * (1 - fx) + padded[y + 1, x + 1] * fx
    share: np.ndarray = upper * (1 - fy) + lower * fy
    return share


def fill_polygon(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie in a polygon, by the even-odd rule: corners (N, 2), x and y, -> bool (H, W)."""
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    inside = np.zeros(size, bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside

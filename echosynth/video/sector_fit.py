"""Find the ultrasound sector (the fan) in a scanner's picture.

A phased-array picture is a fan: apex at the top, two straight edges, an arc at the bottom. Angles are measured at the
apex from "straight down", positive towards the right of the image; x runs right, y runs down, integer coordinates are
pixel centres:

    inside  <=>  left_angle <= atan2(x - apex_x, y - apex_y) <= right_angle  and  |(x, y) - apex| <= radius

The fan is fitted as the smallest one that holds the evidence: for each pair of edge directions the two lines are laid
against the lit pixels (a low quantile, not the minimum, so stray pixels do not count), they meet in the apex, and

    cost = area(fan without light) + 8 area(light outside of the fan)

is minimised, coarse grid first, then Nelder-Mead on all five numbers with soft edges. Evidence is tissue that MOVES
(temporal standard deviation; burnt-in text stands still) or that is lit, at several thresholds; the hypothesis whose
convex hull agrees best with its fan wins. What is no fan (photo, linear probe, blob) agrees with none and is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize, spatial

from echosynth.errors import SectorNotFoundError
from echosynth.video.resample import resize

_COARSE_SIDE = 96  # pixels of the longer side when searching
_FINE_SIDE = 192  # ... and when refining
_MIN_OPENING, _MAX_OPENING, _MAX_TILT = np.radians(40), np.radians(115), np.radians(20)
_OUTSIDE_WEIGHT = 8.0
_BORDER_WEIGHT = 2.0  # of a complete fan's border: near 1, so that codec ringing around it does not widen the fit
_TILT_WEIGHT = 8.0  # of the squared tilt, per area: 5 degrees off the vertical cost 6 % of the fan
_LEVELS = (0.75, 1.1, 1.6, 2.5, 4.0, 6.0, 10.0, 16.0, 24.0)  # grey levels above which a pixel counts as lit
_MAX_FRAMES = 48  # of a cine are enough to see what moves


@dataclass(frozen=True)
class Sector:
    """A fan in the pixel coordinates of one picture.

    Attributes:
        apex_x, apex_y: where the two edges meet, pixels; may lie a little above the picture.
        left_angle, right_angle: directions of the edges, radians from straight down, positive to the right.
        radius: distance from the apex to the bottom arc, pixels.
    """

    apex_x: float
    apex_y: float
    left_angle: float
    right_angle: float
    radius: float

    def depth_inside(self, height: int, width: int) -> np.ndarray:
        """Return float (height, width): distance in pixels to the nearest border of the fan, negative outside."""
        x = np.arange(width, dtype=np.float32)[None, :] - np.float32(self.apex_x)
        y = np.arange(height, dtype=np.float32)[:, None] - np.float32(self.apex_y)
        left = x * np.cos(self.left_angle, dtype=np.float32) - y * np.sin(self.left_angle, dtype=np.float32)
        right = y * np.sin(self.right_angle, dtype=np.float32) - x * np.cos(self.right_angle, dtype=np.float32)
        arc = np.float32(self.radius) - np.sqrt(x * x + y * y)
        return np.minimum(np.minimum(left, right), arc)

    def mask(self, height: int, width: int, margin: float = 0.0) -> np.ndarray:
        """Return bool (height, width): pixels inside the fan, or at most `margin` pixels outside."""
        return self.depth_inside(height, width) >= -margin

    def transform(self, scale: float, x0: float = 0.0, y0: float = 0.0) -> "Sector":
        """Return the fan after cropping at the pixel border (x0, y0) and then scaling (pixel centres at halves)."""
        return Sector(
            (self.apex_x + 0.5 - x0) * scale - 0.5,
            (self.apex_y + 0.5 - y0) * scale - 0.5,
            self.left_angle,
            self.right_angle,
            self.radius * scale,
        )


def find_sector(frames: np.ndarray) -> Sector:
    """Find the fan in a frame or a cine.

    Args:
        frames: grey uint8 (H, W) or (T, H, W). A cine is easier: text and menus stand still.

    Returns:
        The fan in pixels of `frames`.

    Raises:
        SectorNotFoundError: nothing in the picture looks like a fan.
    """
    cine = frames[None] if frames.ndim == 2 else frames
    height, width = cine.shape[-2:]
    if min(height, width) < 32:
        raise SectorNotFoundError(f"a picture of {width}x{height} pixels is too small to find an ultrasound sector in")
    best: tuple[float, Sector, np.ndarray, bool] | None = None
    for evidence in _evidence(cine):
        coarse, fine = _shrink(evidence, _COARSE_SIDE), _shrink(evidence, _FINE_SIDE)
        for level in _LEVELS:
            for lit in _blobs(coarse > level):
                # A complete fan is believed as it is; a patchy one (dark far field) if symmetric, held by both edges.
                for patchy, fan in zip((False, True), _coarse_fit(lit), strict=True):
                    quality = _quality(lit, fan, patchy)
                    if quality > 0 and (best is None or quality > best[0]):
                        scaled = fan.transform(fine.shape[0] / coarse.shape[0])
                        best = (quality, scaled, _near(fine > level, lit), patchy)
    if best is not None:
        _, fan, lit, patchy = best
        return _refine(lit, fan, patchy).transform(height / lit.shape[0])
    raise SectorNotFoundError(
        "no ultrasound sector found: the picture shows no fan with its apex at the top "
        "(give an apical four-chamber B-mode picture that shows the whole sector)"
    )


def _evidence(cine: np.ndarray) -> Iterator[np.ndarray]:
    """Yield float (H, W) maps in grey levels: how much each pixel moves (cines only), then how bright it is."""
    chosen = cine[np.linspace(0, len(cine) - 1, min(len(cine), _MAX_FRAMES)).astype(int)].astype(np.float32)
    if len(chosen) >= 4:
        yield chosen.std(0)
    yield chosen.mean(0)


def _shrink(image: np.ndarray, side: int) -> np.ndarray:
    """Return the image with its longer side at most `side` pixels (both sides scaled alike)."""
    scale = side / max(image.shape)
    return image if scale >= 1 else resize(image, (round(image.shape[0] * scale), round(image.shape[1] * scale)))


def _blobs(lit: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the large connected pieces of a bool (h, w) map, thin things (text, ticks, an ECG) removed.

    Twice: as they are, and with gaps closed (the speckle of a dark far field falls apart otherwise).
    """
    bridged = ndimage.binary_closing(lit, iterations=2)
    for closed in (lit, bridged) if (bridged & ~lit).any() else (lit,):
        # A 5 x 5 majority drops strokes up to two pixels wide.
        solid = ndimage.uniform_filter(closed.astype(np.float32), 5, mode="nearest") > 0.5
        joined = ndimage.binary_closing(solid, np.ones((3, 3)), iterations=2) | solid
        # The opening takes off what hangs on the fan: the probe's dot beside the apex, depth ticks at a corner.
        labels, count = ndimage.label(ndimage.binary_opening(joined, iterations=3))
        if count == 0:
            continue
        areas = np.bincount(labels.ravel())[1:]
        for index in np.argsort(-areas, kind="stable")[:3]:
            if areas[index] >= 0.02 * lit.size:
                yield closed & ndimage.binary_dilation(labels == index + 1)


def _near(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Keep of the fine bool map what lies on, or within one coarse pixel of, the coarse one."""
    rows = np.minimum(np.arange(fine.shape[0]) * coarse.shape[0] // fine.shape[0], coarse.shape[0] - 1)
    columns = np.minimum(np.arange(fine.shape[1]) * coarse.shape[1] // fine.shape[1], coarse.shape[1] - 1)
    kept = fine & ndimage.binary_dilation(coarse)[np.ix_(rows, columns)]
    # Dark chambers and shadows are part of the fan: filled, so that only the border decides.
    return ndimage.binary_fill_holes(ndimage.binary_closing(kept, iterations=3) | kept)


def _coarse_fit(lit: np.ndarray) -> tuple[Sector, Sector]:
    """Return the fans of least cost, for complete and for patchy light, on a grid of edges 15 to 60 degrees apart."""
    y, x = np.nonzero(lit)
    angles = np.radians(np.arange(15.0, 61.0, 5.0))
    # Offsets of the tangent lines: left edges by their inward normal (cos a, -sin a) with a < 0, right ones mirrored.
    left = [float(np.quantile(x * np.cos(a) + y * np.sin(a), 0.004)) for a in angles]
    right = [float(np.quantile(-x * np.cos(a) + y * np.sin(a), 0.004)) for a in angles]
    best, least = [Sector(0, 0, 0, 0, 1)] * 2, [np.inf, np.inf]
    for a, offset_left in zip(angles, left, strict=True):
        for b, offset_right in zip(angles, right, strict=True):
            if not (_MIN_OPENING <= a + b <= _MAX_OPENING and abs(b - a) <= 2 * _MAX_TILT):
                continue
            lines = np.array([[np.cos(a), np.sin(a)], [-np.cos(b), np.sin(b)]])
            apex_x, apex_y = np.linalg.solve(lines, [offset_left, offset_right])
            radius = float(np.quantile(np.hypot(x - apex_x, y - apex_y), 0.996))
            fan = Sector(float(apex_x), float(apex_y), -float(a), float(b), radius)
            for patchy, cost in enumerate(_costs(lit, fan, _OUTSIDE_WEIGHT)):
                if cost < least[patchy]:
                    best[patchy], least[patchy] = fan, cost
    return best[0], best[1]


def _costs(lit: np.ndarray, fan: Sector, weight: float) -> tuple[float, float]:
    """area(fan without light) + weight area(light outside), in pixels, with borders one pixel soft.

    Where the light is patchy, unlit area says little, so (second cost) a fan is also asked to be upright and symmetric.
    """
    inside = np.clip(fan.depth_inside(*lit.shape) + 0.5, 0, 1)
    area, held = float(inside.sum()), float(inside[lit].sum())
    cost = area - held + weight * (float(lit.sum()) - held)
    return cost, cost + _TILT_WEIGHT * ((fan.left_angle + fan.right_angle) / 2) ** 2 * area


def _refine(lit: np.ndarray, fan: Sector, patchy: bool) -> Sector:
    """Minimise the cost over all five numbers from a coarse start; distances and angles in steps of like effect."""
    weight = _OUTSIDE_WEIGHT if patchy else _BORDER_WEIGHT
    scale = np.array([1.0, 1.0, 1.0 / fan.radius, 1.0 / fan.radius, 1.0])
    start = np.array([fan.apex_x, fan.apex_y, fan.left_angle, fan.right_angle, fan.radius]) / scale
    simplex = np.vstack([start, start + np.diag([3.0, 3.0, 3.0, 3.0, 3.0])])
    found = optimize.minimize(
        lambda p: _costs(lit, Sector(*(p * scale)), weight)[patchy],
        start,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": 400, "xatol": 0.05, "fatol": 0.5},
    )
    return Sector(*(float(value) for value in found.x * scale))


def _quality(lit: np.ndarray, fan: Sector, patchy: bool) -> float:
    """Score a fan, mainly by its agreement (IoU) with the convex hull of the light it holds; 0 if it is no sector."""
    height, width = lit.shape
    opening, tilt = fan.right_angle - fan.left_angle, (fan.right_angle + fan.left_angle) / 2
    if not (_MIN_OPENING <= opening <= _MAX_OPENING and abs(tilt) <= _MAX_TILT):
        return 0.0
    if not (0.1 * width < fan.apex_x < 0.9 * width and -0.06 * height < fan.apex_y < 0.5 * height):
        return 0.0
    depth = fan.depth_inside(height, width)
    inside, held = depth >= 0, lit & (depth >= -1.5)
    if fan.radius < 0.3 * min(height, width) or held.sum() < 0.25 * inside.sum():
        return 0.0
    if (lit & ~held).sum() > 0.04 * lit.sum():
        return 0.0
    points = np.argwhere(held)
    try:
        equations = spatial.ConvexHull(points).equations
    except spatial.QhullError:
        return 0.0
    grid = np.indices((height, width)).reshape(2, -1)
    hull = ((equations[:, :2] @ grid + equations[:, 2:]) <= 1e-6).all(0).reshape(height, width)
    agreement = float((hull & inside).sum() / (hull | inside).sum())
    if agreement < (0.74 if patchy else 0.85) or (patchy and min(_edge_support(lit, fan)) < 0.6):
        return 0.0
    # At a high level only the bright near field is lit, a small or a lopsided fan: the large upright one is the sector.
    return agreement + 0.4 * float(inside.mean()) - abs(tilt)


def _edge_support(lit: np.ndarray, fan: Sector) -> tuple[float, float]:
    """Part of the left and of the right edge, 15 % to 60 % down and inside the picture, with light just inside it."""
    height, width = lit.shape
    near = ndimage.binary_dilation(lit)
    down = np.linspace(0.15, 0.6, 40) * fan.radius
    supports = []
    for angle, inward in ((fan.left_angle, 1.5), (fan.right_angle, -1.5)):
        x = np.rint(fan.apex_x + down * np.sin(angle) + inward).astype(int)
        y = np.rint(fan.apex_y + down * np.cos(angle)).astype(int)
        seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        supports.append(float(near[y[seen], x[seen]].mean()) if seen.sum() >= 10 else 0.0)
    return supports[0], supports[1]

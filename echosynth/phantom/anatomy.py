"""Where the heart's chambers and walls lie at end-diastole, on a grid that is fixed to the heart.

LV frame, cm: s along the axis (0 apex, L annulus), q across (+ lateral, - septum). Borders are rough by random fields,
so masks are drawn together with them, each from a stream of its own in the order in which they are asked for.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import torch

from echosynth.phantom.amplitude import decay, edge, raised
from echosynth.phantom.motion import Fields, compute_shape, profile, smoothstep
from echosynth.phantom.noise import smooth_field

S_MIN, S_MAX, Q_MIN, Q_MAX, PITCH = -5.0, 22.0, -15.0, 14.0, 0.07


def rv_profile(z: torch.Tensor, p: Fields) -> torch.Tensor:
    """Width of the right ventricle beside the septum, cm; z 0 LV apex, 1 annulus."""
    u = ((z - p["rv_apex"]) / (0.8 - p["rv_apex"])).clamp(0, 1)
    return p["rv_width"] * (1 - (1 - u) ** 2.2).clamp_min(0) ** 0.6 * (1 - 0.10 * ((z - 0.8) / 0.3).clamp(0, 1))


def epicardium(s: torch.Tensor, length: torch.Tensor, width: torch.Tensor, p: Fields) -> torch.Tensor:
    """Half width of the epicardium at end-diastole, cm."""
    z = (s + p["wall_apex"]) / (length + p["wall_apex"])
    return (width + p["wall"]) * profile(z, p["z_max"], p["base_taper"] * 0.8, p["apex_power"])


class RandomFields:
    """Smooth random fields over the grid, of zero mean and unit standard deviation; every call draws another one.

    Args:
        seeds: of the patients, (B,).
        shape: of the grid.
    """

    def __init__(self, seeds: torch.Tensor, shape: tuple[int, int]) -> None:
        self.seeds, self.shape = seeds, shape
        self._streams = itertools.count()

    def __call__(self, cell_s: float, cell_q: float | None = None) -> torch.Tensor:
        """The next field, (B, H, W), with correlation lengths along the axis and across it, cm."""
        cell = (cell_s / PITCH, (cell_q or cell_s) / PITCH)
        return smooth_field(self.seeds, next(self._streams), self.shape, cell)


class HeartGrid:
    """The grid's places and the lengths that all chambers are drawn by; (B, 1, 1) or (B, H, W) each, cm.

    Args:
        patient: fields as (B,).
    """

    def __init__(self, patient: Fields) -> None:
        self.p = {k: v.float()[:, None, None] for k, v in patient.items() if k != "seed"}
        shape = compute_shape(patient)
        lengths = (shape.length, shape.septal, shape.lateral)
        self.length, self.septal, self.lateral = (v.float()[:, None, None] for v in lengths)
        device = patient["edv"].device
        axes = (torch.arange(S_MIN, S_MAX, PITCH, device=device), torch.arange(Q_MIN, Q_MAX, PITCH, device=device))
        self.s, self.q = torch.meshgrid(*axes, indexing="ij")
        self.z, self.across, self.is_lateral = self.s / self.length, self.q.abs(), self.q > 0
        self.side_width = torch.where(self.is_lateral, self.lateral, self.septal)
        self.shape = (self.s.shape[0], self.s.shape[1])
        self.field = RandomFields(patient["seed"], self.shape)
        # Nothing but the left ventricle is a clean shape.
        self.s_warped = self.s + self.p["warp"] * self.field(1.5)
        self.q_warped = self.q + 1.2 * self.p["warp"] * self.field(1.5)
        self.tricuspid = self.length * (1 - self.p["tricuspid_offset"])
        self.la_s, self.la_q = self.length + self.p["la_length"] * 0.47, self.lateral * 0.05
        self.ra_s = self.tricuspid + self.p["la_length"] * 0.45
        self.ra_q = self.la_q - self.p["la_width"] - 0.35 - self.p["ra_width"]

    @cached_property
    def annulus(self) -> torch.Tensor:
        """Half width of the mitral annulus, a share of the ventricle's largest half width."""
        p = self.p
        return profile(torch.ones_like(self.length), p["z_max"], p["base_taper"], p["apex_power"])

    def blob(
        self, s0: torch.Tensor, q0: torch.Tensor, along: float | torch.Tensor, across: float | torch.Tensor
    ) -> torch.Tensor:
        """A soft ellipse: 1 at its middle (s0, q0), e^-1 at its half axes."""
        return decay(((self.s - s0) / along) ** 2 + ((self.q - q0) / across) ** 2)

    def left_atrium(self) -> torch.Tensor:
        """1 in the middle of the left atrium, 0 on its wall, negative outside."""
        along = (self.s_warped - self.la_s).abs() / (self.p["la_length"] * 0.5)
        return 1 - raised(along, 2.4) - raised((self.q_warped - self.la_q).abs() / self.p["la_width"], 2.4)

    def right_atrium(self) -> torch.Tensor:
        """The same of the right atrium."""
        along = (self.s_warped - self.ra_s).abs() / (self.p["la_length"] * 0.48)
        return 1 - raised(along, 2.4) - raised((self.q_warped - self.ra_q).abs() / self.p["ra_width"], 2.4)


def left_atrium_map(patient: Fields) -> torch.Tensor:
    """The left atrium on the grid as it is drawn, (B, 1, H, W): positive inside, down to the mitral annulus."""
    grid = HeartGrid(patient)
    under_valve = (grid.across < grid.annulus * grid.side_width) & (grid.s < grid.la_s)
    inside = torch.where(under_valve, 1.0, grid.left_atrium())
    return torch.where(grid.s > grid.length, inside, -1.0)[:, None]


@dataclass(frozen=True)
class Chambers:
    """Soft masks of chambers and walls, 0-1, (B, H, W) each, and the borders that they follow from.

    Attributes:
        endo: half width of the endocardium, cm.
        epi: half width of the epicardium, cm.
        above: 1 on the ventricle's side of the mitral annulus.
        cavity: of the left ventricle.
        muscle: of the left ventricle.
        rv: the right ventricle.
        rv_wall: its free wall.
        la: the left atrium.
        ra: the right atrium.
        la_depth: 1 in the middle of the left atrium, 0 on its wall.
        ra_depth: the same of the right one.
    """

    endo: torch.Tensor
    epi: torch.Tensor
    above: torch.Tensor
    cavity: torch.Tensor
    muscle: torch.Tensor
    rv: torch.Tensor
    rv_wall: torch.Tensor
    la: torch.Tensor
    ra: torch.Tensor
    la_depth: torch.Tensor
    ra_depth: torch.Tensor


def draw_chambers(grid: HeartGrid) -> Chambers:
    """Draw all chambers; the random fields are drawn in the order left ventricle, right ventricle, atria."""
    p, z, field = grid.p, grid.z, grid.field
    endo = grid.side_width * profile(z, p["z_max"], p["base_taper"], p["apex_power"])
    epi = torch.maximum(epicardium(grid.s, grid.length, grid.side_width, p), endo + 0.25)
    rough = p["trabeculation"] * torch.relu(field(0.5, 0.25)) * smoothstep((0.85 - z) / 0.3)
    above = edge(grid.length - grid.s, 0.07)
    cavity = edge(endo - grid.across + 0.05 * field(0.30) - rough, 0.05) * above * edge(grid.s, 0.05)
    heart = edge(epi - grid.across + 0.06 * field(0.8), 0.08) * edge(grid.length + 0.15 - grid.s, 0.1)
    heart = heart * edge(grid.s + p["wall_apex"], 0.07)
    rv, rv_wall = _draw_right_ventricle(grid, epi)
    la, ra, la_depth, ra_depth = _draw_atria(grid)
    return Chambers(endo, epi, above, cavity, heart * (1 - cavity), rv, rv_wall, la, ra, la_depth, ra_depth)


def _draw_right_ventricle(grid: HeartGrid, epi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cavity and free wall."""
    p, s, q, z, field = grid.p, grid.s, grid.q, grid.z, grid.field
    width = rv_profile(z, p)
    rv = edge(-q - epi, 0.06) * edge(epi + width + grid.q_warped + 0.12 * field(0.5), 0.08)
    coarse = torch.relu(field(0.45, 0.3)) * smoothstep((0.9 - z) / 0.4)  # trabeculae, most of them near the apex
    rv = rv * edge(epi + width + q - 2.2 * p["rv_trabeculation"] * coarse, 0.08)
    rv = rv * edge(grid.tricuspid - s, 0.08) * edge((z - p["rv_apex"] - 0.1 * field(0.7)) * grid.length, 0.25)
    wall = edge(-grid.q_warped - epi - width, 0.06) * edge(epi + width + 0.40 + grid.q_warped, 0.08)
    return rv, wall * edge(grid.length - s, 0.1) * (z > p["rv_apex"] - 0.03)


def _draw_atria(grid: HeartGrid) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Left and right atrium, each open to its ventricle, and how deep inside them a place lies."""
    p, s, q, field = grid.p, grid.s, grid.q, grid.field
    la_depth, ra_depth = grid.left_atrium(), grid.right_atrium()
    la = edge(la_depth * p["la_width"] * 0.5 + 0.08 * field(0.6), 0.08)
    ra = edge(ra_depth * p["ra_width"] * 0.5 + 0.08 * field(0.6), 0.08)
    mitral = edge(grid.annulus * grid.side_width - grid.across, 0.06) * edge(s - grid.length + 0.25, 0.06)
    mitral = mitral * edge(grid.la_s - s, 0.1)
    width = rv_profile(grid.z, p)
    middle = -(grid.septal * (1 - p["base_taper"]) + p["wall"] + width * 0.5)
    tricuspid = edge(width * 0.46 - (q - middle).abs(), 0.08) * edge(s - grid.tricuspid + 0.2, 0.06)
    tricuspid = tricuspid * edge(grid.ra_s - s, 0.1)
    return torch.maximum(la, mitral), torch.maximum(ra, tricuspid), la_depth, ra_depth

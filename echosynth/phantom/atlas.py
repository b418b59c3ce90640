"""The end-diastolic atlas: echogenicity in dB and complex scatterers on the grid of anatomy.py.

The heart's motion later samples this atlas backwards, so speckle moves with tissue by construction. Texture:
K-distributed speckle, i.e. circular complex Gaussian scatterers times a slow log-normal amplitude.
"""

import torch
import torch.nn.functional as F

from echosynth.phantom.amplitude import decay, edge, from_decibel
from echosynth.phantom.anatomy import Chambers, HeartGrid, draw_chambers
from echosynth.phantom.motion import Fields, smoothstep
from echosynth.phantom.noise import counter_normal, smooth_field

LOOKS = 4  # two complex looks


def build_atlas(patient: Fields) -> torch.Tensor:
    """Render the atlas of each patient.

    Args:
        patient: fields as (B,).

    Returns:
        Float32 (B, 4, H, W): real and imaginary part of two independent looks.
    """
    grid = HeartGrid(patient)
    echoes = _Echogenicity(grid, draw_chambers(grid))
    echoes.paint_surroundings()
    echoes.paint_ventricular_walls()
    echoes.paint_atrial_walls()
    echoes.paint_blood()
    echoes.paint_papillary_muscles()
    return _scatter(grid, patient["seed"], echoes.level)


class _Echogenicity:
    """The map of echogenicity: regions are laid over it in order, from the surroundings inwards, by soft masks.

    Attributes:
        level: echogenicity, dB, (B, H, W).
    """

    def __init__(self, grid: HeartGrid, chambers: Chambers) -> None:
        self.grid, self.chambers = grid, chambers
        field, p = grid.field, grid.p
        self.slow = 3.4 * field(1.9) + 2.6 * field(0.6)  # of all tissue, dB
        self.level = p["background_db"] + 7.5 * field(1.8, 3.6) + 3.0 * field(0.5, 1.5)
        self.behind = smoothstep((grid.s - (grid.length + p["la_length"] * 0.9)) / 0.8)  # the atria
        septum = decay(((grid.q - (grid.la_q - p["la_width"] - 0.16)) / 0.17) ** 2)
        septum = septum * edge(grid.s - grid.length, 0.2)
        self.atrial_septum = septum * edge(grid.length + p["la_length"] * 0.95 - grid.s, 0.2)

    def _paint(self, mask: torch.Tensor, level: torch.Tensor | float) -> None:
        mask = mask.clamp(0, 1)
        self.level = self.level * (1 - mask) + level * mask

    def _add(self, decibel: torch.Tensor) -> None:
        self.level = self.level + decibel

    def paint_surroundings(self) -> None:
        """Posterior tissue, pericardium and lung."""
        grid, p, field = self.grid, self.grid.p, self.grid.field
        fall = decay((grid.s_warped - (grid.length + p["la_length"] * 1.15)).clamp_min(0) / 2.2)
        posterior = (p["posterior_db"] + 5.0 * field(0.9, 2.4)) * self.behind * fall
        self._add(posterior * decay(((grid.q_warped + 1.0) / 6.5) ** 4))
        outside = torch.where(grid.is_lateral, grid.across - self.chambers.epi, torch.full_like(grid.across, 9.0))
        pericardium = decay(((outside - 0.22) / 0.16) ** 2) * edge(grid.length * 1.05 - grid.s, 0.3)
        pericardium = pericardium * smoothstep((grid.z - 0.15) / 0.5)
        self._add((0.7 * p["posterior_db"] + 4 * field(0.7)) * pericardium)
        lung = edge(outside - 0.2, 0.1) * smoothstep((grid.z - 0.45) / 0.5) * edge(5 - outside, 0.8) * grid.is_lateral
        self._add((0.8 * p["posterior_db"] + 5 * field(0.9)) * lung * decay(outside.clamp_min(0) / 1.3))

    def paint_ventricular_walls(self) -> None:
        grid, p, c, z = self.grid, self.grid.p, self.chambers, self.grid.z
        wall = torch.where(grid.is_lateral, p["tissue_db"] + p["lateral_db"], p["tissue_db"]) + self.slow
        stripe = decay((((grid.across - c.endo) / (c.epi - c.endo).clamp_min(0.1) - 0.5) / 0.22) ** 2)
        wall = wall + 3.0 * stripe * ~grid.is_lateral + 4.0 * smoothstep((z - 0.74) / 0.24)
        wall = wall - p["apex_drop_db"] * (1 - smoothstep(z / 0.38))
        wall = wall + 3 * decay(((grid.across - c.endo - 0.05) / 0.10) ** 2) * c.above
        self._paint(c.muscle, wall)
        self._paint(
            c.rv_wall * (0.55 + 0.45 * torch.sigmoid(3 * grid.field(1.2))),
            p["tissue_db"] - 6.0 + self.slow + 5 * smoothstep((z - 0.5) / 0.5),
        )

    def paint_atrial_walls(self) -> None:
        """Rims of the atria, the septum between them, and the corners where the valves hang."""
        grid, p, field, slow = self.grid, self.grid.p, self.grid.field, self.slow
        for depth, bright in ((self.chambers.la_depth, 9.0), (self.chambers.ra_depth, 8.0)):
            rim = decay((depth / (0.16 + 0.05 * field(0.8))).clamp(-6, 6) ** 2) * (grid.s > grid.length)
            broken = torch.sigmoid(2.5 * field(0.9) + 0.6)  # walls along the beam are seen here and there only
            self._add((bright + 2.5 * field(0.7)) * rim * broken * (1 - self.behind * 0.6))
        # The fossa ovalis hardly echoes.
        gap = decay(((grid.s - grid.length - p["la_length"] * 0.5) / 0.8) ** 2)
        self._paint(self.atrial_septum * 0.9, p["tissue_db"] + 3 - 12 * gap + slow)
        septal_corner = -grid.septal * grid.annulus - p["wall"] * 0.45
        lateral_corner = grid.lateral * grid.annulus + p["wall"] * 0.5
        rv_corner = -(grid.septal * grid.annulus + p["wall"] + p["rv_width"] * 0.95 + 0.2)
        for corner, bright in (
            (grid.blob(grid.length + 0.25, septal_corner, 0.55, 0.38), 10.0),
            (grid.blob(grid.length + 0.15, lateral_corner, 0.55, 0.55), 8.0),
            (grid.blob(grid.tricuspid + 0.1, rv_corner, 0.5, 0.5), 6.0),
        ):
            self._paint(1.1 * corner, p["tissue_db"] + bright + slow)

    def paint_blood(self) -> None:
        """The outflow tract, the pulmonary veins, and what the chambers hold."""
        grid, p, c, field = self.grid, self.grid.p, self.chambers, self.grid.field
        not_septum, blood = 1 - self.atrial_septum * 0.95, p["blood_db"]
        outflow = grid.blob(grid.length + 0.35, -grid.septal * grid.annulus * 0.7, 0.9, 0.75)
        self._paint(p["outflow"] * 1.2 * outflow, blood)
        # The floors of the atria are never clean: side lobes of the bright wall behind, and what enters through the
        # veins.
        floor_la = 9 * smoothstep((grid.s - grid.la_s) / (p["la_length"] * 0.5)) * (1 + 0.5 * field(0.6))
        floor_ra = 9 * smoothstep((grid.s - grid.ra_s) / (p["la_length"] * 0.45)) * (1 + 0.5 * field(0.6))
        for side in (-0.62, 0.7):
            vein = grid.blob(grid.la_s + p["la_length"] * 0.5, grid.la_q + side * p["la_width"], 0.8, 0.28)
            self._paint(p["veins"] * 0.9 * vein, blood + 4)
        self._paint(c.cavity, blood)
        self._paint(c.rv * (1 - c.muscle), blood + 5 + 3 * field(0.8))
        self._paint(c.la * not_septum, blood - 2 + floor_la)
        self._paint(c.ra * not_septum, blood + floor_ra)

    def paint_papillary_muscles(self) -> None:
        """Two papillary muscles of the left ventricle, and the moderator band of the right one."""
        grid, p, slow = self.grid, self.grid.p, self.slow
        for along, across, strength in ((0.52, 0.72, 0.9), (0.42, 0.55, 0.5)):
            muscle = grid.blob(grid.length * along, grid.lateral * across, 0.75, 0.22)
            self._paint(strength * muscle * self.chambers.cavity, p["papillary_db"] + slow)
        band = -(grid.septal + p["wall"] + p["rv_width"] * 0.35)
        moderator = 0.8 * grid.blob(grid.length * 0.55, band, 0.22, 0.9) * self.chambers.rv
        self._paint(moderator, p["papillary_db"] - 3 + slow)


def _scatter(grid: HeartGrid, seeds: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Scatterers of this echogenicity, dB: (B, H, W) -> (B, 4, H, W)."""
    texture = torch.exp(grid.p["texture"] * smooth_field(seeds, 200, grid.shape, (2.4, 2.4)))
    amplitude = from_decibel(level) * texture
    scatter = counter_normal(seeds, 201, (LOOKS, *grid.shape))
    # Band-limit slightly, taps 1 4 1 each way, so that sub-sample motion changes speckle smoothly; unit energy keeps
    # the echo level.
    scatter = F.pad(scatter, (1, 1, 1, 1), mode="reflect")
    scatter = 4 * scatter[..., 1:-1, :] + scatter[..., :-2, :] + scatter[..., 2:, :]
    scatter = 4 * scatter[..., 1:-1] + scatter[..., :-2] + scatter[..., 2:]
    return (amplitude / 18)[:, None] * scatter

"""The end-diastolic atlas: echogenicity in dB and complex scatterers on a grid fixed to the heart.

The heart's motion later samples this atlas backwards, so speckle moves with tissue by construction.
LV frame, cm: s along the axis (0 apex, L annulus), q across (+ lateral, - septum). Texture: K-distributed speckle,
i.e. circular complex Gaussian scatterers times a slow log-normal amplitude.
"""

import torch
import torch.nn.functional as F

from echosynth.phantom.amplitude import decay, edge, from_decibel, raised
from echosynth.phantom.motion import Fields, compute_shape, profile, smoothstep
from echosynth.phantom.noise import counter_normal, smooth_field

S_MIN, S_MAX, Q_MIN, Q_MAX, PITCH = -5.0, 22.0, -15.0, 14.0, 0.07
LOOKS = 4  # two complex looks


def rv_profile(z: torch.Tensor, p: Fields) -> torch.Tensor:
    """Width of the right ventricle beside the septum, cm; z 0 LV apex, 1 annulus."""
    u = ((z - p["rv_apex"]) / (0.8 - p["rv_apex"])).clamp(0, 1)
    return p["rv_width"] * (1 - (1 - u) ** 2.2).clamp_min(0) ** 0.6 * (1 - 0.10 * ((z - 0.8) / 0.3).clamp(0, 1))


def epicardium(s: torch.Tensor, length: torch.Tensor, width: torch.Tensor, p: Fields) -> torch.Tensor:
    """Half width of the epicardium at end-diastole, cm."""
    z = (s + p["wall_apex"]) / (length + p["wall_apex"])
    return (width + p["wall"]) * profile(z, p["z_max"], p["base_taper"] * 0.8, p["apex_power"])


def _left_atrium_centre(p: Fields, length: torch.Tensor, lateral: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return length + p["la_length"] * 0.47, lateral * 0.05


def _left_atrium(
    s: torch.Tensor, q: torch.Tensor, p: Fields, length: torch.Tensor, lateral: torch.Tensor
) -> torch.Tensor:
    """1 in the middle of the left atrium, 0 on its wall, negative outside."""
    la_s, la_q = _left_atrium_centre(p, length, lateral)
    along, across = (s - la_s).abs() / (p["la_length"] * 0.5), (q - la_q).abs() / p["la_width"]
    return 1 - raised(along, 2.4) - raised(across, 2.4)


def _atlas_axes(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    s = torch.arange(S_MIN, S_MAX, PITCH, device=device)
    q = torch.arange(Q_MIN, Q_MAX, PITCH, device=device)
    s, q = torch.meshgrid(s, q, indexing="ij")
    return s, q


def left_atrium_map(patient: Fields) -> torch.Tensor:
    """The left atrium on the atlas as it is drawn, (B, 1, H, W): positive inside, down to the mitral annulus."""
    p = {k: v.float()[:, None, None] for k, v in patient.items() if k != "seed"}
    shape = compute_shape(patient)
    length, septal, lateral = (v.float()[:, None, None] for v in (shape.length, shape.septal, shape.lateral))
    s, q = _atlas_axes(patient["edv"].device)
    grid, cell = (s.shape[0], s.shape[1]), (1.5 / PITCH, 1.5 / PITCH)
    # The first two fields of `build_atlas`: nothing but the LV is a clean shape.
    along, across = (smooth_field(patient["seed"], stream, grid, cell) for stream in (0, 1))
    inside = _left_atrium(s + p["warp"] * along, q + 1.2 * p["warp"] * across, p, length, lateral)
    annulus = profile(torch.ones_like(length), p["z_max"], p["base_taper"], p["apex_power"])
    under_valve = (q.abs() < annulus * torch.where(q > 0, lateral, septal)) & (
        s < _left_atrium_centre(p, length, lateral)[0]
    )
    return torch.where(s > length, torch.where(under_valve, 1.0, inside), -1.0)[:, None]


class _Painter:
    """Lays regions over the echogenicity map in order, each by its soft mask."""

    def __init__(self, level: torch.Tensor) -> None:
        self.level = level

    def paint(self, mask: torch.Tensor, level: torch.Tensor | float) -> None:
        mask = mask.clamp(0, 1)
        self.level = self.level * (1 - mask) + level * mask

    def add(self, decibel: torch.Tensor) -> None:
        self.level = self.level + decibel


def build_atlas(patient: Fields) -> torch.Tensor:
    """Render the atlas of each patient.

    Args:
        patient: fields as (B,).

    Returns:
        Float32 (B, 4, H, W): real and imaginary part of two independent looks.
    """
    device, seeds = patient["edv"].device, patient["seed"]
    p = {k: v.float()[:, None, None] for k, v in patient.items() if k != "seed"}
    shape = compute_shape(patient)
    length, septal, lateral = (v.float()[:, None, None] for v in (shape.length, shape.septal, shape.lateral))
    s, q = _atlas_axes(device)
    grid = (s.shape[0], s.shape[1])
    stream = iter(range(100))

    def field(cell_s: float, cell_q: float | None = None) -> torch.Tensor:
        cell = (cell_s / PITCH, (cell_q or cell_s) / PITCH)
        return smooth_field(seeds, next(stream), grid, cell)

    warp = p["warp"]
    s_warp, q_warp = s + warp * field(1.5), q + 1.2 * warp * field(1.5)  # nothing but the LV is a clean shape
    z, aq, is_lateral = s / length, q.abs(), (q > 0)
    side_width = torch.where(is_lateral, lateral, septal)
    endo = side_width * profile(z, p["z_max"], p["base_taper"], p["apex_power"])
    epi = torch.maximum(epicardium(s, length, side_width, p), endo + 0.25)

    rough = p["trabeculation"] * torch.relu(field(0.5, 0.25)) * smoothstep((0.85 - z) / 0.3)
    above = edge(length - s, 0.07)
    cavity = edge(endo - aq + 0.05 * field(0.30) - rough, 0.05) * above * edge(s, 0.05)
    heart = edge(epi - aq + 0.06 * field(0.8), 0.08) * edge(length + 0.15 - s, 0.1) * edge(s + p["wall_apex"], 0.07)
    muscle = heart * (1 - cavity)

    rv_width = rv_profile(z, p)
    tricuspid = length * (1 - p["tricuspid_offset"])
    rv = edge(-q - epi, 0.06) * edge(epi + rv_width + q_warp + 0.12 * field(0.5), 0.08)
    coarse = torch.relu(field(0.45, 0.3)) * smoothstep((0.9 - z) / 0.4)  # trabeculae, most of them near the apex
    rv = rv * edge(epi + rv_width + q - 2.2 * p["rv_trabeculation"] * coarse, 0.08)
    rv = rv * edge(tricuspid - s, 0.08) * edge((z - p["rv_apex"] - 0.1 * field(0.7)) * length, 0.25)
    rv_wall = edge(-q_warp - epi - rv_width, 0.06) * edge(epi + rv_width + 0.40 + q_warp, 0.08)
    rv_wall = rv_wall * edge(length - s, 0.1) * (z > p["rv_apex"] - 0.03)

    la_s, la_q = _left_atrium_centre(p, length, lateral)
    ra_s = tricuspid + p["la_length"] * 0.45
    ra_q = la_q - p["la_width"] - 0.35 - p["ra_width"]
    la_in = _left_atrium(s_warp, q_warp, p, length, lateral)
    ra_along, ra_across = (s_warp - ra_s).abs() / (p["la_length"] * 0.48), (q_warp - ra_q).abs() / p["ra_width"]
    ra_in = 1 - raised(ra_along, 2.4) - raised(ra_across, 2.4)
    la = edge(la_in * p["la_width"] * 0.5 + 0.08 * field(0.6), 0.08)
    ra = edge(ra_in * p["ra_width"] * 0.5 + 0.08 * field(0.6), 0.08)
    annulus = profile(torch.ones_like(length), p["z_max"], p["base_taper"], p["apex_power"])
    mitral_gap = edge(annulus * side_width - aq, 0.06) * edge(s - length + 0.25, 0.06) * edge(la_s - s, 0.1)
    la = torch.maximum(la, mitral_gap)
    tv_centre = -(septal * (1 - p["base_taper"]) + p["wall"] + rv_width * 0.5)
    tv_gap = edge(rv_width * 0.46 - (q - tv_centre).abs(), 0.08) * edge(s - tricuspid + 0.2, 0.06) * edge(ra_s - s, 0.1)
    ra = torch.maximum(ra, tv_gap)

    # Echogenicity, from the surroundings inwards.
    slow = 3.4 * field(1.9) + 2.6 * field(0.6)
    scene = _Painter(p["background_db"] + 7.5 * field(1.8, 3.6) + 3.0 * field(0.5, 1.5))
    behind = smoothstep((s - (length + p["la_length"] * 0.9)) / 0.8)
    fall = decay((s_warp - (length + p["la_length"] * 1.15)).clamp_min(0) / 2.2)
    scene.add((p["posterior_db"] + 5.0 * field(0.9, 2.4)) * behind * fall * decay(((q_warp + 1.0) / 6.5) ** 4))
    outside = torch.where(is_lateral, aq - epi, torch.full_like(aq, 9.0))
    pericardium = decay(((outside - 0.22) / 0.16) ** 2) * edge(length * 1.05 - s, 0.3) * smoothstep((z - 0.15) / 0.5)
    scene.add((0.7 * p["posterior_db"] + 4 * field(0.7)) * pericardium)
    lung = edge(outside - 0.2, 0.1) * smoothstep((z - 0.45) / 0.5) * edge(5 - outside, 0.8) * is_lateral
    scene.add((0.8 * p["posterior_db"] + 5 * field(0.9)) * lung * decay(outside.clamp_min(0) / 1.3))

    wall = torch.where(is_lateral, p["tissue_db"] + p["lateral_db"], p["tissue_db"]) + slow
    stripe = decay((((aq - endo) / (epi - endo).clamp_min(0.1) - 0.5) / 0.22) ** 2)
    wall = wall + 3.0 * stripe * ~is_lateral + 4.0 * smoothstep((z - 0.74) / 0.24)
    wall = wall - p["apex_drop_db"] * (1 - smoothstep(z / 0.38))
    wall = wall + 3 * decay(((aq - endo - 0.05) / 0.10) ** 2) * above
    scene.paint(muscle, wall)
    scene.paint(
        rv_wall * (0.55 + 0.45 * torch.sigmoid(3 * field(1.2))),
        p["tissue_db"] - 6.0 + slow + 5 * smoothstep((z - 0.5) / 0.5),
    )
    for inside, bright in ((la_in, 9.0), (ra_in, 8.0)):
        rim = decay((inside / (0.16 + 0.05 * field(0.8))).clamp(-6, 6) ** 2) * (s > length)
        broken = torch.sigmoid(2.5 * field(0.9) + 0.6)  # walls along the beam are seen here and there only
        scene.add((bright + 2.5 * field(0.7)) * rim * broken * (1 - behind * 0.6))
    septum = decay(((q - (la_q - p["la_width"] - 0.16)) / 0.17) ** 2)
    septum = septum * edge(s - length, 0.2) * edge(length + p["la_length"] * 0.95 - s, 0.2)
    gap = decay(((s - length - p["la_length"] * 0.5) / 0.8) ** 2)  # the fossa ovalis hardly echoes
    scene.paint(septum * 0.9, p["tissue_db"] + 3 - 12 * gap + slow)

    def blob(s0: torch.Tensor, q0: torch.Tensor, along: float, across: float) -> torch.Tensor:
        return decay(((s - s0) / along) ** 2 + ((q - q0) / across) ** 2)

    scene.paint(
        1.1 * blob(length + 0.25, -septal * annulus - p["wall"] * 0.45, 0.55, 0.38), p["tissue_db"] + 10.0 + slow
    )
    scene.paint(1.1 * blob(length + 0.15, lateral * annulus + p["wall"] * 0.5, 0.55, 0.55), p["tissue_db"] + 8.0 + slow)
    rv_corner = -(septal * annulus + p["wall"] + p["rv_width"] * 0.95 + 0.2)
    scene.paint(1.1 * blob(tricuspid + 0.1, rv_corner, 0.5, 0.5), p["tissue_db"] + 6.0 + slow)
    not_septum = 1 - septum * 0.95
    blood = p["blood_db"]
    scene.paint(p["outflow"] * 1.2 * blob(length + 0.35, -septal * annulus * 0.7, 0.9, 0.75), blood)
    # The floors of the atria are never clean: side lobes of the bright wall behind, and what enters through the veins.
    floor_la = 9 * smoothstep((s - la_s) / (p["la_length"] * 0.5)) * (1 + 0.5 * field(0.6))
    floor_ra = 9 * smoothstep((s - ra_s) / (p["la_length"] * 0.45)) * (1 + 0.5 * field(0.6))
    for side in (-0.62, 0.7):
        vein = blob(la_s + p["la_length"] * 0.5, la_q + side * p["la_width"], 0.8, 0.28)
        scene.paint(p["veins"] * 0.9 * vein, blood + 4)
    for region, level in (
        (cavity, blood),
        (rv * (1 - muscle), blood + 5 + 3 * field(0.8)),
        (la * not_septum, blood - 2 + floor_la),
        (ra * not_septum, blood + floor_ra),
    ):
        scene.paint(region, level)
    for along, across, strength in ((0.52, 0.72, 0.9), (0.42, 0.55, 0.5)):
        scene.paint(strength * blob(length * along, lateral * across, 0.75, 0.22) * cavity, p["papillary_db"] + slow)
    band = -(septal + p["wall"] + p["rv_width"] * 0.35)
    scene.paint(0.8 * blob(length * 0.55, band, 0.22, 0.9) * rv, p["papillary_db"] - 3 + slow)

    texture = torch.exp(p["texture"] * smooth_field(seeds, 200, grid, (2.4, 2.4)))
    amplitude = from_decibel(scene.level) * texture
    scatter = counter_normal(seeds, 201, (LOOKS, *grid))
    # Band-limit slightly, taps 1 4 1 each way, so that sub-sample motion changes speckle smoothly; unit energy keeps
    # the echo level.
    scatter = F.pad(scatter, (1, 1, 1, 1), mode="reflect")
    scatter = 4 * scatter[..., 1:-1, :] + scatter[..., :-2, :] + scatter[..., 2:, :]
    scatter = 4 * scatter[..., 1:-1] + scatter[..., :-2] + scatter[..., 2:]
    return (amplitude / 18)[:, None] * scatter

"""The backward map in closed form: from a point of a frame to the place of its tissue in the end-diastolic atlas.

Per frame: image point -> LV frame (see pose.py) -> along the axis (L(t) -> L0) -> across it,
piecewise linear through endocardium, epicardium and the right ventricle's free wall. The epicardium follows from
incompressible muscle:
    w_epi(t)^2 = w(t)^2 + (w_epi0^2 - w0^2) L0 / L(t)
"""

import math
from dataclasses import dataclass

import torch

from echosynth.phantom.anatomy import PITCH, Q_MAX, Q_MIN, S_MAX, S_MIN, epicardium, rv_profile
from echosynth.phantom.motion import Cycle, Fields, Motion, compute_shape, profile, regional_pattern, smoothstep
from echosynth.phantom.pose import LVFrame


def _piecewise(x: torch.Tensor, now: list[torch.Tensor], then: list[torch.Tensor]) -> torch.Tensor:
    """Map x >= 0 so that now[k] goes to then[k], linearly in between, by a shift beyond the last."""
    out = x - now[-1] + then[-1]
    for k in range(len(now) - 1, -1, -1):
        from_now = now[k - 1] if k else torch.zeros_like(now[0])
        from_then = then[k - 1] if k else torch.zeros_like(then[0])
        slope = (then[k] - from_then) / (now[k] - from_now).clamp_min(1e-3)
        out = torch.where(x <= now[k], from_then + (x - from_now) * slope, out)
    return out


@dataclass(frozen=True)
class Tissue:
    """The tissue that a frame shows at some points of the LV frame, (B, T, R, A) each, cm.

    Attributes:
        s: where it is at end-diastole, along the axis.
        q: where it is at end-diastole, across, with the axis straightened (the ventricle's bow taken out).
        now: where it is in this frame, across, straightened.
        endo: half width of the cavity in this frame, on the point's side.
        epi: half width of the epicardium in this frame.
    """

    s: torch.Tensor
    q: torch.Tensor
    now: torch.Tensor
    endo: torch.Tensor
    epi: torch.Tensor


@dataclass(frozen=True)
class _Layers:
    """Half widths that bound the heart's layers at some places along the axis, at end-diastole (0) and now, cm."""

    endo0: torch.Tensor
    epi0: torch.Tensor
    rv0: torch.Tensor
    endo: torch.Tensor
    epi: torch.Tensor
    rv: torch.Tensor

    def bounds(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Where the layers end, (now, then); what lies beyond moves as a whole."""
        far = self.epi0 + self.rv0 + 3.0
        now = [self.endo, self.epi, self.epi + self.rv + 0.02, far]
        return now, [self.endo0, self.epi0, self.epi0 + self.rv0 + 0.02, far]


class _Map:
    """State shared by the backward and the forward map: a patient's shape in every frame, (B, T, 1, 1)."""

    def __init__(self, patient: Fields, cycle: Cycle, motion: Motion) -> None:
        self.p = {k: v.float()[:, None, None, None] for k, v in patient.items() if k != "seed"}
        shape = compute_shape(patient)
        self.length0, self.septal, self.lateral = (
            v.float()[:, None, None, None] for v in (shape.length, shape.septal, shape.lateral)
        )
        self.length, self.narrowing, self.contraction, self.late = (
            v.float()[:, :, None, None] for v in (motion.length, motion.narrowing, cycle.contraction, cycle.ejecting)
        )
        # The back of the atria stays; they stretch as the annulus descends.
        self.roof = self.length0 + self.p["la_length"] + 0.6

    def bow(self, s0: torch.Tensor) -> torch.Tensor:
        """How far the ventricle's axis is bent aside."""
        z01 = (s0 / self.length0).clamp(0, 1)
        return self.p["bow"] * 4 * z01 * (1 - z01)

    def layers(self, s0: torch.Tensor, is_lateral: torch.Tensor) -> _Layers:
        """The layers beside places s0 along the end-diastolic axis."""
        p, zeta = self.p, s0 / self.length0
        f = profile(zeta, p["z_max"], p["base_taper"], p["apex_power"])
        fade = 1 - smoothstep((zeta - 1.0) / 0.35)
        width = torch.where(is_lateral, self.lateral, self.septal)
        endo0 = width * f
        epi0 = torch.maximum(epicardium(s0, self.length0, width, p), endo0 + 0.25)
        rho = regional_pattern(p, zeta.clamp(0, 1), torch.where(is_lateral, 1.0, -1.0), self.late)
        endo = endo0 * (1 - self.narrowing * rho * fade)
        stretch = 1 + (self.length0 / self.length - 1) * smoothstep(zeta / 0.3) * fade
        epi = (endo * endo + (epi0 * epi0 - endo0 * endo0) * stretch).sqrt()
        rv0 = torch.where(is_lateral, 0.0, rv_profile(zeta, p))
        return _Layers(endo0, epi0, rv0, endo, epi, rv0 * (1 - p["rv_shortening"] * self.contraction * fade))


def find_tissue(patient: Fields, frame: LVFrame, cycle: Cycle, motion: Motion) -> Tissue:
    """The backward map: the tissue at points of a frame."""
    m = _Map(patient, cycle, motion)
    s, length0, length, roof = frame.s, m.length0, m.length, m.roof
    below = length0 + (s - length) * ((roof - length0) / (roof - length))
    s0 = torch.where(s < 0, s, torch.where(s < length, s * (length0 / length), torch.where(s < roof, below, s)))
    q = frame.q - m.bow(s0)
    is_lateral = q > 0
    layers = m.layers(s0, is_lateral)
    q0 = _piecewise(q.abs(), *layers.bounds())
    return Tissue(s0, torch.where(is_lateral, q0, -q0), q, layers.endo, layers.epi)


def outer_widths(
    patient: Fields, s: torch.Tensor, cycle: Cycle, motion: Motion
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where the epicardium is beside places along the axis of every frame.

    Args:
        patient: fields as (B,).
        s: (B, T, N), cm, at most the frame's length.
        cycle: timing.
        motion: shape.

    Returns:
        How far the axis is bent aside there, and the half widths on the septal and the lateral side, (B, T, N), cm.
    """
    m, now = _Map(patient, cycle, motion), s.float()[..., None]
    s0 = torch.where(now < 0, now, now * (m.length0 / m.length))
    septal, lateral = (m.layers(s0, torch.full_like(s0, side, dtype=torch.bool)).epi for side in (False, True))
    return m.bow(s0)[..., 0], septal[..., 0], lateral[..., 0]


def place_tissue(patient: Fields, s0: torch.Tensor, q0: torch.Tensor, cycle: Cycle, motion: Motion) -> LVFrame:
    """The forward map, inverse of `find_tissue`: where is this tissue now?

    Args:
        patient: fields as (B,).
        s0: place at end-diastole along the axis, (B, T, H, W), cm.
        q0: place at end-diastole across the straightened axis, (B, T, H, W), cm.
        cycle: timing, (B, T) or (B, 1).
        motion: shape, likewise.
    """
    m = _Map(patient, cycle, motion)
    length0, length, roof = m.length0, m.length, m.roof
    below = length + (s0 - length0) * ((roof - length) / (roof - length0))
    s = torch.where(s0 < 0, s0, torch.where(s0 < length0, s0 * (length / length0), torch.where(s0 < roof, below, s0)))
    is_lateral = q0 > 0
    now, then = m.layers(s0, is_lateral).bounds()
    q = _piecewise(q0.abs(), then, now)
    return LVFrame(s=s, q=torch.where(is_lateral, q, -q) + m.bow(s0))


def atlas_grid(patient: Fields, frame: LVFrame, cycle: Cycle, motion: Motion) -> torch.Tensor:
    """Sampling grid into the atlas, (B, T, R, A, 2) in grid_sample's [-1, 1]."""
    return to_atlas(find_tissue(patient, frame, cycle, motion))


def to_atlas(tissue: Tissue) -> torch.Tensor:
    """Where tissue lies in the atlas, (B, T, R, A, 2) in grid_sample's [-1, 1]."""
    # grid_sample with align_corners=False: -1 is the left edge of the first sample, half a pitch before its centre.
    u = (tissue.q - Q_MIN + PITCH / 2) / (math.ceil((Q_MAX - Q_MIN) / PITCH) * PITCH) * 2 - 1
    v = (tissue.s - S_MIN + PITCH / 2) / (math.ceil((S_MAX - S_MIN) / PITCH) * PITCH) * 2 - 1
    return torch.stack([u, v], dim=-1)

"""Mitral and tricuspid leaflets: four bright bands in the LV frame that open and close with the cycle.

A leaflet is a curve from its hinge on the annulus to its tip, thin at the belly and thicker at the tip, with cords
beyond it: closed, the tips meet at the coaptation point above the annulus; open, they point into the ventricle.
Lengths in cm.
"""

import math
from dataclasses import dataclass

import torch

from echosynth.phantom.amplitude import decay, from_decibel
from echosynth.phantom.anatomy import rv_profile
from echosynth.phantom.motion import Cycle, Fields, Motion, compute_shape, profile, regional_pattern
from echosynth.phantom.pose import LVFrame

Place = tuple[torch.Tensor, ...]
Patch = tuple[torch.Tensor, tuple[slice, slice]]
"""Amplitude (B, T, R', A'), and the ranges and beams that it belongs to; 0 everywhere else."""

CORD, MARGIN = 2.5, 0.75  # cm: length of cords, and distance from a leaflet at which its echo has vanished
COARSE = 4  # one in so many points of the polar grid is tested for being near a valve


@dataclass(frozen=True)
class _Leaflet:
    """One leaflet in the LV frame: places (s, q), cm, and sideways bend of the belly; (B, T, 1, 1) each."""

    hinge: Place
    tip: Place
    bend: torch.Tensor

    @property
    def length(self) -> torch.Tensor:
        (s0, q0), (s1, q1) = self.hinge, self.tip
        return ((s1 - s0) ** 2 + (q1 - q0) ** 2).sqrt().clamp_min(0.05)

    @property
    def direction(self) -> Place:
        return tuple((end - start) / self.length for start, end in zip(self.hinge, self.tip, strict=True))

    def span(self, axis: int) -> torch.Tensor:
        """From the hinge to the end of the cords, the two ends stacked: s for axis 0, q for axis 1."""
        return torch.stack([self.hinge[axis], self.tip[axis] + CORD * self.direction[axis]])

    def draw(self, frame: LVFrame, p: Fields) -> torch.Tensor:
        """Amplitude of the leaflet and its cords, (B, T, R, A), 1 on the leaflet's centre line."""
        length, (us, uq) = self.length, self.direction
        e, d = frame.s - self.hinge[0], frame.q - self.hinge[1]
        along, across = e * us + d * uq, d * us - e * uq
        share = along / length
        u = share.clamp(0, 1)
        miss = along - u * length
        # A belly near the hinge and a ripple towards the tip: leaflets are not straight.
        off = across - self.bend * 4 * u * (1 - u) - p["leaflet_billow"] * length * torch.sin(2 * math.pi * u) * 0.5
        thickness = p["valve_thickness"] * (1 + p["leaflet_tip"] * u * u)
        leaflet = decay((off * off + miss * miss) / (2 * thickness * thickness)) * (0.55 + 0.45 * u)
        # Cords go on from the tip towards the papillary muscles, ever fainter.
        beyond = (share - 1).clamp_min(0) * length
        cords = decay(off * off / (2 * (0.6 * thickness) ** 2) + beyond / 0.7)
        cords = cords * ((share > 1) & (beyond < CORD))
        return leaflet + from_decibel(p["chordae_db"]) * cords


def draw_valves(patient: Fields, frame: LVFrame, cycle: Cycle, motion: Motion) -> list[Patch]:
    """Echo amplitude of the mitral and of the tricuspid valve, each in the part of the picture where it is."""
    p = {k: v.float()[:, None, None, None] for k, v in patient.items() if k != "seed"}
    shape = compute_shape(patient)
    septal, lateral = (v.float()[:, None, None, None] for v in (shape.septal, shape.lateral))
    length, a, c, late, o = (
        v.float()[:, :, None, None]
        for v in (motion.length, motion.narrowing, cycle.contraction, cycle.ejecting, cycle.mitral)
    )
    one = torch.ones_like(septal)
    annulus = profile(one, p["z_max"], p["base_taper"], p["apex_power"])
    hinge_s = -septal * annulus * (1 - a * regional_pattern(p, one, -one, late))
    hinge_l = lateral * annulus * (1 - a * regional_pattern(p, one, one, late))
    width = hinge_l - hinge_s
    tv_s = length * (1 - p["tricuspid_offset"])
    near = hinge_s - p["wall"] * 1.1
    far = near - rv_profile(0.93 * one, p) * (1 - p["rv_shortening"] * c)
    tv_width = near - far
    meet, tent = hinge_s + 0.60 * width, 0.30 + 0.10 * c
    front = (
        (length - tent) * (1 - o) + (length - 0.62 * width) * o,
        meet * (1 - o) + (hinge_s + 0.18 * width) * o,
    )
    back = (
        (length - tent) * (1 - o) + (length - 0.40 * width) * o,
        meet * (1 - o) + (hinge_l - 0.06 * width) * o,
    )
    mitral = _Leaflet((length, hinge_s), front, 0.06 - 0.20 * o), _Leaflet((length, hinge_l), back, 0.13 * o - 0.05)

    middle = near - 0.5 * tv_width
    septal_tip = (
        (tv_s - 0.35) * (1 - o) + (tv_s - 0.45 * tv_width) * o,
        middle * (1 - o) + (near - 0.10 * tv_width) * o,
    )
    front_tip = (
        (tv_s - 0.35) * (1 - o) + (tv_s - 0.50 * tv_width) * o,
        middle * (1 - o) + (far + 0.08 * tv_width) * o,
    )
    tricuspid = _Leaflet((tv_s, near), septal_tip, 0.15 * o - 0.05), _Leaflet((tv_s, far), front_tip, 0.05 - 0.15 * o)

    level = from_decibel(p["valve_db"])
    return [_draw_valve(frame, mitral, (1.0, 0.8), level, p), _draw_valve(frame, tricuspid, (0.5, 0.5), level, p)]


def _draw_valve(
    frame: LVFrame, leaflets: tuple[_Leaflet, _Leaflet], strengths: tuple[float, float], level: torch.Tensor, p: Fields
) -> Patch:
    """Both leaflets of a valve, in the ranges and beams in which they or their cords leave an echo."""
    inside = torch.ones(1, dtype=torch.bool, device=frame.s.device)
    for axis, places in enumerate((frame.s, frame.q)):
        ends = torch.cat([leaflet.span(axis) for leaflet in leaflets])
        coarse = places[..., ::COARSE, ::COARSE]
        inside = inside & (coarse > ends.amin(0) - MARGIN) & (coarse < ends.amax(0) + MARGIN)
    rows, columns = _span(inside.any(dim=3)), _span(inside.any(dim=2))
    near = LVFrame(frame.s[..., rows, columns], frame.q[..., rows, columns])
    first, second = (s * leaflet.draw(near, p) for s, leaflet in zip(strengths, leaflets, strict=True))
    return level * (first + second), (rows, columns)


def _span(inside: torch.Tensor) -> slice:
    """From the first to the last place that is inside anywhere, by every `COARSE`-th along the last axis: (B, T, N)."""
    places = COARSE * torch.nonzero(inside.flatten(0, 1).any(dim=0)).flatten()
    if not len(places):
        return slice(0, 0)
    return slice(max(0, int(places[0]) - COARSE + 1), int(places[-1]) + COARSE)

"""Mitral and tricuspid leaflets: four thin bright arcs in the LV frame that open and close with the cycle.

A leaflet is a parabola from its hinge on the annulus to its tip: closed, the tips meet at the coaptation point above
the annulus; open, they point into the ventricle. Lengths in cm.
"""

import torch

from echosynth.phantom.anatomy import rv_profile
from echosynth.phantom.motion import Cycle, Fields, Motion, compute_shape, profile, regional_pattern
from echosynth.phantom.warp import LVFrame


def _leaflet(
    frame: LVFrame,
    hinge: tuple[torch.Tensor, torch.Tensor],
    tip: tuple[torch.Tensor, torch.Tensor],
    bend: torch.Tensor,
    thickness: torch.Tensor,
) -> torch.Tensor:
    """Amplitude of one leaflet, (B, T, R, A), 1 on its centre line."""
    ls, lq = tip[0] - hinge[0], tip[1] - hinge[1]
    length = (ls * ls + lq * lq).sqrt().clamp_min(0.05)
    us, uq = ls / length, lq / length
    e, d = frame.s - hinge[0], frame.q - hinge[1]
    along, across = e * us + d * uq, d * us - e * uq
    u = (along / length).clamp(0, 1)
    miss = along - u * length
    off = across - bend * 4 * u * (1 - u)
    return torch.exp(-(off * off + miss * miss) / (2 * thickness * thickness))


def draw_valves(patient: Fields, frame: LVFrame, cycle: Cycle, motion: Motion) -> torch.Tensor:
    """Echo amplitude of all four leaflets, (B, T, R, A)."""
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
    meet, tent = hinge_s + 0.60 * width, 0.30 + 0.10 * c
    thick = p["valve_thickness"]
    front = (
        (length - tent) * (1 - o) + (length - 0.62 * width) * o,
        meet * (1 - o) + (hinge_s + 0.18 * width) * o,
    )
    back = (
        (length - tent) * (1 - o) + (length - 0.40 * width) * o,
        meet * (1 - o) + (hinge_l - 0.06 * width) * o,
    )
    mitral = _leaflet(frame, (length, hinge_s), front, 0.06 - 0.20 * o, thick)
    mitral = mitral + 0.8 * _leaflet(frame, (length, hinge_l), back, 0.13 * o - 0.05, thick)

    tv_s = length * (1 - p["tricuspid_offset"])
    near = hinge_s - p["wall"] * 1.1
    far = near - rv_profile(0.93 * one, p) * (1 - p["rv_shortening"] * c)
    tv_width = near - far
    middle = near - 0.5 * tv_width
    septal_tip = (
        (tv_s - 0.35) * (1 - o) + (tv_s - 0.45 * tv_width) * o,
        middle * (1 - o) + (near - 0.10 * tv_width) * o,
    )
    front_tip = (
        (tv_s - 0.35) * (1 - o) + (tv_s - 0.50 * tv_width) * o,
        middle * (1 - o) + (far + 0.08 * tv_width) * o,
    )
    tricuspid = _leaflet(frame, (tv_s, near), septal_tip, 0.15 * o - 0.05, thick)
    tricuspid = tricuspid + _leaflet(frame, (tv_s, far), front_tip, 0.05 - 0.15 * o, thick)
    level = 10 ** (p["valve_db"] / 20)
    return level * (mitral + 0.5 * tricuspid)

"""Where the heart is carried, and how it is bent: all motion that is no contraction.

A failing heart moves nearly as much as a good one; it only ejects less. So hardly any of this depends on EF, and none
of it changes a volume: the heart swings and rocks as a whole, breath and hand carry it, bending shifts the discs of the
left ventricle sideways without narrowing them, and what flows beyond the ventricle's muscle (right heart, atria,
surroundings) leaves it in peace. Both clips of a counterfactual pair are carried alike, bit for bit at end-diastole.

    with the beat   a sin(2 pi beat + p1) + (1 - a) sin(4 pi beat + p2)
    breath          sin(2 pi f t + p)
    hand            (sin(2 pi f1 t + p1) + sin(2 pi f2 t + p2)) / 2

What sizes real hearts show: docs/explanation/real-hearts.md.
"""

import math
from dataclasses import dataclass

import torch

from echosynth.phantom.motion import Cycle, Fields, Motion, compute_shape, smoothstep
from echosynth.phantom.noise import counter_uniform_pair

STREAM = 910  # of phases and directions
WAVES = 3  # of the flow around the ventricle, each way
ROOM = 1.2  # cm around the left ventricle in which nothing flows
TURNS = 24  # fixed-point steps that invert the flow


@dataclass(frozen=True)
class Pose:
    """The left ventricle in the probe's frame, (B, T) each unless said otherwise.

    Attributes:
        x: of the apex, cm to the right.
        z: of the apex, cm down.
        tilt: of the axis, rad.
        length: of the axis, cm.
        bend: how far its middle, and its quarters, are bent aside, cm, (B, T, 2).
        flow: strength of the flow around the ventricle, along and across the axis, cm, (B, T, 2, WAVES).
        room_along: half axis, along the ventricle's, of the ellipse in which nothing flows, cm, (B,).
        room_across: its other half axis, cm, (B,).
        seed: of the flow's waves, int64 (B,).
    """

    x: torch.Tensor
    z: torch.Tensor
    tilt: torch.Tensor
    length: torch.Tensor
    bend: torch.Tensor
    flow: torch.Tensor
    room_along: torch.Tensor
    room_across: torch.Tensor
    seed: torch.Tensor


@dataclass(frozen=True)
class LVFrame:
    """Points in the frame of the ventricle, straight and at rest, (B, T, R, A) each, cm: s along, q across."""

    s: torch.Tensor
    q: torch.Tensor


class _Courses:
    """Courses in time that differ from patient to patient, each of unit size, (B, T)."""

    def __init__(self, patient: Fields, cycle: Cycle) -> None:
        self.seed, self.cycle = patient["seed"], cycle
        self.drawn = 0

    def _uniform(self) -> torch.Tensor:
        """A number in (0, 1) of every patient, (B, 1)."""
        self.drawn += 1
        return counter_uniform_pair(self.seed, STREAM + self.drawn, 1)[0].double()

    def _wave(self, turns: torch.Tensor) -> torch.Tensor:
        return torch.sin(2 * math.pi * (turns + self._uniform()))

    def with_beat(self) -> torch.Tensor:
        share = 0.4 + 0.6 * self._uniform()
        return share * self._wave(self.cycle.beat) + (1 - share) * self._wave(2 * self.cycle.beat)

    def breath(self, rate: torch.Tensor) -> torch.Tensor:
        return self._wave(rate * self.cycle.time)

    def hand(self) -> torch.Tensor:
        slow, fast = 0.1 + 0.15 * self._uniform(), 0.3 + 0.4 * self._uniform()
        return 0.5 * self._wave(slow * self.cycle.time) + 0.5 * self._wave(fast * self.cycle.time)


def compute_pose(patient: Fields, view: Fields, cycle: Cycle, motion: Motion) -> Pose:
    """Where contraction, beat, breath and hand carry the heart; a share of `swing` alone follows EF."""

    def col(fields: Fields, name: str) -> torch.Tensor:
        return fields[name].double()[:, None]

    course = _Courses(patient, cycle)
    breath = 2 * math.pi * 0.25 * cycle.time
    swing = col(patient, "swing") * cycle.contraction * motion.ef.double()[:, None] / 60.0
    amplitude = col(patient, "respiration")
    rest = torch.deg2rad(col(view, "tilt"))
    tilt = rest + 0.1 * amplitude * torch.sin(breath) + 0.2 * swing
    rocked = tilt + torch.deg2rad(col(patient, "rocking")) * course.with_beat()
    # The heart rocks about a point of its axis.
    pivot = col(patient, "rocking_pivot") * col(patient, "edv") ** (1 / 3) * 2
    x = amplitude * torch.sin(breath + 0.4) - swing + pivot * (torch.sin(tilt) - torch.sin(rocked))
    z = 1.2 * amplitude * torch.sin(breath) + 0.6 * swing + pivot * (torch.cos(tilt) - torch.cos(rocked))
    carried = col(patient, "carrying")
    deep = col(patient, "breathing") * course.breath(col(patient, "breath_rate"))
    hand = col(patient, "hand")
    x = x + carried * course.with_beat() + 0.5 * deep + hand * course.hand()
    z = z + 0.7 * carried * course.with_beat() + deep + hand * course.hand()
    bending = col(patient, "bending")
    bend = torch.stack([bending * course.with_beat(), 0.6 * bending * course.with_beat()], -1)
    flow = torch.stack([torch.stack([course.with_beat() for _ in range(WAVES)], -1) for _ in range(2)], -2)
    shape = compute_shape(patient)
    width = torch.maximum(shape.septal, shape.lateral) + patient["wall"].double()
    return Pose(
        x=col(view, "heart_x") + x,
        z=col(view, "heart_z") + z,
        tilt=rocked + 0.1 * hand * course.hand(),
        length=motion.length,
        bend=bend,
        flow=flow * patient["flow"].double()[:, None, None, None],
        room_along=0.5 * shape.length + ROOM,
        room_across=width + patient["bending"].double() + ROOM,
        seed=patient["seed"],
    )


def bend_aside(s: torch.Tensor, pose: Pose) -> torch.Tensor:
    """How far the axis is bent aside at places s (B, T, ...) along it, cm; not at its ends, nor beyond them."""
    dims = s.ndim - 2
    length, half, whole = (v.to(s).reshape(*v.shape, *[1] * dims) for v in (pose.length, *pose.bend.unbind(-1)))
    turn = math.pi * (s / length).clamp(0, 1)
    return half * torch.sin(turn) + whole * torch.sin(2 * turn)


def flow_around(s: torch.Tensor, q: torch.Tensor, pose: Pose) -> tuple[torch.Tensor, torch.Tensor]:
    """How far what lies beyond the left ventricle is carried along the axis and across it, cm, (B, T, R, A) each."""
    along, across = (v.float().view(-1, 1, 1, 1) for v in (pose.room_along, pose.room_across))
    outside = ((s - along + ROOM) / along) ** 2 + (q / across) ** 2 - 1
    free = smoothstep(outside)
    numbers = torch.stack(counter_uniform_pair(pose.seed, STREAM, 2 * WAVES), 1).view(-1, 2, 2, WAVES)
    moved = []
    for way in range(2):
        total = torch.zeros_like(s)
        for k in range(WAVES):
            # Waves of 8 to 16 cm, in a direction of their own.
            number = 2 * math.pi / (8 + 8 * numbers[:, 0, way, k])
            angle = 2 * math.pi * numbers[:, 1, way, k]
            a, b, begin = (v.view(-1, 1, 1, 1) for v in (number * angle.cos(), number * angle.sin(), 5 * angle))
            strength = pose.flow[:, :, way, k].float()[:, :, None, None]
            total = total + strength * torch.sin(a * s + b * q + begin)
        moved.append(free * total)
    return moved[0], moved[1]


def to_lv_frame(x: torch.Tensor, z: torch.Tensor, pose: Pose) -> LVFrame:
    """Probe coordinates (B, 1, R, A), cm, in the frame of the ventricle, for every video frame."""
    ax, az, tilt = (v.float()[:, :, None, None] for v in (pose.x, pose.z, pose.tilt))
    dx, dz, sine, cosine = x - ax, z - az, torch.sin(tilt), torch.cos(tilt)
    s, q = dx * sine + dz * cosine, dx * cosine - dz * sine
    if bool(pose.flow.any()):
        along, across = flow_around(s, q, pose)
        s, q = s - along, q - across
    return LVFrame(s=s, q=q - bend_aside(s, pose))


def from_lv_frame(frame: LVFrame, pose: Pose) -> tuple[torch.Tensor, torch.Tensor]:
    """Probe coordinates x and z of points of the LV frame, (B, T, H, W) each, cm; inverse of `to_lv_frame`."""
    ax, az, tilt = (v.float()[:, :, None, None] for v in (pose.x, pose.z, pose.tilt))
    sine, cosine = torch.sin(tilt), torch.cos(tilt)
    s = still_s = frame.s
    q = still_q = frame.q + bend_aside(frame.s, pose)
    for _ in range(TURNS if bool(pose.flow.any()) else 0):
        along, across = flow_around(s, q, pose)
        s, q = still_s + along, still_q + across
    return ax + s * sine + q * cosine, az + s * cosine - q * sine

"""Time -> volume -> shape of the left ventricle, exact by the 20-disc method.

    V(t) = EDV (1 - EF c(t)),  c in [0, 1], 0 at end-diastole, 1 at end-systole
    L(t) = L0 (1 - (k EF + e) c(t))                                 k = long_axis_share, e = excursion
    w_side(z, t) = w_side(z, 0) (1 - a(t) rho_side(z, t))           rho: regional pattern, 1 everywhere in a healthy
    heart a(t) solves  (pi/4)(L/N) sum_i (w_septal + w_lateral)_i^2 = V   a quadratic, so EF is exact for any rho

All fields of a patient come as (B,) tensors; geometry is float64 so that EF holds to 1e-4. Source of the method of
discs: ASE/EACVI 2015.
"""

import math
from dataclasses import dataclass

import torch

from echosynth.cardiac.landmarks import CHORDS
from echosynth.phantom.amplitude import decay
from echosynth.phantom.noise import counter_normal

SHORTEST_BEAT_S = 0.42  # what ejection, relaxation and filling need
Fields = dict[str, torch.Tensor]


def smoothstep(x: torch.Tensor) -> torch.Tensor:
    """3x^2 - 2x^3 on [0, 1], constant outside."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def profile(z: torch.Tensor, z_max: torch.Tensor, base_taper: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Half width of the endocardium along the axis as a share of its largest value; z 0 apex, 1 annulus; any shape."""
    z = z.clamp(0, 1)
    apical = (1 - (1 - z / z_max).clamp(0, 1) ** power).clamp_min(0).sqrt()
    basal = 1 - base_taper * ((z - z_max) / (1 - z_max)).clamp_min(0) ** 2
    return torch.where(z < z_max, apical, basal)


@dataclass(frozen=True)
class Shape:
    """End-diastolic geometry, (B,) each, cm: axis length, septal and lateral half width."""

    length: torch.Tensor
    septal: torch.Tensor
    lateral: torch.Tensor


def disc_centres(like: torch.Tensor) -> torch.Tensor:
    """Middle of each disc along the axis, (20,), in (0, 1)."""
    return (torch.arange(CHORDS, dtype=like.dtype, device=like.device) + 0.5) / CHORDS


def disc_profile(patient: Fields) -> torch.Tensor:
    """`profile` at the disc centres, float64 (B, 20)."""
    p = {k: patient[k].double()[:, None] for k in ("z_max", "base_taper", "apex_power")}
    return profile(disc_centres(patient["edv"].double()), p["z_max"], p["base_taper"], p["apex_power"])


def compute_shape(patient: Fields) -> Shape:
    """Solve the method of discs for the axis length that holds EDV."""
    mean_square = (disc_profile(patient) ** 2).mean(1)
    sphericity = patient["sphericity"].double()
    length = (patient["edv"].double() / (math.pi / 4 * sphericity**2 * mean_square)) ** (1 / 3)
    width = sphericity * length
    share = patient["septal_share"].double()
    return Shape(length, width * share, width * (1 - share))


@dataclass(frozen=True)
class Cycle:
    """Where in the heart's cycle each frame is, (B, T) each.

    Attributes:
        contraction: c, 0 at end-diastole, 1 at end-systole.
        ejecting: signed asynchrony phase: > 0 while ejecting, < 0 while filling, 0 at both ends.
        mitral: opening of the mitral valve, 0-1.
        time: seconds since the clip's start.
        beat: beats that have passed since the first one began.
    """

    contraction: torch.Tensor
    ejecting: torch.Tensor
    mitral: torch.Tensor
    time: torch.Tensor
    beat: torch.Tensor


def _beat_position(
    patient: Fields, time: torch.Tensor, start_phase: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Seconds into the current beat, that beat's length, and how many beats ended before it, (B, T) each.

    Beats differ in length: by a little in sinus rhythm (rr_jitter), without any order in atrial fibrillation
    (rr_chaos), and a premature one lasts 0.65 of a beat, the one after it 1.35.
    """
    mean_rr = 60.0 / patient["heart_rate"].double()
    jitter, chaos, early = (counter_normal(patient["seed"], k, (256,)).double() for k in (900, 901, 902))
    lengths = mean_rr[:, None] * (1 + patient["rr_jitter"].double()[:, None] * jitter.clamp(-2.5, 2.5))
    lengths = lengths * torch.exp(patient["rr_chaos"].double()[:, None] * chaos.clamp(-2.5, 2.5))
    # A standard normal's distribution function makes the third stream uniform.
    comes_early = torch.special.ndtr(early) < patient["premature"].double()[:, None]
    comes_early[:, 1:] &= ~comes_early[:, :-1]
    after = torch.cat([torch.zeros_like(comes_early[:, :1]), comes_early[:, :-1]], dim=1)
    lengths = (lengths * torch.where(comes_early, 0.65, torch.where(after, 1.35, 1.0))).clamp_min(SHORTEST_BEAT_S)
    ends = lengths.cumsum(1)
    x = time + (start_phase.double() * lengths[:, 0])[:, None]
    if bool((x.max(dim=1).values >= ends[:, -1]).any()):
        raise ValueError("a phantom clip can be at most 256 beats long")
    beat = torch.searchsorted(ends, x.contiguous(), right=True)
    begin = torch.where(beat > 0, ends.gather(1, (beat - 1).clamp_min(0)), torch.zeros_like(x))
    return x - begin, lengths.gather(1, beat), beat


def compute_cycle(patient: Fields, time: torch.Tensor, start_phase: torch.Tensor) -> Cycle:
    """Cardiac timing; it does not depend on EF, so both clips of a counterfactual pair beat together.

    Isovolumic contraction 50 ms, ejection 413 - 1.7 HR ms (Weissler), isovolumic relaxation 80 ms, then E wave,
    diastasis, A wave.

    Args:
        patient: fields as (B,).
        time: (T,) seconds.
        start_phase: (B,), share of the first beat that has passed at time 0.
    """
    time = time.double()[None].expand(len(start_phase), -1)
    x, rr, number = _beat_position(patient, time, start_phase)
    rate = 60.0 / rr
    t1 = torch.full_like(rr, 0.05)
    ejection = (0.413 - 0.0017 * rate).clamp_min(0.12)
    t2 = t1 + ejection
    t3 = t2 + 0.08
    diastole = (rr - t3).clamp_min(0.06)
    early = patient["early_filling"].double()[:, None]
    # Without an A wave all of diastole is left to fill in.
    e_wave = (torch.where(early < 1, 0.42, 0.85) * diastole).clamp_max(0.20)
    a_wave = (0.28 * diastole).clamp_max(0.13)
    t4, t5 = t3 + e_wave, rr - a_wave
    eject = ((x - t1) / ejection).clamp(0, 1)
    systole = 0.5 - 0.5 * torch.cos(math.pi * eject**0.88)
    drift = (0.3 * (1 - early)).clamp_max(0.08)
    # The A wave ends a little before the beat does, so that the end-diastolic plateau is met by a frame at low rates
    # too.
    fill_e = smoothstep((x - t3) / e_wave)
    fill_d = ((x - t4) / (t5 - t4).clamp_min(1e-3)).clamp(0, 1)
    fill_a = smoothstep((x - t5) / a_wave * 1.02)
    fill = early * fill_e + drift * fill_d + (1 - early - drift) * fill_a
    relaxed = (x > t3).double()
    c = (systole - fill * relaxed).clamp(0, 1)

    def bump(u: torch.Tensor, power: float) -> torch.Tensor:
        return torch.sin(math.pi * u.clamp(0, 1)).clamp_min(0) ** power

    e_open = bump((x - t3 + 0.01) / (e_wave + 0.05), 0.7) * (x > t3 - 0.01)
    rest = 0.28 * smoothstep((x - t3) / 0.1) * (1 - smoothstep((x - rr + 0.05) / 0.06)) * relaxed
    a_open = 0.75 * bump((x - t5 + 0.01) / a_wave, 0.8) * (x > t5 - 0.01) * (early < 1)
    mitral = torch.maximum(torch.maximum(e_open, rest), a_open).clamp(0, 1)
    ejecting = torch.sin(math.pi * c) * (1 - 2 * relaxed)
    return Cycle(c, ejecting, mitral, time, number + x / rr)


def regional_pattern(patient: Fields, z: torch.Tensor, side: torch.Tensor, ejecting: torch.Tensor) -> torch.Tensor:
    """rho: how strongly each piece of wall contracts, 1 the average; all arguments broadcast together.

    Args:
        patient: fields shaped to broadcast against z.
        z: place along the axis, 0-1.
        side: -1 septal, +1 lateral.
        ejecting: `Cycle.ejecting`, shaped to broadcast.
    """
    weak = decay(((z - patient["regional_z"]) / 0.28) ** 2) * (1 + side * patient["regional_side"]).clamp_max(1.0)
    late = -side * patient["asynchrony"] * ejecting
    return (1 + patient["gradient"] * (2 * z - 1) - patient["regional"] * weak) * (1 + late)


@dataclass(frozen=True)
class Motion:
    """The LV through the clip, (B, T) each.

    Attributes:
        length: axis length, cm.
        narrowing: a, share by which an average wall has moved in.
        volume: ml, by the 20-disc method.
        contraction: c; times EF (0-1) it is the ejected share of EDV.
        ef: (B,), per cent.
    """

    length: torch.Tensor
    narrowing: torch.Tensor
    volume: torch.Tensor
    contraction: torch.Tensor
    ef: torch.Tensor


def _column(patient: Fields, dims: int) -> Fields:
    return {k: v.double().reshape(-1, *([1] * dims)) for k, v in patient.items()}


def disc_widths(patient: Fields, narrowing: torch.Tensor, ejecting: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Septal and lateral half widths of the 20 discs, float64 (B, T, 20) each, cm."""
    shape, f = compute_shape(patient), disc_profile(patient)[:, None]
    p = _column(patient, 2)
    z, late, a = disc_centres(f), ejecting.double()[..., None], narrowing[..., None]
    one = torch.ones_like(f)
    septal = shape.septal[:, None, None] * f * (1 - a * regional_pattern(p, z, -one, late))
    lateral = shape.lateral[:, None, None] * f * (1 - a * regional_pattern(p, z, one, late))
    return septal, lateral


def compute_motion(patient: Fields, cycle: Cycle, ef: torch.Tensor) -> Motion:
    """Solve for the shape that has exactly the volume EDV (1 - EF c).

    Args:
        patient: fields as (B,).
        cycle: timing.
        ef: (B,), per cent.

    Raises:
        ValueError: EF and regional pattern cannot both hold: the weak segments leave too little wall to eject the
            blood.
    """
    shape, f = compute_shape(patient), disc_profile(patient)[:, None]
    p = _column(patient, 2)
    c = cycle.contraction.double()
    fraction = ef.double()[:, None] / 100.0
    shortening = patient["long_axis_share"].double()[:, None] * fraction + patient["excursion"].double()[:, None]
    length = shape.length[:, None] * (1 - shortening * c)
    volume = patient["edv"].double()[:, None] * (1 - fraction * c)
    z, late, one = disc_centres(f), cycle.ejecting.double()[..., None], torch.ones_like(f)
    rho_s, rho_l = regional_pattern(p, z, -one, late), regional_pattern(p, z, one, late)
    septal, lateral = shape.septal[:, None, None] * f, shape.lateral[:, None, None] * f
    still, moving = (septal + lateral).expand_as(rho_s), septal * rho_s + lateral * rho_l
    s00, s01, s11 = (still**2).sum(-1), (still * moving).sum(-1), (moving**2).sum(-1)
    wanted = volume / (math.pi / 4 * length / CHORDS)
    root = s01**2 - s11 * (s00 - wanted)
    a = (s01 - root.clamp_min(0).sqrt()) / s11
    strongest = (a[..., None] * torch.maximum(rho_s, rho_l)).amax(dim=(1, 2))
    if bool((root < 0).any()) or bool((strongest > 0.88).any()):
        raise ValueError(
            f"EF {[round(float(e), 1) for e in ef]} cannot be reached with this regional wall motion: "
            "the segments that still move would have to pass the axis"
        )
    return Motion(length, a, volume, c, ef)

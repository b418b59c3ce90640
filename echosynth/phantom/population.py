"""Who is simulated: patients, kinds of hearts and rhythms, and EF, each drawn from a seed."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, HIGHEST_PHANTOM_EF, LOWEST_DRAWN_EF
from echosynth.phantom.kinds import Heart, Rhythm
from echosynth.phantom.patient import Patient
from echosynth.seeding import derive_seed

DEAD = 0.9
"""Amplitude of wall-motion differences from which a segment stands still."""

# Kinds of hearts: fields of a sampled patient that are drawn anew, from these ranges.
HEARTS: dict[Heart, dict[str, tuple[float, float]]] = {
    "any": {},
    "normal": {"edv": (65.0, 140.0), "sphericity": (0.48, 0.6), "wall": (0.6, 1.0), "regional": (0.0, 0.0)},
    "dilated": {"edv": (170.0, 280.0), "sphericity": (0.62, 0.8), "wall": (0.6, 0.9), "regional": (0.0, 0.3)},
    "hypertrophic": {"edv": (50.0, 100.0), "sphericity": (0.46, 0.58), "wall": (1.3, 1.7), "regional": (0.0, 0.0)},
    "regional": {"regional": (0.5, 1.0)},  # a segment somewhere that moves less
    # A wall that does not move at all (1) or moves the wrong way (above 1).
    "apical": {"regional": (DEAD, 1.35), "regional_z": (0.0, 0.2), "regional_side": (0.0, 0.0)},
    "septal": {"regional": (DEAD, 1.35), "regional_z": (0.25, 0.6), "regional_side": (-1.0, -1.0)},
    "lateral": {"regional": (DEAD, 1.35), "regional_z": (0.25, 0.6), "regional_side": (1.0, 1.0)},
    # All walls alike, and the base hardly comes down.
    "global": {
        "regional": (0.0, 0.0),
        "asynchrony": (0.0, 0.0),
        "gradient": (0.0, 0.0),
        "long_axis_share": (0.06, 0.12),
    },
}
HIGHEST_OF_HEART: dict[str, float] = {"apical": 70.0, "septal": 70.0, "lateral": 70.0, "global": 45.0}
"""Highest EF of these kinds, per cent: beyond it the living walls would meet, or no wall would be weak."""
RHYTHMS: dict[Rhythm, dict[str, float]] = {
    "sinus": {},
    "atrial fibrillation": {"rr_chaos": 0.2, "early_filling": 1.0},  # no A wave
    "premature beats": {"premature": 0.2},
}
# Motion that is no contraction. With these ranges phantoms of any EF move as much as real hearts do
# (docs/explanation/real-hearts.md); all are drawn independently of EF and of one another.
BULK_MOTION = {
    "excursion": (0.0, 0.09),
    "rocking": (0.4, 6.6),
    "rocking_pivot": (0.0, 1.0),
    "carrying": (0.04, 0.4),
    "bending": (0.04, 0.42),
    "breathing": (0.0, 0.4),
    "breath_rate": (0.15, 0.5),
    "hand": (0.0, 0.44),
    "flow": (0.05, 0.4),
    "decorrelation": (0.2, 1.0),  # what is carried away no longer has to be new speckle
    "drift": (0.05, 0.6),
}
REMODELLING = -2.0  # change of ln EDV per unit of EF: what EchoNet-Dynamic's moments imply


def sample_patient(seed: int, heart: str = "any", rhythm: str = "sinus", bulk_motion: bool = True) -> Patient:
    """Draw a patient; the same arguments always give the same patient.

    Args:
        seed: who.
        heart: of `HEARTS`.
        rhythm: of `RHYTHMS`.
        bulk_motion: with motion that is no contraction, see `BULK_MOTION`; without it a heart of low EF hardly moves.

    Raises:
        ValueError: there is no such heart or rhythm.
    """
    if heart not in HEARTS or rhythm not in RHYTHMS:
        raise ValueError(
            f"heart must be one of {', '.join(HEARTS)}, rhythm of {', '.join(RHYTHMS)}; got {heart!r}, {rhythm!r}"
        )
    drawn = _draw_patient(seed)
    if bulk_motion:
        draws = _Draws(seed, "bulk motion")
        moving: dict[str, Any] = {name: draws.uniform(*limits) for name, limits in BULK_MOTION.items()}
        drawn = replace(drawn, **moving)
    place = np.random.default_rng(derive_seed(seed, "heart"))
    changes: dict[str, Any] = {name: float(place.uniform(*limits)) for name, limits in HEARTS[heart].items()}
    seen = foreshorten(replace(drawn, **changes | RHYTHMS[rhythm]), drawn.foreshortening)
    return _weaken_until_able(seen, highest_ef(heart), DEAD if heart in ("apical", "septal", "lateral") else 0.0)


def highest_ef(heart: str) -> float:
    """Every patient with this heart can be rendered at any EF up to this, per cent."""
    return HIGHEST_OF_HEART.get(heart, HIGHEST_PHANTOM_EF)


def foreshorten(patient: Patient, share: float) -> Patient:
    """The heart as a plane shows it that misses the true apex by a share of the long axis.

    The cut shows a shorter and rounder ventricle with a thicker, blunter false apex and less longitudinal shortening.
    EF and volumes are those of the visible outline, as a reader would trace it.
    """
    return replace(
        patient,
        edv=patient.edv * (1 - share),
        sphericity=min(0.85, patient.sphericity / (1 - share)),
        apex_power=patient.apex_power * (1 + 2 * share),
        wall_apex=patient.wall_apex * (1 + 2 * share),
        long_axis_share=patient.long_axis_share * (1 - 2 * share),
        foreshortening=share,
    )


def remodel(patient: Patient, ef: float) -> Patient:
    """Change EDV as after years with this EF, per cent: weak ventricles dilate, EDV exp(-2 (EF - 55.7) / 100)."""
    edv = float(np.clip(patient.edv * math.exp(REMODELLING * (ef - 55.7) / 100), 20.0, 550.0))
    return replace(patient, edv=edv)


def _weaken_until_able(patient: Patient, highest: float, dead: float) -> Patient:
    """Weaken the regional pattern until the heart can show every EF that may be asked of it.

    `dead` is the least regional amplitude: a segment that stands still keeps doing so, and only the other differences
    are weakened further.
    """
    while not patient.can_reach(highest):
        patient = replace(
            patient,
            regional=max(patient.regional * 0.7, dead),
            asynchrony=patient.asynchrony * 0.7,
            gradient=patient.gradient * 0.7,
        )
    return patient


class _Draws:
    """Draws from one stream of a seed, one after the other."""

    def __init__(self, seed: int, stream: str) -> None:
        self.rng = np.random.default_rng(derive_seed(seed, stream))

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def normal(self, mean: float, std: float, low: float, high: float) -> float:
        """Cut off at both limits."""
        return float(np.clip(self.rng.normal(mean, std), low, high))

    def sometimes(self, probability: float, low: float, high: float) -> float:
        draw, value = self.rng.uniform(), self.uniform(low, high)
        return value if draw < probability else 0.0


def _draw_patient(seed: int) -> Patient:
    draws = _Draws(seed, "patient")
    fields = _draw_shape(draws) | _draw_motion(draws) | _draw_echoes(draws)
    # What came later has a stream of its own, so that it moves no earlier draw.
    return Patient(seed=seed, **fields, **_draw_details(_Draws(seed, "detail")))


def _draw_shape(draws: _Draws) -> dict[str, float]:
    """Sizes and shapes of chambers and walls."""
    u = draws.uniform
    edv = float(np.clip(np.exp(draws.rng.normal(np.log(95.0), 0.42)), 35.0, 280.0))
    large = float(np.clip(np.log(edv / 95.0), -1.0, 1.0))  # large ventricles are rounder
    return {
        "edv": edv,
        "sphericity": float(np.clip(u(0.46, 0.68) + 0.08 * large, 0.42, 0.82)),
        "z_max": u(0.52, 0.72),
        "base_taper": u(0.12, 0.38),
        "apex_power": u(1.8, 3.2),
        "septal_share": u(0.43, 0.57),
        "bow": u(-0.5, 0.5),
        "wall": u(0.6, 1.35) if draws.rng.uniform() < 0.8 else u(1.1, 1.7),
        "wall_apex": u(0.4, 1.0),
        "rv_width": u(1.6, 4.2),
        "rv_apex": u(0.08, 0.4),
        "rv_shortening": u(0.1, 0.4),
        "la_length": u(3.2, 6.6),
        "la_width": u(1.4, 3.0),
        "ra_width": u(1.3, 2.9),
        "tricuspid_offset": u(0.02, 0.11),
    }


def _draw_motion(draws: _Draws) -> dict[str, float]:
    """Timing and wall motion."""
    u = draws.uniform
    return {
        "heart_rate": draws.normal(74.0, 17.0, 45.0, 120.0),
        "rr_jitter": u(0.0, 0.06),
        "early_filling": u(0.5, 0.8),
        "long_axis_share": u(0.12, 0.3),
        "regional": draws.sometimes(0.4, 0.2, 1.0),
        "regional_z": u(0.0, 0.9),
        "regional_side": float(draws.rng.choice([-1.0, 0.0, 1.0])),
        "gradient": u(-0.3, 0.3),
        "asynchrony": draws.sometimes(0.6, -0.35, 0.35),
        "decorrelation": u(0.6, 2.8),
        "swing": u(0.0, 0.35),
        "respiration": draws.sometimes(0.8, 0.0, 0.25),
    }


def _draw_echoes(draws: _Draws) -> dict[str, float]:
    """Echogenicity of tissue and blood."""
    u = draws.uniform
    return {
        "tissue_db": u(-24.0, -9.0),
        "lateral_db": u(-10.0, 3.0),
        "apex_drop_db": u(-2.0, 18.0),
        "background_db": u(-46.0, -27.0),
        "posterior_db": u(4.0, 28.0),
        "blood_db": u(-62.0, -38.0),
        "texture": u(0.1, 0.75),
        "valve_db": u(-24.0, -9.0),
        "valve_thickness": u(0.03, 0.09),
        "trabeculation": u(0.02, 0.16),
        "papillary_db": u(-30.0, -13.0),
        "outflow": draws.sometimes(0.35, 0.2, 1.0),
        "warp": u(0.08, 0.4),
    }


def _draw_details(draws: _Draws) -> dict[str, float]:
    """Foreshortening, leaflets, and what else is small."""
    u = draws.uniform
    return {
        "foreshortening": u(0.02, 0.2) * (draws.rng.uniform() < 0.4),
        "leaflet_tip": u(0.2, 2.0),
        "leaflet_billow": u(-0.12, 0.22),
        "chordae_db": u(-18.0, -4.0),
        "rv_trabeculation": u(0.05, 0.45),
        "veins": u(0.2, 1.0) * (draws.rng.uniform() < 0.6),
        "drift": u(0.1, 1.5),
    }


def sample_ef(seed: int, distribution: str = "echonet", highest: float = HIGHEST_DRAWN_EF) -> float:
    """Draw an EF in per cent, at most `highest`: `echonet` like EchoNet-Dynamic's histogram, `uniform` from 10 up.

    The `echonet` mixture .78 N(60.8, 5.6) + .22 N(37.5, 11.5), truncated to 7-85, has mean 55.7 and standard deviation
    12.0 (published: 55.7 and 12.5).
    """
    rng = np.random.default_rng(derive_seed(seed, "ef", distribution))
    if distribution == "uniform":
        return float(rng.uniform(LOWEST_DRAWN_EF, min(highest, HIGHEST_DRAWN_EF)))
    if distribution != "echonet":
        raise ValueError(f"distribution must be 'echonet' or 'uniform', got {distribution!r}")
    while True:
        ef = rng.normal(60.8, 5.6) if rng.uniform() < 0.78 else rng.normal(37.5, 11.5)
        if 7.0 <= ef <= min(highest, HIGHEST_DRAWN_EF):
            return float(ef)

"""The patient: anatomy, physiology and motion. EF is not part of it: it is chosen per clip.

Lengths in cm, volumes in ml, times in s, echogenicity in dB. LV frame: s runs along the long axis (0 apex, L
annulus), q across it (+ lateral wall, to the right of the image; - septum). Ranges: ASE 2015 chamber quantification,
widened to what point-of-care pictures show (dilated, hypertrophic, foreshortened, off-axis).
"""

import math
from dataclasses import asdict, dataclass

import torch

from echosynth.phantom.motion import Cycle, compute_motion, compute_shape

RESERVED_PATIENT_SEEDS = 9_000_000
"""Patients from this seed up are for acceptance only: nothing trains, tunes or selects on them."""


@dataclass(frozen=True)
class Patient:
    """One simulated patient. Two patients with equal fields look and move alike at the same EF.

    Attributes:
        seed: texture and fine shape.
        edv: end-diastolic volume, ml.
        sphericity: short over long LV axis at end-diastole.
        z_max: where along the axis (0 apex, 1 annulus) the LV is widest.
        base_taper: how much narrower the annulus is than the widest place, 0-1.
        apex_power: 2 a pointed (elliptic) apex, 3 a blunt one.
        septal_share: share of the LV width on the septal side of the axis.
        bow: sideways bend of the axis, cm.
        wall: wall thickness at end-diastole, cm.
        wall_apex: the same at the apex, cm.
        rv_width: width of the right ventricle, cm.
        rv_apex: where the RV begins along the LV axis, 0-1.
        rv_shortening: how much narrower the RV becomes in systole, 0-1.
        la_length: length of the left atrium, cm.
        la_width: half width of the left atrium, cm.
        ra_width: half width of the right atrium, cm.
        tricuspid_offset: how much nearer the apex the tricuspid valve is, as share of L.
        heart_rate: beats per minute.
        rr_jitter: relative standard deviation of the beat length.
        early_filling: share of filling in the E wave.
        long_axis_share: long-axis shortening is this share of EF (MAPSE = share * EF * L).
        regional: amplitude of wall-motion differences, 0 none, 1 strong.
        regional_z: where along the axis the weak segment lies, 0-1.
        regional_side: -1 septal, +1 lateral weak segment, 0 both.
        gradient: base-to-apex gradient of contraction, -0.4..0.4.
        asynchrony: septum ahead (+) or behind (-) of the lateral wall, -0.35..0.35.
        decorrelation: through-plane motion: how far speckle changes within a beat, rad.
        swing: sideways and axial swing of the heart at EF 60 %, cm.
        respiration: amplitude of breathing motion, cm.
        tissue_db: echogenicity of septum and lateral wall, dB.
        lateral_db: lateral wall relative to the septum, dB.
        apex_drop_db: how much weaker the apical walls echo, dB.
        background_db: echogenicity of what surrounds the heart, dB.
        posterior_db: brightness of the pericardium behind the atria, dB.
        blood_db: echogenicity of the cavities, dB.
        texture: standard deviation of the slow texture, log amplitude.
        valve_db: brightness of the leaflets, dB.
        valve_thickness: cm.
        trabeculation: roughness of the endocardium, cm.
        papillary_db: brightness of papillary muscle and moderator band, dB.
        outflow: how much of the outflow tract is in the plane, 0-1.
        warp: random distortion of everything outside the LV, cm.
        rr_chaos: standard deviation of the log of the beat length, no two beats related; 0.2 in atrial fibrillation.
        premature: share of beats that come too early, each followed by a pause.
        foreshortening: share of the long axis that a slanting plane misses, 0-0.2; the other fields are already those
            of the heart as it appears.
        leaflet_tip: how much thicker a leaflet is at its tip, relative.
        leaflet_billow: curvature of the leaflets, share of their length.
        chordae_db: tendinous cords relative to the leaflets, dB.
        rv_trabeculation: roughness of the right ventricle, cm.
        veins: how open the pulmonary veins lie in the plane, 0-1.
        drift: how far speckle changes with breathing and the hand, rad.
        excursion: how far the annulus descends, whatever the EF, share of the long axis; the walls make up for it.
        rocking: turn of the whole heart with the beat, degrees.
        rocking_pivot: place on the axis that it turns about, 0 the apex, about 1 the annulus.
        carrying: shift of the whole heart with the beat, cm.
        bending: sideways bend of the ventricle with the beat, cm: both walls go the same way.
        breathing: shift with the breath, cm, beside `respiration`.
        breath_rate: Hz.
        hand: slow shift by the sonographer's hand, cm; it turns the picture as well.
        flow: motion of the right heart, the atria and what surrounds the heart, cm.
    """

    seed: int
    edv: float
    sphericity: float
    z_max: float
    base_taper: float
    apex_power: float
    septal_share: float
    bow: float
    wall: float
    wall_apex: float
    rv_width: float
    rv_apex: float
    rv_shortening: float
    la_length: float
    la_width: float
    ra_width: float
    tricuspid_offset: float
    heart_rate: float
    rr_jitter: float
    early_filling: float
    long_axis_share: float
    regional: float
    regional_z: float
    regional_side: float
    gradient: float
    asynchrony: float
    decorrelation: float
    swing: float
    respiration: float
    tissue_db: float
    lateral_db: float
    apex_drop_db: float
    background_db: float
    posterior_db: float
    blood_db: float
    texture: float
    valve_db: float
    valve_thickness: float
    trabeculation: float
    papillary_db: float
    outflow: float
    warp: float
    rr_chaos: float = 0.0
    premature: float = 0.0
    foreshortening: float = 0.0
    leaflet_tip: float = 0.0
    leaflet_billow: float = 0.0
    chordae_db: float = -20.0
    rv_trabeculation: float = 0.0
    veins: float = 0.0
    drift: float = 0.35
    excursion: float = 0.0
    rocking: float = 0.0
    rocking_pivot: float = 0.0
    carrying: float = 0.0
    bending: float = 0.0
    breathing: float = 0.0
    breath_rate: float = 0.25
    hand: float = 0.0
    flow: float = 0.0

    def fields(self) -> dict[str, torch.Tensor]:
        """All parameters as tensors of one element, as motion.py takes them."""
        return {
            k: torch.tensor([v], dtype=torch.int64 if k == "seed" else torch.float64) for k, v in asdict(self).items()
        }

    @property
    def long_axis(self) -> float:
        """Length of the LV at end-diastole, cm."""
        return float(compute_shape(self.fields()).length[0])

    def can_reach(self, ef: float) -> bool:
        """Whether this heart's regional wall motion allows this EF, per cent."""
        c = torch.linspace(0, 1, 9, dtype=torch.float64)[None]
        for direction in (1.0, -1.0):
            cycle = Cycle(c, direction * torch.sin(math.pi * c), c * 0, c, c)
            try:
                compute_motion(self.fields(), cycle, torch.tensor([ef]))
            except ValueError:
                return False
        return True

"""The clips of a simulated dataset: patients, EFs, phases, splits and traced frames. Nothing is rendered here.

View seed and noise seed are the patient's. A counterfactual keeps patient, view, noise and phase, and changes EF alone.
Frames that are traced show end-diastole and end-systole exactly (contraction 0 and 1).
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator

from echosynth.cardiac.ejection_fraction import HIGHEST_PHANTOM_EF, LOWEST_TARGET_EF
from echosynth.config import VerbConfig
from echosynth.errors import DatasetError
from echosynth.phantom.kinds import EFDistribution, Heart, Quality, Rhythm, ViewFamily
from echosynth.phantom.motion import compute_cycle
from echosynth.phantom.patient import Patient
from echosynth.phantom.population import highest_ef, remodel, sample_ef, sample_patient
from echosynth.phantom.scanner import View, sample_view
from echosynth.seeding import derive_seed

SPLITS = ("TRAIN",) * 6 + ("VAL", "TEST")
PHASE_DRAWS = 16  # start phases tried before the clip starts at end-diastole


class SimulateConfig(VerbConfig):
    """What is simulated.

    Attributes:
        patients: how many.
        seed: of the first patient; the others follow, one by one.
        counterfactual: EFs, per cent, at which every patient is rendered once more.
        ef_distribution: where the factual EF comes from, see `sample_ef`.
        frames: frames of a clip; None draws them like EchoNet-Dynamic's.
        fps: Hz; None draws it like EchoNet-Dynamic's. At least 25, so that no end-diastole or end-systole falls
            between two frames.
        size: side of the picture, pixels.
        lossless: FFV1 instead of EchoNet-Dynamic's motion JPEG.
        views: family of views, see `VIEW_FAMILIES`.
        quality: of the pictures, see `QUALITIES`; None for all that the family has.
        hearts: kind of hearts, see `HEARTS`.
        rhythm: see `RHYTHMS`.
        remodel: let EDV depend on the factual EF as in populations: weak ventricles are large. A patient's
            counterfactuals keep the EDV of the factual.
        masks: also write a label of every pixel of every frame.
        motion: also write the displacement of every pixel's tissue, and the volume of every frame.
        bulk_motion: hearts also move without contracting, as much at a low EF as at a high one; see phantom/pose.py.
    """

    patients: int = Field(ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)
    counterfactual: tuple[float, ...] = ()
    ef_distribution: EFDistribution = "echonet"
    frames: int | None = Field(default=None, ge=2, le=1024)
    fps: float | None = Field(default=None, ge=25.0, le=200.0)
    size: int = Field(default=112, ge=28, le=448)
    lossless: bool = False
    views: ViewFamily = "echonet"
    quality: Quality | None = None
    hearts: Heart = "any"
    rhythm: Rhythm = "sinus"
    remodel: bool = False
    masks: bool = False
    motion: bool = False
    bulk_motion: bool = True

    @field_validator("counterfactual")
    @classmethod
    def _reachable(cls, efs: tuple[float, ...]) -> tuple[float, ...]:
        if any(not LOWEST_TARGET_EF <= ef <= HIGHEST_PHANTOM_EF for ef in efs):
            raise ValueError(
                f"a counterfactual EF is in per cent and lies within {LOWEST_TARGET_EF:g}-{HIGHEST_PHANTOM_EF:g}"
            )
        if len(set(efs)) != len(efs):
            raise ValueError("a counterfactual EF is given twice")
        return efs

    @model_validator(mode="after")
    def _hearts_can(self) -> "SimulateConfig":
        if any(ef > highest_ef(self.hearts) for ef in self.counterfactual):
            kind = "that are weak all over" if self.hearts == "global" else f"with a dead {self.hearts} wall"
            raise ValueError(f"hearts {kind} reach an EF of {highest_ef(self.hearts):g} %; ask for less")
        return self


@dataclass(frozen=True)
class PhantomRow:
    """One line of Phantom.csv: what is known of a clip beyond EchoNet's tables.

    Attributes:
        file: name of the video without .avi.
        factual: name of the patient's factual clip.
        split: TRAIN, VAL or TEST.
        patient_seed: who.
        view_seed: how it is looked at.
        noise_seed: electronic noise.
        ef: per cent.
        edv: ml.
        esv: ml.
        pixel_pitch_cm: side of a pixel.
        start_phase: share of a beat that has passed at frame 0.
        heart_rate: beats per minute.
        ed_frame: index of the traced end-diastolic frame.
        es_frame: index of the traced end-systolic frame.
        depth_cm: imaging depth.
        tilt_deg: LV axis against the beam axis.
        regional: amplitude of wall-motion differences.
        frames: of the clip.
        fps: Hz.
    """

    file: str
    factual: str
    split: str
    patient_seed: int
    view_seed: int
    noise_seed: int
    ef: float
    edv: float
    esv: float
    pixel_pitch_cm: float
    start_phase: float
    heart_rate: float
    ed_frame: int
    es_frame: int
    depth_cm: float
    tilt_deg: float
    regional: float
    frames: int
    fps: float


def split_of(patient_seed: int) -> str:
    """Split of a patient, by hash: TRAIN 6/8, VAL 1/8, TEST 1/8."""
    return SPLITS[derive_seed(patient_seed, "split") % len(SPLITS)]


def find_traceable_frames(contraction: torch.Tensor, persistence: float) -> tuple[int, int] | None:
    """Find an exactly end-diastolic and an exactly end-systolic frame.

    Where the machine mixes a frame with the one before it, that one must be end-diastolic too: only then is the
    end-diastolic picture the same at every EF.

    Args:
        contraction: c of each frame, float64 (T,).
        persistence: weight of the previous frame, see `View`.

    Returns:
        (ED, ES), the ES frame the first one after ED if there is one; None if the clip lacks either.
    """
    still = contraction == 0
    before = torch.cat([still[:1], still[:-1]])
    ed = torch.nonzero(still & before if persistence > 0 else still).flatten().tolist()
    es = torch.nonzero(contraction == 1).flatten().tolist()
    if not ed or not es:
        return None
    pairs = [(d, s) for d in ed for s in es if s > d]
    return pairs[0] if pairs else (ed[0], es[0])


def choose_phase(patient: Patient, view: View, frames: int, fps: float) -> tuple[float, int, int]:
    """Draw a start phase whose clip shows end-diastole and end-systole exactly; the same for every EF.

    Returns:
        Start phase in [0, 1), ED frame, ES frame.

    Raises:
        DatasetError: the clip is too short to show both, wherever it starts.
    """
    time = torch.arange(frames, dtype=torch.float64) / fps
    draws = [derive_seed(patient.seed, "start phase", k) / 2**63 for k in range(PHASE_DRAWS)]
    for phase in [*draws, 0.0]:
        cycle = compute_cycle(patient.fields(), time, torch.tensor([phase], dtype=torch.float64))
        found = find_traceable_frames(cycle.contraction[0], view.persistence)
        if found:
            return phase, *found
    raise DatasetError(
        f"{frames} frames at {fps:g} Hz do not show both end-diastole and end-systole of patient {patient.seed} "
        f"({patient.heart_rate:.0f} beats per minute); ask for more --frames"
    )


@functools.lru_cache(maxsize=16)  # a patient is asked for by its plan, its view and its clips
def make_patient(config: SimulateConfig, seed: int) -> Patient:
    """The patient that this simulation makes of a seed."""
    patient = sample_patient(seed, config.hearts, config.rhythm, config.bulk_motion)
    return remodel(patient, factual_ef(config, seed)) if config.remodel else patient


def factual_ef(config: SimulateConfig, seed: int) -> float:
    """The EF of a patient's own clip, per cent."""
    return sample_ef(seed, config.ef_distribution, highest_ef(config.hearts))


def make_view(config: SimulateConfig, seed: int) -> View:
    """The view that this simulation has of a patient."""
    return sample_view(seed, make_patient(config, seed).long_axis, config.views, config.quality)


def draw_timing(config: SimulateConfig, patient: Patient) -> tuple[int, float]:
    """Frames and frame rate of a patient's clips, like EchoNet-Dynamic's where they are not given.

    Published: 50.9 (6.8) Hz; 175 (57) frames, here log-normal and long enough for one and a half beats.
    """
    draw = np.random.default_rng(derive_seed(patient.seed, "timing"))
    fps = round(float(np.clip(draw.normal(50.9, 6.8), 25.0, 138.0)), 1)
    std = math.sqrt(math.log(1 + (57 / 175) ** 2))
    frames = round(math.exp(draw.normal(math.log(175) - std**2 / 2, std)))
    fps = config.fps or fps
    return config.frames or int(np.clip(frames, math.ceil(90 / patient.heart_rate * fps), 1002)), fps


def plan_patient(config: SimulateConfig, seed: int) -> list[PhantomRow]:
    """The clips of one patient, the factual first. Cheap: nothing is rendered.

    Raises:
        DatasetError: the clips would be too short to be labelled.
    """
    patient, view = make_patient(config, seed), make_view(config, seed)
    frames, fps = draw_timing(config, patient)
    phase, ed, es = choose_phase(patient, view, frames, fps)
    factual = f"P{seed:07d}"
    names = {factual: factual_ef(config, seed)}
    names |= {f"{factual}_ef{ef:g}": ef for ef in config.counterfactual}
    return [
        PhantomRow(
            file=name,
            factual=factual,
            split=split_of(seed),
            patient_seed=seed,
            view_seed=seed,
            noise_seed=seed,
            ef=ef,
            edv=patient.edv,
            esv=patient.edv * (1 - ef / 100),
            pixel_pitch_cm=view.depth / view.radius / config.size,
            start_phase=phase,
            heart_rate=patient.heart_rate,
            ed_frame=ed,
            es_frame=es,
            depth_cm=view.depth,
            tilt_deg=view.tilt,
            regional=patient.regional,
            frames=frames,
            fps=fps,
        )
        for name, ef in names.items()
    ]

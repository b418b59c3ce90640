"""Which phantom patients a training set holds, and how they are seen."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, HIGHEST_PHANTOM_EF, LOWEST_DRAWN_EF, LOWEST_TARGET_EF
from echosynth.config import StrictModel
from echosynth.phantom.kinds import ViewFamily
from echosynth.phantom.patient import Patient
from echosynth.phantom.population import remodel, sample_patient
from echosynth.phantom.scanner import View, sample_view
from echosynth.seeding import derive_seed

EF = Annotated[float, Field(ge=LOWEST_TARGET_EF, le=HIGHEST_PHANTOM_EF)]

LAYOUT = 4  # of the files, and of what views there are; sets of another layout have other folders


class PhantomSetConfig(StrictModel):
    """Which patients to render and how.

    Attributes:
        root: folder that holds rendered sets; the set's own folder in it is named by a hash of this config.
        patients: how many.
        first_seed: patient seeds are first_seed, first_seed + 1, ...
        seeds: patient seeds one by one, in place of first_seed; as many as there are patients.
        num_frames: frames of a clip.
        fps: Hz.
        size: side of the picture, pixels.
        frames_per_clip: frames at other EFs.
        efs: lowest and highest EF, per cent; a network that is asked for the ends of a range learns from beyond them.
        views: family of views, see `sample_view`; or several, of which each patient has one.
        graded: draw one quality for all that can be wrong with a patient's view, from the worst to the best; otherwise
            every fault by itself, and hardly a view is good, or bad, in everything.
        bulk_motion: share of patients whose hearts also move without contracting, see phantom/pose.py.
        remodelled: share of patients whose EDV is what years with the EF of their clip make of it.
        workers: processes that render.
    """

    root: Path = Path("runs/phantoms")
    patients: int = 1024
    first_seed: int = 0
    seeds: tuple[int, ...] | None = None
    num_frames: int = 64
    fps: float = 32.0
    size: int = 112
    frames_per_clip: int = 3
    efs: tuple[EF, EF] = (LOWEST_DRAWN_EF, HIGHEST_DRAWN_EF)
    views: ViewFamily | tuple[ViewFamily, ...] = "wide"
    graded: bool = False
    bulk_motion: float = Field(default=1.0, ge=0, le=1)
    remodelled: float = Field(default=0.0, ge=0, le=1)
    workers: int = 2

    @model_validator(mode="after")
    def _count_seeds(self) -> Self:
        if self.seeds is not None and len(self.seeds) != self.patients:
            raise ValueError(f"seeds: {len(self.seeds)} are given for {self.patients} patients")
        return self

    def seed(self, number: int) -> int:
        """Seed of a patient; beyond the last of `seeds` they begin anew."""
        return self.first_seed + number if self.seeds is None else self.seeds[number % len(self.seeds)]

    def patient(self, seed: int, ef: float) -> Patient:
        """A patient whose clip shows this EF, per cent."""
        patient = sample_patient(seed, bulk_motion=_chosen(seed, "bulk motion", self.bulk_motion))
        return remodel(patient, ef) if _chosen(seed, "remodelled", self.remodelled) else patient

    def family(self, seed: int) -> ViewFamily:
        """Family of a patient's view."""
        if isinstance(self.views, str):
            return self.views
        return self.views[derive_seed(seed, "family") % len(self.views)]

    def view(self, seed: int, long_axis: float) -> View:
        """What a patient of this LV length, cm, is seen by."""
        quality = float(np.random.default_rng(derive_seed(seed, "quality")).uniform()) if self.graded else None
        return sample_view(seed, long_axis, self.family(seed), quality)

    def folder(self) -> Path:
        """Where this set lies: a change of what is rendered changes the name, more patients or workers do not."""
        what = {
            k: v for k, v in self.model_dump(mode="json").items() if k not in ("source", "root", "patients", "workers")
        }
        # These were no choice once, and sets that users have rendered stay good.
        for late in ("efs", "graded", "remodelled", "seeds"):
            if getattr(self, late) == PhantomSetConfig.model_fields[late].default:
                del what[late]
        if self.bulk_motion in (0, 1):  # once it was a yes or a no
            what["bulk_motion"] = bool(self.bulk_motion)
        what["layout"] = LAYOUT
        return self.root / hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def _chosen(seed: int, what: str, share: float) -> bool:
    """Whether a patient is of the share that something holds for."""
    return np.random.default_rng(derive_seed(seed, what)).uniform() < share

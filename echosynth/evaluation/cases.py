"""The patients of an evaluation: a frame, a target EF, and what is known of the truth.

phantom   EF of the frame uniform 10-85, target uniform 15-85, independent; any phase of the beat;
          truth = the SAME patient, view, noise and phase rendered at the target EF; these hearts contract and do
          nothing else, as no frame tells how a heart will swing and rock
dataset   clips of one split in EchoNet format; target uniform 15-85; truth = the clip itself, at its own EF
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, LOWEST_DRAWN_EF, LOWEST_SCORED_EF
from echosynth.config import StrictModel
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.errors import DatasetError
from echosynth.phantom.kinds import ViewFamily
from echosynth.phantom.maps import CAVITY, displace_pixels, label_pixels
from echosynth.phantom.patient import RESERVED_PATIENT_SEEDS
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip


class PhantomTest(StrictModel):
    """Phantom patients with seeds first_seed, first_seed + 1, ...; those from 9,000,000 up are reserved.

    `views` is a family of `VIEW_FAMILIES`.
    """

    kind: Literal["phantom"] = "phantom"
    first_seed: int = Field(default=2_000_000, ge=0)
    count: int = Field(default=100, ge=2)
    views: ViewFamily = "echonet"

    @model_validator(mode="after")
    def _keep_off_reserved(self) -> "PhantomTest":
        if self.first_seed + self.count > RESERVED_PATIENT_SEEDS:
            raise ValueError(f"patient seeds from {RESERVED_PATIENT_SEEDS} up are reserved for acceptance")
        return self


class DatasetTest(StrictModel):
    """Clips of one split of a folder in EchoNet format, at most `count` of them."""

    kind: Literal["dataset"] = "dataset"
    root: Path
    split: Literal["TRAIN", "VAL", "TEST"] = "TEST"
    count: int = Field(default=100, ge=2)


@dataclass(frozen=True, eq=False)
class Case:
    """One patient of the test.

    Attributes:
        patient: name; the unit of the bootstrap.
        frame: conditioning frame uint8 (S, S).
        own_ef: EF of the clip that the frame is from, per cent.
        target_ef: asked for, per cent.
        truth: a real or rendered clip of known EF: `truth.ef`.
        is_counterfactual: whether `truth` is this patient at `target_ef`, frame by frame.
    """

    patient: str
    frame: np.ndarray
    own_ef: float
    target_ef: float
    truth: EchoClip
    is_counterfactual: bool


def _draw_efs(seed: int) -> tuple[float, float, float]:
    """EF of a patient's frame, EF asked for, per cent, and phase of the frame, share of a beat."""
    draw = np.random.default_rng(derive_seed(seed, "evaluation"))
    own, target = draw.uniform(LOWEST_DRAWN_EF, HIGHEST_DRAWN_EF), draw.uniform(LOWEST_SCORED_EF, HIGHEST_DRAWN_EF)
    return float(own), float(target), float(draw.uniform(0, 1))


def phantom_case(seed: int, num_frames: int, fps: float, size: int = 112, views: str = "echonet") -> Case:
    """Render one patient at its own EF (one frame) and at the target (a clip of `num_frames` at `fps` Hz)."""
    own, target, phase = _draw_efs(seed)
    frame, truth = render_pair(seed, own, target, num_frames, fps, phase, size, views)
    return Case(f"phantom-{seed}", frame, own, target, truth, True)


@dataclass(frozen=True, eq=False)
class PairedCase:
    """One phantom patient whose clip begins at end-diastole, with everything that is known of it.

    Attributes:
        case: frame, target and truth.
        heart_rate: beats per minute.
        cavity: of the left ventricle at end-systole, bool (S, S).
        displacement: of the truth's tissue to its first frame, (T, 2, S, S), pixels, NaN outside the sector.
    """

    case: Case
    heart_rate: float
    cavity: np.ndarray
    displacement: np.ndarray


def paired_case(seed: int, num_frames: int, fps: float, size: int = 112, views: str = "echonet") -> PairedCase:
    """The patient of `phantom_case` at the same EFs, from end-diastole on, which looks the same at every EF."""
    own, target, _ = _draw_efs(seed)
    patient = sample_patient(seed, bulk_motion=False)
    phantom = Phantom([patient], [sample_view(seed, patient.long_axis, views)], [seed], size)
    pixels, truth = phantom.render([target], num_frames, fps, [0.0])
    clip = EchoClip(pixels[0].numpy(), fps, ef=target, source=f"phantom-{seed}")
    return PairedCase(
        Case(f"phantom-{seed}", clip.pixels[0], own, target, clip, True),
        float(phantom.patient["heart_rate"][0]),
        (label_pixels(phantom, truth.at(truth.es_frame(0)))[0, 0] == CAVITY).numpy(),
        displace_pixels(phantom, truth, truth.at(0))[0].numpy(),
    )


def render_pair(
    seed: int,
    own_ef: float,
    target_ef: float,
    num_frames: int,
    fps: float,
    phase: float,
    size: int = 112,
    views: str = "echonet",
) -> tuple[np.ndarray, EchoClip]:
    """Return a patient's frame uint8 (size, size) at one EF and clip at another, from the same phase of the beat on."""
    patient = sample_patient(seed, bulk_motion=False)
    phantom = Phantom([patient], [sample_view(seed, patient.long_axis, views)], [seed], size)
    frame, _ = phantom.render([own_ef], 1, fps, [phase])
    clip, _ = phantom.render([target_ef], num_frames, fps, [phase])
    return frame[0, 0].numpy(), EchoClip(clip[0].numpy(), fps, ef=target_ef, source=f"phantom-{seed}")


class Cases:
    """The cases of a test, each rendered or read when it is asked for; the same config gives the same cases.

    Args:
        test: which patients.
        seed: root seed of the targets of a dataset.

    Raises:
        DatasetError: the dataset cannot be used or has no clip in the split.
    """

    def __init__(self, test: PhantomTest | DatasetTest, seed: int) -> None:
        self.test, self._seed = test, seed
        if isinstance(test, DatasetTest):
            self._dataset = EchoNetDataset(test.root)
            self._chosen = self._dataset.split(test.split)[: test.count]
            if not self._chosen:
                raise DatasetError(f"{test.root} has no clip in the split {test.split}")

    def __len__(self) -> int:
        return self.test.count if isinstance(self.test, PhantomTest) else len(self._chosen)

    def case(self, number: int, num_frames: int, fps: float) -> Case:
        """Return case `number`, from 0, for a cascade whose clips have `num_frames` frames at `fps` Hz."""
        if isinstance(self.test, PhantomTest):
            return phantom_case(self.test.first_seed + number, num_frames, fps, views=self.test.views)
        index = self._chosen[number]
        clip, row = self._dataset.clip(index), self._dataset.rows[index]
        draw = np.random.default_rng(derive_seed(self._seed, "evaluation", row.file_name))
        target = float(draw.uniform(LOWEST_SCORED_EF, HIGHEST_DRAWN_EF))
        return Case(row.file_name, clip.pixels[0], row.ef, target, clip, False)

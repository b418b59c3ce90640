"""Explaining: what regressors find in the first window of one clip, and where in the picture they find it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator

from echosynth.config import VerbConfig
from echosynth.data.layouts import check_rate, iter_clips, require_video
from echosynth.errors import SourceError
from echosynth.evaluation.readers import load_readers
from echosynth.evaluation.reading import format_warnings
from echosynth.progress import SILENT, Progress
from echosynth.regression.base import EFRegressor
from echosynth.regression.grad_cam import grad_cam
from echosynth.regression.loading import DEFAULT_GATE, DEFAULT_JUDGE
from echosynth.runtime import choose_device
from echosynth.seeding import make_generator
from echosynth.video.clip import EchoClip, from_network

SAMPLES = 500  # of a posterior
SIDE = 112  # pixels, of the pictures

log = logging.getLogger(__name__)


class ExplainConfig(VerbConfig):
    """What `explain` does.

    Attributes:
        source: video, DICOM cine or .npy; of a folder the first clip is taken.
        regressors: names or folders.
        fps: frame rate to use instead of the file's, Hz.
        device: "auto", "cpu" or "cuda".
    """

    source: Path
    regressors: tuple[str, ...] = Field(default=(DEFAULT_GATE, DEFAULT_JUDGE), min_length=1)
    fps: float | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    check_fps = field_validator("fps")(check_rate)


@dataclass(frozen=True, eq=False)
class Explanation:
    """The first window of a clip and what one regressor finds in it.

    Attributes:
        regressor: its name.
        pixels: uint8 (T, H, W).
        fps: Hz.
        phases: frames of end-diastole and end-systole; None if it finds none.
        heat: (T, H, W) in [0, 1], Grad-CAM.
        landmarks: (2, 1 or 2, 21, 2, 2), the borders at the two phases, the endocardium first, shares of the side; None
            if it finds none.
        curve: (T,), volume as a share of the largest; None if it finds none.
        paths: (steps, count), samples of EF on their way from noise to the answer, per cent; None if it has none.
        ef: its answer, per cent.
        warnings: what it needs and the clip lacks, see `EFRegressor.contract_violations`.
    """

    regressor: str
    pixels: np.ndarray
    fps: float
    phases: tuple[int, int] | None
    heat: np.ndarray
    landmarks: np.ndarray | None
    curve: np.ndarray | None
    paths: np.ndarray | None
    ef: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ExplainResult:
    """One clip, explained by several regressors.

    Attributes:
        file: the clip, as the user knows it.
        true_ef: per cent; None if it is not known.
        explanations: of each regressor.
    """

    file: str
    true_ef: float | None
    explanations: tuple[Explanation, ...]

    def to_dict(self) -> dict[str, Any]:
        """The object that `explain --json` prints, without the files that the command draws."""
        explained = [{"regressor": e.regressor, "ef": e.ef, "warnings": list(e.warnings)} for e in self.explanations]
        return {"file": self.file, "true_ef": self.true_ef, "explained": explained}


def explain(config: ExplainConfig, progress: Progress = SILENT) -> ExplainResult:
    """Explain the first window of a clip by every regressor.

    Args:
        config: which clip, which regressors.
        progress: shows every regressor.

    Raises:
        SourceError: the source cannot be used, or is a single picture.
        CheckpointError: a regressor is not there or damaged.
    """
    readers = load_readers(config.regressors, choose_device(config.device))
    first = next(iter(iter_clips(config.source, config.fps)), None)
    if first is None:
        raise SourceError(f"{config.source} lists no clips")
    file, clip = first
    require_video(file, clip)
    found = []
    with progress.task(len(readers), "explaining") as task:
        for reader in readers:
            found.append(explain_clip(reader.ref.name, reader.model, clip))
            task.advance()
    for line in format_warnings((e.regressor, file, e.warnings) for e in found):
        log.warning(line)
    return ExplainResult(file, clip.ef, tuple(found))


def explain_clip(name: str, model: EFRegressor, clip: EchoClip) -> Explanation:
    """Everything that a regressor, known by a name, finds in a clip's first window."""
    window = model.windows(clip)[:1].to(model.device)
    with torch.no_grad():
        details = model(window, details=True)
        paths = model.sample_posterior(window, SAMPLES, make_generator(0, "explain"))
        ef = float(model.predict_windows(window))
    phases = None if details.phases is None else details.phases[0].tolist()
    curve, landmarks = (None if x is None else x[0].cpu().numpy() for x in (details.curve, details.landmarks))
    return Explanation(
        regressor=name,
        pixels=from_network(model.windows(clip, SIDE)[0, 0]),
        fps=model.contract.fps,
        phases=None if phases is None else (phases[0], phases[1]),
        heat=grad_cam(model, window, SIDE)[0].cpu().numpy(),
        landmarks=landmarks,
        curve=None if curve is None else curve / curve.max(),
        paths=None if paths is None else paths[:, 0].cpu().numpy(),
        ef=ef,
        warnings=tuple(model.contract_violations(clip)),
    )

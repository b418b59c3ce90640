"""A frame of a real scanner and of two phantom patients, each generated at EF 25, 45 and 65.

The real clip is pydicom's `ybr_color` example, read from the installed package and never copied. For the phantoms the
simulator renders the true counterfactual of every clip.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator
from pydicom import examples

from echosynth.augmentation.conditioning import ConditioningFrame
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.ranges import check_range
from echosynth.augmentation.sampling import Sampling
from echosynth.augmentation.session import GenerateResult, GenerationJob, run_generation
from echosynth.config import VerbConfig
from echosynth.data.clip_files import load_clip_file
from echosynth.errors import SourceError
from echosynth.evaluation.cases import render_pair
from echosynth.progress import SILENT, Progress
from echosynth.regression.loading import DEFAULT_JUDGE
from echosynth.video.clip import EchoClip

TARGET_EFS = (25.0, 45.0, 65.0)
PHANTOM_SEEDS = (3_000_001, 3_000_009)  # of the first, two with a picture as clinics see it: four chambers, all walls
PHANTOM_EFS = (58.0, 35.0)
PHANTOM_PHASE = 0.0


class DemoConfig(VerbConfig):
    """What `demo` does.

    Attributes:
        seed: root seed.
        max_attempts: attempts per clip until the gate accepts.
        model: cascade, a name or folder; None for the bundled one.
        gate: regressor that accepts or refuses; None for the bundled one.
        judge: regressor that only measures, not the gate; None for the bundled one.
        device: "auto", "cpu" or "cuda".
    """

    seed: int = 0
    max_attempts: int = 4
    model: str | Path | None = None
    gate: str | Path | None = None
    judge: str | Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @field_validator("max_attempts")
    @classmethod
    def _in_range(cls, value: int) -> int:
        check_range("max_attempts", value)
        return value


@dataclass(frozen=True)
class DemoResult:
    """What `demo` made.

    Attributes:
        generated: the clips, as of `generate`.
        truths: sample id -> the true counterfactual, for the phantom patients.
        notes: name of a conditioning frame -> a sentence about it.
    """

    generated: GenerateResult
    truths: Mapping[str, EchoClip]
    notes: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The object of `--json`."""
        return self.generated.to_dict()


def demo(config: DemoConfig, out: str | Path, progress: Progress = SILENT) -> DemoResult:
    """Generate the demo's clips and render the truths; the same call again continues a run.

    Args:
        config: what is asked for.
        out: the run's folder.
        progress: shows solver steps.

    Raises:
        EchosynthError: models or folder cannot be used, or pydicom lacks its example.
    """
    models = RunModels(config.model, config.gate, config.judge or DEFAULT_JUDGE, config.device)
    sampling = Sampling(config.seed, config.max_attempts)
    real, phantoms = read_real_frame(), _render_frames()
    job = GenerationJob("demo", config, [real, *phantoms], TARGET_EFS, 1, models, sampling)
    generated = run_generation(job, Path(out), progress)
    notes = {real.name: "A real apical four-chamber picture: pydicom's example file 'ybr_color', frame 0, cropped."}
    for frame in phantoms:
        notes[frame.name] = f"A simulated patient with EF {frame.ef:g}. Second row: the same patient as simulated."
    return DemoResult(generated, _render_truths(generated), notes)


def read_real_frame() -> ConditioningFrame:
    """Return frame 0 of pydicom's A4C example, cropped to the ultrasound sector.

    Raises:
        SourceError: the installed pydicom lacks the file.
    """
    try:
        path = examples.get_path("ybr_color")
    except (FileNotFoundError, AttributeError, ValueError) as error:
        raise SourceError(f"the installed pydicom has no example 'ybr_color' ({error}); reinstall pydicom") from None
    return ConditioningFrame("real_a4c", "pydicom ybr_color", 0, load_clip_file(path).pixels[0])


def _render_frames() -> list[ConditioningFrame]:
    frames = []
    for number, (seed, ef) in enumerate(zip(PHANTOM_SEEDS, PHANTOM_EFS, strict=True), start=1):
        pixels, _ = render_pair(seed, ef, ef, 1, 32.0, PHANTOM_PHASE)
        frames.append(ConditioningFrame(f"phantom_{number}", f"phantom patient {seed}", 0, pixels, ef))
    return frames


def _render_truths(generated: GenerateResult) -> dict[str, EchoClip]:
    """The true counterfactual of every clip of a phantom patient, as long, fast and large as the clip."""
    truths = {}
    for made in generated.clips:
        number = made.sample.source_index - 1  # frame 0 is the real one
        if number >= 0:
            clip, target = generated.load(made), made.sample.target_ef
            seed, own = PHANTOM_SEEDS[number], PHANTOM_EFS[number]
            size = clip.pixels.shape[-1]
            _, truth = render_pair(seed, own, target, clip.num_frames, clip.fps, PHANTOM_PHASE, size)
            truths[made.sample.sample_id] = truth
    return truths

"""Conditioning frames of fictional patients: a cascade samples them, no clip is read."""

from dataclasses import replace

from echosynth.augmentation.conditioning import ConditioningFrame
from echosynth.augmentation.sampling import Sampling, sample_frame
from echosynth.diffusion.conditions import CONDITIONS
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.errors import ConfigError
from echosynth.progress import SILENT, Progress
from echosynth.seeding import derive_seed


def sample_fictional_frames(
    count: int, ef: float, sampling: Sampling, pipeline: EchoCascadePipeline, progress: Progress = SILENT
) -> tuple[list[ConditioningFrame], Sampling]:
    """Sample one frame for each of `count` fictional patients.

    The patients depend on the seed, their number, and the conditions by which the cascade samples frames. They depend
    on the EF only where the cascade has no stage of its own for frames.

    Args:
        count: how many, >= 1.
        ef: per cent.
        sampling: root seed and conditions.
        pipeline: the cascade.
        progress: shows patients.

    Returns:
        The frames, and `sampling` without the conditions that only frames can be given.

    Raises:
        ConfigError: a condition cannot be given to frames.
    """
    given = sampling.conditions
    spent = [n for n in given if n in pipeline.frame_conditions and n not in pipeline.supported_conditions]
    remark = ", ".join(f"{CONDITIONS[name].title} {given[name]:g}" for name in spent)
    frames = []
    with progress.task(count, "sampling frames") as task:
        for number in range(1, count + 1):
            seed = derive_seed(sampling.seed, "fictional", number)
            try:
                pixels = sample_frame(pipeline, seed, {"ef": ef, **given})
            except ValueError as error:
                raise ConfigError(str(error)) from None
            source = f"fictional patient {number}" + (f" ({remark})" if remark else "")
            frames.append(ConditioningFrame(f"fictional_{number}", source, 0, pixels))
            task.advance()
    left = {name: value for name, value in given.items() if name not in spent}
    return frames, replace(sampling, conditions=left)

"""The parts of a cascade in training: each names what it needs, builds its network and says what that learns from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from diffusers import ModelMixin

from echosynth.diffusion.ef_guide import EFGuide
from echosynth.diffusion.tissue_tracker import TissueTracker
from echosynth.errors import ConfigError
from echosynth.training.clips.looks import Looks
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.clips.sources import Source
from echosynth.training.engine.loop import Task
from echosynth.training.engine.run import Preview
from echosynth.training.part_config import PartConfig
from echosynth.training.preview import make_preview
from echosynth.training.stage_config import StageConfig
from echosynth.training.tasks.consistency import DistillationTask
from echosynth.training.tasks.denoising import DiffusionTask
from echosynth.training.tasks.ef_guide import GuideConfig, GuideTask
from echosynth.training.tasks.tissue_tracker import TrackerConfig, TrackerTask

TISSUE_TRACKER, EF_GUIDE = "tissue_tracker", "ef_guide"


@dataclass(frozen=True)
class Workplace:
    """What a part finds when it is its turn.

    Attributes:
        out: the run's folder.
        open_clips: opens training and held-out clips of a part.
    """

    out: Path
    open_clips: Callable[[str], tuple[Source, Source]]

    def has(self, name: str) -> bool:
        """Whether a part is finished."""
        return (self.out / name / "model").is_dir()

    def model(self, name: str, wanted_by: str) -> Path:
        """Folder of a finished part.

        Raises:
            ConfigError: it is not finished.
        """
        folder = self.out / name / "model"
        if not self.has(name):
            raise ConfigError(f"there is no {folder}: train {name} before {wanted_by}, which needs it")
        return folder


@dataclass(frozen=True)
class Tasks:
    """What a part learns from: training and held-out batches with their loss, and pictures of what it has learnt."""

    training: Task
    validation: Task
    preview: Preview | None = None


class Part(Protocol):
    """A network of a cascade and its training."""

    @property
    def name(self) -> str:
        """Of the part; its folder in the run's."""
        ...

    @property
    def config(self) -> PartConfig:
        """What the config says of it."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of parts that must be finished before it learns."""
        ...

    def network(self) -> ModelMixin:
        """The network with the weights that it starts from."""
        ...

    def tasks(self, place: Workplace) -> Tasks | None:
        """What it learns from; None if these clips teach it nothing, and it keeps its weights."""
        ...


@dataclass(frozen=True)
class TrackerPart:
    """The tissue tracker.

    Attributes:
        config: the tracker.
        stage: the tracked stage.
        previous: the stage before it, whose clips are tracked.
    """

    config: TrackerConfig
    stage: StageConfig
    previous: StageConfig
    name: str = TISSUE_TRACKER
    needs: tuple[str, ...] = ()

    def network(self) -> TissueTracker:
        """See `Part.network`."""
        return self.config.network()

    def tasks(self, place: Workplace) -> Tasks | None:
        """See `Part.tasks`; the true motion is known for phantoms only."""
        sources = place.open_clips(self.name)
        if all(isinstance(source, PhantomSource) for source in sources):
            shape, looks = (self.stage, self.previous), Looks(appearance=self.config.appearance)
            training = TrackerTask(*shape, sources[0], self.config.window, looks)
            return Tasks(training, TrackerTask(*shape, sources[1], self.config.window))
        if self.config.init is None:
            raise ConfigError(f"{self.name}: the true motion of tissue is unknown in these clips; give the init of one")
        return None


@dataclass(frozen=True)
class GuidePart:
    """The EF guide.

    Attributes:
        config: the guide.
        base: the stage whose clips it reads.
    """

    config: GuideConfig
    base: StageConfig
    name: str = EF_GUIDE
    needs: tuple[str, ...] = ()

    def network(self) -> EFGuide:
        """See `Part.network`."""
        return self.config.network(self.base.size)

    def tasks(self, place: Workplace) -> Tasks:
        """See `Part.tasks`."""
        seen, held_out = place.open_clips(self.name)
        training = GuideTask(self.config, self.base, seen, Looks(self.base.jitter, self.config.appearance))
        return Tasks(training, GuideTask(self.config, self.base, held_out))


@dataclass(frozen=True)
class StagePart:
    """A stage.

    Attributes:
        name: of the stage.
        config: the stage.
        previous: the stage before it, None for the base and for a stage that draws frames.
    """

    name: str
    config: StageConfig
    previous: StageConfig | None

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Part.needs`."""
        consistency = self.config.consistency
        tracker = (TISSUE_TRACKER,) if self.config.sampling.tracked else ()
        return tracker + ((EF_GUIDE,) if consistency is not None and consistency.ef_weight else ())

    def network(self) -> ModelMixin:
        """See `Part.network`."""
        return self.config.network()

    def tasks(self, place: Workplace) -> Tasks:
        """See `Part.tasks`."""
        tracker = guide = None
        if TISSUE_TRACKER in self.needs:
            tracker = TissueTracker.from_pretrained(place.model(TISSUE_TRACKER, self.name)).eval()
        how = self.config.sampling
        # A preview is corrected or guided where the guide is there already; only tuning needs it.
        if EF_GUIDE in self.needs or ((how.correction or how.ef_guidance_scale) and place.has(EF_GUIDE)):
            guide = EFGuide.from_pretrained(place.model(EF_GUIDE, self.name)).eval()
        seen, held_out = place.open_clips(self.name)
        looks = Looks(self.config.jitter, self.config.appearance)
        training = DiffusionTask(self.config, self.previous, seen, tracker, looks)
        validation = DiffusionTask(self.config, self.previous, held_out, tracker)
        preview = make_preview(validation, self.name, place.out / self.name / "previews", guide)
        if self.config.consistency is None:
            return Tasks(training, validation, preview)
        steps, reader = self.config.optim.steps, guide if EF_GUIDE in self.needs else None
        tuning = DistillationTask(training, steps, reader)
        return Tasks(tuning, DistillationTask(validation, steps, reader), preview)

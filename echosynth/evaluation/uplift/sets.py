"""The clips of every arm of an uplift study, one folder a repetition.

    OUT/sets/n64_s0/real        the real clips: the first 64 of an order that the repetition draws
    OUT/sets/n64_s0/synthetic   a run of `augment` that fills up their histogram of EF
    OUT/sets/n64_s0/ungated     the first attempt at each of the same clips, accepted or not
    OUT/sets/n64_s0/oracle      the true counterfactuals of the same plan, where the real clips are phantoms

Whoever needs a set makes it, or waits for the process that is at it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from echosynth.augmentation.augment import Augmentation, augment
from echosynth.augmentation.synthetic_dataset import REFUSED, refused_name
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_subset import write_subset
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import ConfigError, DatasetError
from echosynth.evaluation.uplift.config import Arm, UpliftConfig
from echosynth.phantom.plan import SimulateConfig, plan_patient
from echosynth.phantom.simulated_clips import render_rows
from echosynth.progress import SILENT, Progress
from echosynth.seeding import derive_seed
from echosynth.storage.lock import hold
from echosynth.storage.run_records import RunRecords
from echosynth.video.clip import EchoClip

PATIENCE = 7 * 24 * 3600.0  # seconds to wait for the process that makes a set


@dataclass(frozen=True)
class ArmSets:
    """The sets of one repetition.

    Attributes:
        config: of the study.
        folder: of the repetition.
        size: number of real clips.
        seed: number of the repetition.
    """

    config: UpliftConfig
    folder: Path
    size: int
    seed: int

    def make(self, arm: Arm, progress: Progress = SILENT) -> tuple[Path, Path | None]:
        """Make what is missing of an arm's clips.

        Returns:
            The folders of its real clips and of its other clips, None if it has none.

        Raises:
            EchosynthError: the real clips are too few, or no synthetic ones can be made of them.
        """
        with hold(self.folder, PATIENCE):
            real = self.real()
            others: dict[str, Callable[[], Path]] = {
                "gated": lambda: self.synthetic(progress),
                "synthetic": lambda: self.synthetic(progress),
                "ungated": lambda: self.ungated(progress),
                "oracle": lambda: self.oracle(progress),
            }
            return real, others[arm]() if arm in others else None

    def real(self) -> Path:
        """The real clips."""
        source = EchoNetDataset(self.config.real)
        train = source.split("TRAIN")
        if len(train) < self.size:
            raise ConfigError(f"{source.root} has {len(train)} TRAIN clips, {self.size} are asked for", "sizes")
        draw = np.random.default_rng(derive_seed(self.config.seed, "uplift subset", self.seed))
        chosen = sorted(draw.permutation(len(train))[: self.size])  # a larger size holds the smaller one
        return write_subset(self.folder / "real", [(source, train[k]) for k in chosen])

    @cached_property
    def _run(self) -> Augmentation:
        return Augmentation(
            self.config.augmentation(self.size, self.seed, self.folder / "real"), self.folder / "synthetic"
        )

    def synthetic(self, progress: Progress = SILENT) -> Path:
        """The synthetic clips that the gate accepted."""
        result = augment(self._run.config, self._run.out, progress=progress)
        if not result.accepted:
            raise DatasetError(f"{result.run}: the gate accepted no clip; nothing can be learnt from none")
        return result.dataset

    def ungated(self, progress: Progress = SILENT) -> Path:
        """The first attempt at each planned clip."""
        accepted, refused = EchoNetDataset(self.synthetic(progress)), EchoNetDataset(self._run.out / REFUSED)
        first = {row.file_name: k for k, row in enumerate(refused.rows)}
        late = {entry.sample_id for entry in self._run.entries() if entry.accepted and entry.attempt}
        chosen = [(accepted, k) for k, row in enumerate(accepted.rows) if row.file_name not in late]
        names = [refused_name(sample.sample_id, 0) for sample in self._run.work.plan]
        chosen += [(refused, first[name]) for name in names if name in first]
        return write_subset(self.folder / "ungated", chosen)

    def oracle(self, progress: Progress = SILENT) -> Path:
        """The true counterfactuals: of each planned clip's patient at its target EF."""
        records = RunRecords.read(self.config.real)
        if records is None or records.command != "simulate":
            raise ConfigError(
                f"{self.config.real} is not a folder that 'simulate' wrote: leave the arm oracle out", "arms"
            )
        simulated, root = SimulateConfig.model_validate(records.config), self.folder / "oracle"
        plan = self._run.work.plan
        with EchoNetWriter(root) as writer, progress.task(len(plan), "rendering true counterfactuals") as task:
            for sample in plan:
                if sample.sample_id not in writer:
                    self._render(simulated, sample.source, sample.target_ef, sample.sample_id, writer)
                task.advance()
        return root

    @staticmethod
    def _render(simulated: SimulateConfig, source: str, ef: float, name: str, writer: EchoNetWriter) -> None:
        seed = int(source.removeprefix("P").partition("_")[0])
        at_ef = simulated.model_copy(update={"counterfactual": (ef,), "masks": False, "motion": False})
        (made,) = render_rows(at_ef, plan_patient(at_ef, seed)[1:])
        row = made.row
        writer.add(name, EchoClip(made.pixels, row.fps, ef, row.edv, row.esv), "TRAIN", made.traced)

"""The configuration of an uplift study."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, LOWEST_DRAWN_EF
from echosynth.config import RunName, VerbConfig
from echosynth.data.dataset import Split
from echosynth.training.regressor import RegressorConfig

Arm = Literal["real", "resampled", "classical", "gated", "ungated", "synthetic", "oracle"]
ARMS: dict[Arm, str] = {
    "real": "A: real clips",
    "resampled": "B: real clips, drawn as often in every band of EF",
    "classical": "C: real clips, changed at random",
    "gated": "D: real clips and synthetic ones that the gate accepted",
    "ungated": "E: real clips and synthetic ones that nobody checked",
    "synthetic": "F: synthetic clips alone, accepted",
    "oracle": "G: real clips and the true counterfactuals of the same plan",
}
REFERENCE: Arm = "real"  # that the others are compared with


class UpliftConfig(VerbConfig):
    """What `uplift` compares. All arms have equal steps, batches, first weights and rule of selection.

    Attributes:
        kind: "uplift".
        name: of the run; the default output folder is runs/<name>.
        real: a folder in EchoNet format: TRAIN gives the real clips, VAL the bias that is taken off every regressor.
        tests: name -> a folder in EchoNet format, whose clips are read.
        test_split: of these clips; None for all, of folders that nothing else is taken from.
        sizes: numbers of real clips.
        seeds: repetitions; each draws other real clips, first weights and batches, the same for all arms.
        arms: which; "real" is what the others are compared with, "oracle" needs a folder that `simulate` wrote.
        training: keys of a regressor's config, without name, seed, data and validation.
        classical: the `transforms` of the arm of that name.
        synthetic_share: of a batch, in arms with real and other clips.
        bin_width: of the bands of EF that are filled up, per cent.
        low: lower end of the first band, per cent.
        high: upper end of the last band, per cent.
        fill: clips wanted in every band, real ones included, as a share of the number of real clips.
        model: cascade, a name or folder; None for the bundled one.
        gate: regressor that accepts; None for the bundled one.
        tolerance: of the gate, points of EF.
        max_attempts: per synthetic clip.
        n_bootstrap: draws of every interval.
        seed: root seed.
        device: "auto", "cpu" or "cuda"; a run may go on with another one.
    """

    kind: Literal["uplift"] = "uplift"
    name: RunName
    real: Path
    tests: dict[RunName, Path] = Field(min_length=1)
    test_split: Split | None = "TEST"
    sizes: tuple[int, ...] = Field(min_length=1)
    seeds: int = Field(default=5, ge=1)
    arms: tuple[Arm, ...] = tuple(ARMS)
    training: dict[str, Any]
    classical: dict[str, Any] = Field(default={"rotate": 15, "scale": 0.15, "shift": 0.05, "noise": 0.05})
    synthetic_share: float = Field(default=0.5, gt=0, lt=1)
    bin_width: float = Field(default=5.0, gt=0)
    low: float = LOWEST_DRAWN_EF
    high: float = HIGHEST_DRAWN_EF
    fill: float = Field(default=1 / 13, gt=0)
    model: str | None = None
    gate: str | None = None
    tolerance: float = Field(default=5.0, ge=0)
    max_attempts: int = Field(default=3, ge=1)
    n_bootstrap: int = Field(default=2000, ge=1)
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @field_validator("sizes")
    @classmethod
    def _are_counts(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if min(sizes) < 1 or len(set(sizes)) < len(sizes):
            raise ValueError(f"sizes must be different and at least 1, got {list(sizes)}")
        return sizes

    @field_validator("arms")
    @classmethod
    def _have_a_reference(cls, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        if REFERENCE not in arms or len(set(arms)) < len(arms):
            raise ValueError(f"arms must be different, {REFERENCE!r} among them, got {list(arms)}")
        return arms

    @model_validator(mode="after")
    def _can_train(self) -> "UpliftConfig":
        taken = {"name", "seed", "data", "validation"} & set(self.training)
        if taken:
            raise ValueError(f"training: {', '.join(sorted(taken))} differ between arms; leave them out")
        mine = self.real.resolve()
        if self.test_split != "TEST" and any(folder.resolve() == mine for folder in self.tests.values()):
            raise ValueError("tests: clips that are learnt from must not be read; give test_split TEST")
        self.regressor("real", 0, self.real, None)
        return self

    def regressor(self, arm: Arm, seed: int, real: Path, other: Path | None, cache: Path = Path()) -> RegressorConfig:
        """The training of one arm.

        Args:
            arm: which.
            seed: number of the repetition.
            real: the real clips of this repetition.
            other: the arm's other clips, if it has such.
            cache: folder of decoded clips.

        Raises:
            ValidationError: `training` is not the config of a regressor.
        """
        mine: list[dict[str, Any]] = []
        if arm != "synthetic":
            mine.append({"root": real, "weight": 1 - self.synthetic_share})
        if other is not None:
            mine.append({"root": other, "weight": self.synthetic_share})
        if arm == "resampled":
            mine[0]["balance"] = self.bin_width
        values = {**self.training, "kind": "regressor", "name": "reader", "seed": self.seed + seed}
        if arm == "classical":
            values["transforms"] = self.classical
        held_out = {"source": "dataset", "root": self.real, "split": "VAL", "cache": cache}
        data = [{**part, "cache": cache} for part in mine]
        return RegressorConfig.model_validate({**values, "data": data, "validation": held_out})

    def augmentation(self, size: int, seed: int, real: Path) -> AugmentConfig:
        """The synthetic clips of one repetition."""
        return AugmentConfig(
            name="synthetic",
            source=real,
            seed=self.seed + seed,
            per_bin=max(1, round(size * self.fill)),
            bin_width=self.bin_width,
            low=self.low,
            high=self.high,
            model=self.model,
            gate=self.gate,
            tolerance=self.tolerance,
            keep_refused=True,
            max_attempts=self.max_attempts,
            device=self.device,
        )

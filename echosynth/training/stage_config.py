"""A cascade stage as a config: what it makes, how it is sampled, and how it is trained."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from echosynth.config import StrictModel
from echosynth.diffusion.cascade import FIRST_KINDS, SamplingSpec, StageSpec
from echosynth.diffusion.conditions import CONDITIONS
from echosynth.diffusion.embeddings import NUM_OCTAVES
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.unet3d import UNet3D, check_attention_levels
from echosynth.training.clips.sources import SourceField
from echosynth.training.clips.transforms import ViewJitter
from echosynth.training.engine.checkpoint import load_weights
from echosynth.training.part_config import PartConfig


class UNetConfig(StrictModel):
    """Shape of a stage's network; see `UNet3D`."""

    patch: int
    widths: list[int]
    blocks: list[int]
    space_attention: list[bool]
    time_attention: list[bool]
    emb_dim: int = 256
    scalars: list[str] = Field(default_factory=lambda: ["ef"])
    scalar_octaves: int = Field(NUM_OCTAVES, ge=0)
    frame_patch: int | None

    @field_validator("scalars")
    @classmethod
    def _are_conditions(cls, names: list[str]) -> list[str]:
        if unknown := [name for name in names if name not in CONDITIONS]:
            raise ValueError(f"no condition is called {', '.join(unknown)}; there are {', '.join(CONDITIONS)}")
        return names

    @model_validator(mode="after")
    def _levels_agree(self) -> "UNetConfig":
        check_attention_levels(self.widths, self.blocks, self.space_attention, self.time_attention)
        return self


class ConsistencyConfig(StrictModel):
    """Tuning of a trained stage to few passes; see `DistillationTask`.

    Attributes:
        doublings: how often the gap between two levels that have to agree is halved, in equal parts of the training, of
            which the first still denoises.
        first_doublings: how often it has been halved at the start, for weights that were tuned before.
        ef_weight: of how far the EF guide reads the stage's clips from true ones, where an EF and a frame are given; 0
            to leave it out.
    """

    doublings: int = Field(8, ge=1)
    first_doublings: int = Field(0, ge=0)
    ef_weight: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _gap_narrows(self) -> "ConsistencyConfig":
        if self.first_doublings > self.doublings:
            raise ValueError("first_doublings: the gap narrows; it must not be more than doublings")
        return self


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SamplingConfig(SamplingSpec):
    """How a stage is sampled; see `SamplingSpec` for most of it and `EDMScheduler` for the solver.

    Attributes:
        num_inference_steps: solver steps.
        solver: of the probability flow; "consistency" for a stage that was tuned to few steps.
        S_churn: noise that the solver adds on its way.
        sigma_min: lowest noise level.
        sigma_max: highest noise level.
        rho: how levels crowd towards the lowest one.
    """

    num_inference_steps: int
    solver: Literal["dpmpp_2m", "heun", "euler", "consistency"] = "dpmpp_2m"
    S_churn: float = 0.0
    sigma_min: float = 0.002
    sigma_max: float = 20.0
    rho: float = 7.0


class NoiseConfig(StrictModel):
    """The noise that a stage learns to remove.

    Attributes:
        sigma_data: standard deviation of the clip's difference to its reference, in [-1, 1] units.
        P_mean: mean of ln sigma.
        P_std: standard deviation of ln sigma.
        lowres_sigma_max: noise on the previous clip is uniform from 0 to this.
    """

    sigma_data: float
    P_mean: float = -1.2
    P_std: float = 1.4
    lowres_sigma_max: float = 0.0


BLOCKS = {
    "sampling": {field.name for field in fields(SamplingConfig)},
    "noise": set(NoiseConfig.model_fields),
}
"""Keys that stood beside the others before a stage had blocks, by the block that they are in now."""


class StageConfig(PartConfig):
    """A stage: what it makes (see `StageSpec`), how it is sampled, and how it is trained.

    Attributes:
        kind: "frame", "base", "temporal", "spatial" or "both".
        frames: frames of the clip it makes.
        fps: Hz.
        size: side of the picture it makes, pixels.
        sampling: how it is sampled.
        noise: what it learns to remove.
        scalar_dropout: per scalar, the share of samples trained without it.
        frame_dropout: share trained without the conditioning frame; a frame stage never has one.
        window: frames seen at once in training, None for all.
        crop: side of the square seen in training, None for all; a multiple of the network's stride.
        image_share: share of the steps in which every frame is a sample of its own, without the others: what is learnt
            of single pictures serves clips too (Ho et al. 2022, Video Diffusion Models, section 3.2).
        jitter: views to train on beside those of the clips, None for no others.
        consistency: tune to few passes instead of training to denoise; needs the `init` of a trained stage.
        data: training clips of this stage, None for those of the whole cascade.
        validation: its held-out clips, None for the cascade's.
        unet: network. Scalars that the weights of `init` do not know start fresh.
    """

    kind: Literal["frame", "base", "temporal", "spatial", "both"]
    frames: int
    fps: float
    size: int
    sampling: SamplingConfig
    noise: NoiseConfig
    scalar_dropout: dict[str, float] = Field(default_factory=lambda: {"ef": 0.1})
    frame_dropout: float = 0.05
    window: int | None = None
    crop: int | None = None
    image_share: float = Field(0.0, ge=0, le=1)
    jitter: ViewJitter | None = None
    consistency: ConsistencyConfig | None = None
    data: SourceField | None = None
    validation: SourceField | None = None
    unet: UNetConfig

    @model_validator(mode="before")
    @classmethod
    def _read_flat_keys(cls, values: Any) -> Any:
        """Configs of earlier versions have the keys of `sampling` and `noise` beside the others."""
        if not isinstance(values, Mapping):
            return values
        values = {key.replace("steering_", "ef_guidance_"): value for key, value in values.items()}
        for block, names in BLOCKS.items():
            flat = {key: values.pop(key) for key in names & values.keys()}
            own = values.get(block, {})
            if not flat or not isinstance(own, Mapping):
                continue
            if twice := sorted(flat.keys() & own.keys()):
                raise ValueError(f"'{twice[0]}' is '{block}.{twice[0]}' now, and that is given too; leave one out")
            values[block] = {**own, **flat}
        return values

    @model_validator(mode="after")
    def _options_agree(self) -> "StageConfig":
        sampling = self.sampling
        if (self.kind == "frame") != (self.unet.frame_patch is None):
            raise ValueError("unet.frame_patch: null for a frame stage, which sees no frame, and for no other")
        renewed = sampling.S_churn or (sampling.solver == "consistency" and sampling.num_inference_steps > 1)
        if sampling.noise_share and renewed:
            raise ValueError("this sampler adds noise of every frame's own on its way: leave out noise_share")
        if sampling.correction and sampling.solver != "consistency":
            raise ValueError(
                "correction: the solver must be consistency, whose one step makes a clip that EF can be read off"
            )
        if self.consistency is not None and (self.init is None or self.image_share):
            raise ValueError("consistency: it tunes what an `init` has learnt of whole clips; leave out image_share")
        if self.consistency is not None and self.consistency.ef_weight and self.kind != "base":
            raise ValueError("consistency: the EF guide reads the base's clips; leave out ef_weight")
        return self

    def spec(self, name: str) -> StageSpec:
        """The part that the pipeline needs."""
        options = {field.name: getattr(self.sampling, field.name) for field in fields(SamplingSpec)}
        steps = self.sampling.num_inference_steps
        return StageSpec(name, self.kind, self.frames, self.fps, self.size, steps, **options)

    def scheduler(self) -> EDMScheduler:
        """The stage's sampler."""
        how = self.sampling
        return EDMScheduler(
            how.sigma_min, how.sigma_max, self.noise.sigma_data, how.rho, solver=how.solver, S_churn=how.S_churn
        )

    def network(self) -> UNet3D:
        """A network with fresh weights, or with those of `init`.

        Raises:
            CheckpointError: `init` holds no weights, or weights of another shape.
        """
        fresh = UNet3D(**self.unet.model_dump(), lowres=self.kind not in FIRST_KINDS)
        if self.init is not None:
            load_weights(fresh, self.init, may_lack="embed.scalars.")
        return fresh

"""A cascade stage as a config: what it makes, how it is sampled, and how it is trained."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from echosynth.config import StrictModel
from echosynth.diffusion.cascade import FIRST_KINDS, StageSpec
from echosynth.diffusion.conditions import CONDITIONS
from echosynth.diffusion.embeddings import NUM_OCTAVES
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.unet3d import UNet3D
from echosynth.training.clips.sources import SourceConfig
from echosynth.training.clips.transforms import ViewJitter
from echosynth.training.engine.checkpoint import load_weights
from echosynth.training.engine.optim import OptimConfig


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


class StageConfig(StrictModel):
    """A stage: what it makes (see `StageSpec`), how it is sampled, and how it is trained.

    Attributes:
        sigma_data: spread of the clip's difference to its reference, in [-1, 1] units.
        P_mean: mean of ln sigma in training.
        P_std: its spread.
        scalar_dropout: per scalar, the share of samples trained without it.
        frame_dropout: share trained without the conditioning frame; a frame stage never has one.
        lowres_sigma_max: noise on the previous clip in training is uniform from 0 to this.
        window: frames seen at once in training, None for all.
        crop: side of the square seen in training, None for all; a multiple of the network's stride.
        image_share: share of the steps in which every frame is a sample of its own, without the others: what is learnt
            of single pictures serves clips too (Ho et al. 2022, Video Diffusion Models, section 3.2).
        jitter: views to train on beside those of the clips, None for no others.
        consistency: tune to few passes instead of training to denoise; needs the `init` of a trained stage.
        data: training clips of this stage, None for those of the whole cascade.
        validation: its held-out clips, None for the cascade's.
        init: folder of finished weights to start from, None for fresh ones; e.g. to fine-tune on one's own data.
            Scalars that those weights do not listen to start fresh.
        unet: network.
        optim: optimiser.
    """

    kind: Literal["frame", "base", "temporal", "spatial", "both"]
    frames: int
    fps: float
    size: int
    num_inference_steps: int
    guidance_scale: float = 1.0
    guidance_low: float = 0.0
    guidance_high: float = 1e9
    ef_guidance_scale: float = 0.0
    ef_guidance_low: float = 0.0
    ef_guidance_high: float = 1e9
    correction: float = 0.0
    lowres_sigma: float = 0.0
    noise_share: float = 0.0
    tracked: bool = False
    solver: Literal["dpmpp_2m", "heun", "euler", "consistency"] = "dpmpp_2m"
    S_churn: float = 0.0
    sigma_data: float
    sigma_min: float = 0.002
    sigma_max: float = 20.0
    rho: float = 7.0
    P_mean: float = -1.2
    P_std: float = 1.4
    scalar_dropout: dict[str, float] = Field(default_factory=lambda: {"ef": 0.1})
    frame_dropout: float = 0.05
    lowres_sigma_max: float = 0.0
    window: int | None = None
    crop: int | None = None
    image_share: float = Field(0.0, ge=0, le=1)
    jitter: ViewJitter | None = None
    consistency: ConsistencyConfig | None = None
    data: SourceConfig | None = Field(None, discriminator="source")
    validation: SourceConfig | None = Field(None, discriminator="source")
    init: Path | None = None
    unet: UNetConfig
    optim: OptimConfig

    @model_validator(mode="after")
    def _options_agree(self) -> "StageConfig":
        if (self.kind == "frame") != (self.unet.frame_patch is None):
            raise ValueError("unet.frame_patch: null for a frame stage, which sees no frame, and for no other")
        renewed = self.S_churn or (self.solver == "consistency" and self.num_inference_steps > 1)
        if self.noise_share and renewed:
            raise ValueError("this sampler adds noise of every frame's own on its way: leave out noise_share")
        if self.correction and self.solver != "consistency":
            raise ValueError("correction: EF can be read off the answer of a jump alone; leave it out, or jump")
        if self.consistency is not None and (self.init is None or self.image_share):
            raise ValueError("consistency: it tunes what an `init` has learnt of whole clips; leave out image_share")
        if self.consistency is not None and self.consistency.ef_weight and self.kind != "base":
            raise ValueError("consistency: the EF guide reads the base's clips; leave out ef_weight")
        return self

    def spec(self, name: str) -> StageSpec:
        """The part that the pipeline needs."""
        shared = StageSpec.__dataclass_fields__.keys() - {"name"}
        return StageSpec(name=name, **{key: getattr(self, key) for key in shared})

    def scheduler(self) -> EDMScheduler:
        """The stage's sampler."""
        return EDMScheduler(
            self.sigma_min, self.sigma_max, self.sigma_data, self.rho, solver=self.solver, S_churn=self.S_churn
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

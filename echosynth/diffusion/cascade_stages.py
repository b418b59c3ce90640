"""The stages of a cascade, read from a pipeline's configuration and the components that it has."""

from collections.abc import Sequence
from typing import Any

from echosynth.diffusion.cascade import StageSpec
from echosynth.diffusion.conditions import CONDITIONS


class CascadeStages:
    """What a pipeline says of its stages; it has a `config` with `stages`, and components named after them."""

    config: Any
    base_unet: Any
    frame_unet: Any

    @property
    def stages(self) -> list[StageSpec]:
        """The stages that make a clip of a frame, in order: a caller may leave the last ones out (sr2_unet=None)."""
        specs = [spec for spec in self._declared if spec.kind != "frame"]
        present = [getattr(self, f"{spec.name}_unet") is not None for spec in specs]
        return specs[: present.index(False)] if False in present else specs

    @property
    def frame_stage(self) -> StageSpec | None:
        """The stage that draws frames of fictional patients, if there is one."""
        first = self._declared[0]
        return first if first.kind == "frame" and self.frame_unet is not None else None

    @property
    def _declared(self) -> list[StageSpec]:
        return [StageSpec.from_dict(stage) for stage in self.config["stages"]]

    @property
    def frame_side(self) -> int:
        """Side of the conditioning frames, pixels."""
        config = self.base_unet.config
        return self.stages[0].size * config.frame_patch // config.patch

    @property
    def supported_conditions(self) -> list[str]:
        """Names of the `CONDITIONS` that some stage is conditioned on."""
        return self._supported_by(self.stages)

    @property
    def frame_conditions(self) -> list[str]:
        """Names of the `CONDITIONS` that frames of fictional patients are drawn by."""
        return self._supported_by([self.frame_stage or self.stages[0]])

    def _supported_by(self, specs: Sequence[StageSpec]) -> list[str]:
        scalars = [getattr(self, f"{spec.name}_unet").config.scalars for spec in specs]
        return [name for name in CONDITIONS if any(name in names for names in scalars)]

"""What a cascade is put together from, checked: each part's class, and that its network fits its stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from echosynth.diffusion.cascade import FIRST_KINDS, StageSpec
from echosynth.diffusion.ef_guide import EFGuide
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.tissue_tracker import TissueTracker
from echosynth.diffusion.unet3d import UNet3D

PART_CLASSES: dict[str, type] = {"unet": UNet3D, "scheduler": EDMScheduler}
HELPER_CLASSES: dict[str, type] = {"ef_guide": EFGuide, "tissue_tracker": TissueTracker}


def check_part(name: str, part: Any, wanted: type) -> None:
    """Raise ValueError if a part is of another class; a compiled network counts as what it was made of."""
    part = getattr(part, "_orig_mod", part)
    if not isinstance(part, wanted):
        raise ValueError(f"{name} must be of class {wanted.__name__}, got {type(part).__name__}")


def check_components(specs: Sequence[StageSpec], parts: Mapping[str, Any]) -> None:
    """Check the parts of a cascade.

    Args:
        specs: its stages, a whole chain (`check_chain`).
        parts: its components by name; None for those that are left out. The frame stage may be left out, and the last
            stages may.

    Raises:
        ValueError: there is no chain, a part is missing, of another class, or does not fit its stage; the message names
            it.
    """
    for name, wanted in HELPER_CLASSES.items():
        if parts[name] is not None:
            check_part(name, parts[name], wanted)
    if parts["tissue_tracker"] is None and any(spec.tracked for spec in specs):
        raise ValueError("a stage is tracked, but there is no tissue_tracker")
    left_out = ""
    for spec in specs:
        names = [f"{spec.name}_{part}" for part in PART_CLASSES]
        if unknown := [name for name in names if name not in parts]:
            raise ValueError(f"stage {spec.name!r}: a cascade has no component {unknown[0]}")
        missing = [name for name in names if parts[name] is None]
        if len(missing) == len(names) and spec.kind != "base":
            left_out = left_out or ("" if spec.kind == "frame" else spec.name)
            continue
        if missing:
            raise ValueError(f"{missing[0]} is missing, and stage {spec.name!r} needs it")
        if left_out:
            raise ValueError(f"stage {spec.name!r} goes on from {left_out!r}, which is left out")
        for name, wanted in zip(names, PART_CLASSES.values(), strict=True):
            check_part(name, parts[name], wanted)
        _check_fit(spec, parts[names[0]].config)
    present = {spec.name for spec in specs}
    for name in parts:
        stage = name.removesuffix("_unet").removesuffix("_scheduler")
        if stage != name and parts[name] is not None and stage not in present:
            raise ValueError(f"{name} belongs to no stage: stages are {', '.join(spec.name for spec in specs)}")


def _check_fit(spec: StageSpec, config: Any) -> None:
    """A network's inputs are those of the stage, and its grid divides the stage's picture."""
    if config.lowres != (spec.kind not in FIRST_KINDS):
        takes = "takes a low-resolution clip" if config.lowres else "takes no low-resolution clip"
        raise ValueError(f"{spec.name}_unet {takes}, which does not fit a stage of kind {spec.kind!r}")
    if (config.frame_patch is None) != (spec.kind == "frame"):
        sees = "sees no conditioning frame" if config.frame_patch is None else "sees a conditioning frame"
        raise ValueError(f"{spec.name}_unet {sees}, which does not fit a stage of kind {spec.kind!r}")
    unit = config.patch * 2 ** (len(config.widths) - 1)
    if spec.size % unit:
        raise ValueError(f"{spec.name}_unet makes pictures whose side is a multiple of {unit}, not {spec.size}")

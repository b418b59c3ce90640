"""Open a cascade by name, after its hashes were checked."""

from pathlib import Path

import torch

from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.errors import CheckpointError
from echosynth.runtime import quiet_diffusers
from echosynth.storage.model_files import LOADING_FAULTS, first_line, read_json_object
from echosynth.storage.model_ref import ModelRef, resolve

DEFAULT_CASCADE = "phantom_fast"


def load_cascade(model: str | Path | ModelRef = DEFAULT_CASCADE, device: str = "cpu") -> EchoCascadePipeline:
    """Load a bundled or added cascade, or one from a folder that training or `save_pretrained` wrote.

    Args:
        model: name, folder, or what `resolve` returned; the last is not hashed again.
        device: where it runs.

    Raises:
        CheckpointError: it is unknown, incomplete, no cascade, or its hashes are not the published ones.
    """
    folder = resolve(model, "cascade").folder
    index = read_json_object(folder / "model_index.json")
    # A component is [module, class]; other lists are the pipeline's own settings.
    parts = [p for p, kind in index.items() if isinstance(kind, list) and [type(k) for k in kind] == [str, str]]
    missing = [part for part in parts if not (folder / part).is_dir()]
    if index.get("_class_name") != EchoCascadePipeline.__name__ or missing:
        raise CheckpointError(f"{folder} is not a whole cascade; give a folder with base_unet/, base_scheduler/, ...")
    try:
        # Stored in half precision to be small; the masters are float32 and autocast chooses per operation.
        with quiet_diffusers():
            pipeline = EchoCascadePipeline.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
            )
    except LOADING_FAULTS as error:
        raise CheckpointError(f"{folder} cannot be loaded as a cascade: {first_line(error)}") from error
    return pipeline.to(device)

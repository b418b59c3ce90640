"""For DiffusionPipeline.from_pretrained(FOLDER, custom_pipeline=FOLDER, trust_remote_code=True)."""

from echosynth.diffusion.pipeline import EchoCascadePipeline

__all__ = ["EchoCascadePipeline"]

"""The generator: one frame and an ejection fraction in, a clip out, by a cascade of elucidated diffusion stages.

The folder's module paths are a file format: diffusers writes them into `model_index.json`. Do not move a class.
"""

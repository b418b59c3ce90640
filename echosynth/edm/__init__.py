"""Pure mathematics of elucidated diffusion (Karras et al. 2022) and its heirs, for tensors of any shape (B, *).

Nothing here knows of videos, hearts or networks: a denoiser is any function `denoise(x, sigma) -> D`.
"""

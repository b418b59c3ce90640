"""Pixel agreement of a generated clip with the TRUE counterfactual: same patient, same speckle, other EF.

    MAE  = mean |x - y|                    grey levels, 0-255
    PSNR = 10 log10(255^2 / mean (x - y)^2)  dB over the whole clip; infinite for equal clips
    SSIM = Wang et al., IEEE TIP 13 (2004), 2-D on each frame, mean over frames, range 255, Gaussian window sigma 1.5

Only a simulator has the true counterfactual. Against another heartbeat of a real patient these scores say little, and
the black outside the sector, which both clips share, lifts all three: compare models on the same clips only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from echosynth.metrics.bootstrap import PatientBootstrap
from echosynth.metrics.ef_metrics import none_if_undefined

GREY_MAX = 255.0


@dataclass(frozen=True)
class ClipSimilarity:
    """Agreement of two clips: SSIM at most 1, PSNR in dB, MAE in grey levels 0-255."""

    ssim: float
    psnr: float
    mae: float


def compare_clips(generated: np.ndarray, truth: np.ndarray) -> ClipSimilarity:
    """Compare a generated clip with the truth, frame by frame.

    Args:
        generated: grey levels uint8 (T, H, W).
        truth: the same.

    Raises:
        ValueError: the clips differ in shape, or a frame is smaller than the SSIM window of 11 pixels.
    """
    if generated.shape != truth.shape:
        raise ValueError(f"clips differ in shape: {generated.shape} and {truth.shape}")
    if min(truth.shape[1:]) < 11:
        raise ValueError(f"SSIM needs frames of at least 11x11 pixels, got {truth.shape[1:]}")
    # In float32 the variances E[x^2] - E[x]^2 of flat regions cancel, and SSIM is off by 1e-4.
    x = torch.from_numpy(generated.astype(np.float64))[:, None]
    y = torch.from_numpy(truth.astype(np.float64))[:, None]
    ssim = structural_similarity_index_measure(x, y, data_range=GREY_MAX)
    if isinstance(ssim, tuple):  # only with return_full_image, which is not asked for
        raise TypeError("torchmetrics returned SSIM images")
    difference = generated.astype(np.float64) - truth
    mse = float((difference**2).mean())
    psnr = 10.0 * float(np.log10(GREY_MAX**2 / mse)) if mse > 0 else float("inf")
    return ClipSimilarity(ssim=float(ssim), psnr=psnr, mae=float(np.abs(difference).mean()))


def summarise_similarity(
    similarities: Sequence[ClipSimilarity], patients: Sequence[str], n_bootstrap: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Return means over clips with 95 % intervals by patient bootstrap, as a dict for JSON.

    Args:
        similarities: one per clip, may be empty.
        patients: the patient of each clip.
        n_bootstrap: bootstrap draws.
        seed: root seed of the draws.

    Raises:
        ValueError: the lengths differ.
    """
    if len(similarities) != len(patients):
        raise ValueError(f"{len(similarities)} similarities but {len(patients)} patients")
    if not similarities:
        return {"n": 0}
    values = np.array([[s.ssim, s.psnr, s.mae] for s in similarities])
    bootstrap = PatientBootstrap.draw(patients, n_bootstrap, seed)
    means = dict(zip(("ssim", "psnr", "mae"), values.mean(axis=0), strict=True))
    result: dict[str, Any] = {
        "n": len(values),
        "protocol": "per-frame 2-D SSIM, clip PSNR (dB), MAE in grey levels; against the true counterfactual",
        **{name: none_if_undefined(mean) for name, mean in means.items()},
        "ci": {},
    }
    # One infinite PSNR (equal clips) would turn the products with a count of 0 into NaN: no interval then.
    if bootstrap.n_patients > 1 and np.isfinite(values).all():
        sums = bootstrap.draw_sums(np.column_stack([values, np.ones(len(values))]))
        draws = sums[:, :3] / sums[:, 3:]
        result["ci"] = {name: list(bootstrap.interval(draws[:, column])) for column, name in enumerate(means)}
    return result

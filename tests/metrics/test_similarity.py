"""Similarity against torchmetrics frame by frame and closed forms."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from echosynth.metrics.similarity import ClipSimilarity, compare_clips, summarise_similarity


def clip(seed: int, frames: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 32, 40), dtype=np.uint8)


def test_equals_torchmetrics_frame_by_frame() -> None:
    a, b = clip(0), clip(1)
    x, y = (torch.tensor(c).double()[:, None, None] for c in (a, b))
    s = compare_clips(a, b)
    frames = [float(structural_similarity_index_measure(f, g, data_range=255.0)) for f, g in zip(x, y, strict=True)]
    assert s.ssim == pytest.approx(np.mean(frames), abs=1e-6)
    assert s.psnr == pytest.approx(float(peak_signal_noise_ratio(x, y, data_range=255.0)), abs=1e-4)
    assert s.mae == pytest.approx(float((x - y).abs().mean()), rel=1e-6)
    assert compare_clips(b, a).ssim == pytest.approx(s.ssim, abs=1e-6)


def test_closed_forms() -> None:
    a = np.full((3, 16, 16), 100, np.uint8)
    same = compare_clips(a, a)
    assert same.ssim == pytest.approx(1.0)
    assert same.mae == 0
    assert same.psnr == float("inf")
    b = compare_clips(a, a + np.uint8(10))
    assert b.mae == 10
    assert b.psnr == pytest.approx(20 * np.log10(25.5))
    c1 = (0.01 * 255) ** 2
    assert b.ssim == pytest.approx((2 * 100 * 110 + c1) / (100**2 + 110**2 + c1), abs=1e-9)


def test_summary_and_refusals() -> None:
    values = [ClipSimilarity(0.5, 20, 3), ClipSimilarity(0.7, 24, 1), ClipSimilarity(0.9, 28, 2)]
    summary = summarise_similarity(values, ["a", "b", "c"], 200)
    assert (summary["n"], summary["ssim"], summary["psnr"]) == (3, pytest.approx(0.7), 24)
    low, high = summary["ci"]["ssim"]
    assert 0.5 <= low < 0.7 < high <= 0.9
    assert summarise_similarity([ClipSimilarity(1, float("inf"), 0)] * 2, ["a", "b"])["psnr"] is None
    assert summarise_similarity([], []) == {"n": 0}
    with pytest.raises(ValueError, match="differ in shape"):
        compare_clips(clip(0, 3), clip(0, 4))
    small = np.zeros((2, 8, 40), np.uint8)
    with pytest.raises(ValueError, match="11x11"):
        compare_clips(small, small)

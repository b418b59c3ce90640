"""Means over what is known, which a batch's parts agree on."""

import torch
from einops import rearrange


def masked_mean(value: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean over what is known of each sample, and then over all samples; one of which nothing is known counts as 0.

    Divided by how much is known of a whole batch instead, it would not be the mean of the same over the batch's parts:
    what is learnt would depend on how many processes share a step.

    Args:
        value: (B, *), finite where `known`.
        known: bool, of the same shape.
    """
    kept = rearrange(torch.where(known, value, 0.0), "b ... -> b (...)")
    count = rearrange(known, "b ... -> b (...)").sum(1)
    return (kept.sum(1) / count.clamp_min(1)).mean()

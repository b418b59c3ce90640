"""Rank-N-Contrast: a loss that orders distances of embeddings as those of their labels.

    s_ij = -|E_i - E_j| / tau,  d_ij = |y_i - y_j|,  S_ij = {k != i : d_ik >= d_ij}
    L = mean over i and j != i of  log sum_{k in S_ij} exp s_ik - s_ij

For each pair (i, j), all samples whose label is no closer to i than j's are pushed further from i than j.

Source: Zha et al. 2023.
"""

import torch


def rank_n_contrast(embeddings: torch.Tensor, labels: torch.Tensor, temperature: float = 2.0) -> torch.Tensor:
    """Loss of a batch.

    Args:
        embeddings: (N, D), N > 1.
        labels: (N,), e.g. EF in per cent; equal labels count as ties.
        temperature: tau; 2 in Rank-N-Contrast, 1 in CoReEcho.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: there is no pair.
    """
    count = len(embeddings)
    if count < 2:
        raise ValueError("Rank-N-Contrast needs at least two embeddings")
    others = ~torch.eye(count, dtype=torch.bool, device=embeddings.device)

    def gather(pairs: torch.Tensor) -> torch.Tensor:
        """Each row without itself: (N, N) -> (N, N - 1)."""
        return pairs[others].view(count, count - 1)

    # The gradient of a distance is not defined at 0, and two views of one clip can coincide.
    squares = (embeddings[:, None] - embeddings[None]).square().sum(-1)
    similarity = gather(-(squares + 1e-12).sqrt() / temperature)
    distance = gather((labels[:, None] - labels[None]).abs())
    no_closer = distance[:, None, :] >= distance[:, :, None]  # (i, j, k)
    reach = similarity[:, None, :].masked_fill(~no_closer, -torch.inf).logsumexp(-1)
    return (reach - similarity).mean()

"""Named feature spaces for distances between sets of clips.

A distance means nothing without the network that it was measured in, so every feature space has a name, and every score
carries it: `fd[judge:uniformer;n=200]`. The bundled one is the judge's own penultimate embedding: small, trained on the
phantom, good for comparing our models with each other and NOT comparable with any FID or FVD in a paper.
"""

from typing import Protocol

import torch
from torch import Tensor

SEPARATORS = "[];="


class EmbeddingRegressor(Protocol):
    """What `JudgeFeatures` needs of a regressor."""

    def features(self, x: Tensor) -> Tensor:
        """Map clips (B, 1, T, H, W) in [-1, 1] to the penultimate embedding (B, D)."""
        ...


class JudgeFeatures:
    """The penultimate embedding of the judge regressor, which saw truth in training and never gated.

    Attributes:
        name: "judge:" and the regressor's name.
    """

    def __init__(self, regressor: EmbeddingRegressor, name: str) -> None:
        """Wrap `regressor`, known as `name`.

        Raises:
            ValueError: the name would break the score's name, or claims to be FID or FVD.
        """
        if not name or set(name) & set(SEPARATORS) or name.lower() in ("fid", "fvd"):
            raise ValueError(f"{name!r} cannot name a feature space: not empty, not FID or FVD, no [ ] ; =")
        self.name = f"judge:{name}"
        self._regressor = regressor
        if isinstance(regressor, torch.nn.Module):
            # Batch statistics and dropout would make a feature depend on the other clips of its batch.
            regressor.eval()

    def __call__(self, clips: Tensor) -> Tensor:
        """Map clips (B, 1, T, H, W) in [-1, 1] to features (B, D).

        Raises:
            ValueError: clips of another shape, or an embedding that is not (B, D).
        """
        if clips.ndim != 5 or clips.shape[1] != 1:
            raise ValueError(f"clips must be (B, 1, T, H, W), got {tuple(clips.shape)}")
        # With gradients off, attention takes another path whose last digits differ from those of published scores.
        features = self._regressor.features(clips).detach()
        if features.ndim != 2 or len(features) != len(clips):
            raise ValueError(f"the embedding must be ({len(clips)}, D), got {tuple(features.shape)}")
        return features


def plain_name(name: str) -> str:
    """A name without the characters that separate the parts of a score's name."""
    return "".join(c for c in name if c not in SEPARATORS)

"""The judge's feature space: names, shapes, evaluation mode, batches."""

import pytest
import torch
from torch import Tensor, nn

from echosynth.evaluation.features import JudgeFeatures, plain_name


class Regressor(nn.Module):
    """A network with dropout and batch norm, which only evaluation mode makes deterministic."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.BatchNorm1d(8), nn.Dropout(0.5))

    def features(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result


def test_features_do_not_depend_on_the_batch() -> None:
    features = JudgeFeatures(Regressor(), "toy")
    clips = torch.rand(6, 1, 4, 8, 8)
    whole = features(clips)
    parts = torch.cat([features(batch) for batch in clips.split([1, 4, 1])])
    assert whole.shape == (6, 8)
    assert torch.allclose(whole, parts)
    assert features.name == "judge:toy"


def test_bad_names_and_shapes_are_refused() -> None:
    for name in ("", "FVD", "fid", "a;n=9", "a]"):
        with pytest.raises(ValueError, match="cannot name"):
            JudgeFeatures(Regressor(), name)
    assert JudgeFeatures(Regressor(), plain_name("[a;n=9]")).name == "judge:an9"
    features = JudgeFeatures(Regressor(), "toy")
    with pytest.raises(ValueError, match="B, 1, T, H, W"):
        features(torch.rand(2, 3, 4, 8, 8))

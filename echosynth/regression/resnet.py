"""ResNet: features of single frames. Layout and names as in torchvision's `resnet50`, so public weights load.

Source: He et al. 2016; stride in the 3x3 convolution of a bottleneck, as torchvision has it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        outside = EXPANSION * width
        self.conv1, self.bn1 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outside, 1, bias=False), nn.BatchNorm2d(outside)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inside, H, W) -> (N, 4 width, H', W')."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """Frame encoder; the defaults are ResNet-50 without its classifier.

    Args:
        channels: of a frame.
        width: channels of the stem; a frame becomes 32 times as many features.
        blocks: bottlenecks per layer.
    """

    def __init__(self, channels: int = 3, width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inside = width
        for k, count in enumerate(blocks):
            inner = width * 2**k
            layer = [
                Bottleneck(inside if j == 0 else EXPANSION * inner, inner, 2 if k and j == 0 else 1)
                for j in range(count)
            ]
            setattr(self, f"layer{k + 1}", nn.Sequential(*layer))
            inside = EXPANSION * inner
        self.features = inside

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """Features before pooling: (N, channels, H, W) -> (N, features, H / 32, W / 32)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for k in range(1, 5):
            x = getattr(self, f"layer{k}")(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> (N, features)."""
        return self.maps(x).mean(dim=(2, 3))

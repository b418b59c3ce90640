"""R(2+1)D: three-dimensional convolutions split into space (1x3x3) and time (3x1x1). EchoNet-Dynamic's regressor.

Source: Tran et al. 2018; layout and names as in torchvision's `r2plus1d_18` (stem, layer1-4, fc), so public EchoNet
weights load (public_weights.py): widths (64, 128, 256, 512), blocks (2, 2, 2, 2) and a stem of 45 give that network.
Only the input differs: one grey channel instead of three equal ones, at a third of the cost.
"""

from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin  # noqa: F401  (diffusers looks for these names in a component's module)
from diffusers.configuration_utils import register_to_config
from torch import nn

from echosynth.regression.base import EFRegressor


class Conv2Plus1D(nn.Sequential):
    """Space convolution to `middle` channels, normalisation, then time convolution."""

    def __init__(self, inside: int, outside: int, middle: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(inside, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
            nn.BatchNorm3d(middle),
            nn.ReLU(inplace=True),
            nn.Conv3d(middle, outside, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
        )


class BasicBlock(nn.Module):
    """Two split convolutions and a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        # As many weights as a full 3x3x3 convolution would have (Tran 2018, section 3.5).
        middle = (inside * outside * 27) // (inside * 9 + 3 * outside)
        self.conv1 = nn.Sequential(Conv2Plus1D(inside, outside, middle, stride), nn.BatchNorm3d(outside), nn.ReLU(True))
        self.conv2 = nn.Sequential(Conv2Plus1D(outside, outside, middle), nn.BatchNorm3d(outside))
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv3d(inside, outside, 1, stride, bias=False), nn.BatchNorm3d(outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inside, T, H, W) -> (B, outside, T', H', W')."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv2(self.conv1(x)) + shortcut)


class R2Plus1D(EFRegressor):
    """R(2+1)D regressor.

    Args:
        fps: frame rate of its input, Hz.
        frames: frames of a window.
        size: side of the picture, pixels.
        widths: channels of the four layers.
        blocks: blocks of the four layers.
        stem_width: middle channels of the stem.
        statistics: mean and standard deviation of the pixels that its weights were trained on, 0-255; None for those
            of every clip.
        mirrored: predict the mean over a clip and its mirror image.
        error90: half width of the 90 % interval, EF points.
    """

    @register_to_config
    def __init__(
        self,
        fps: float = 16.0,
        frames: int = 32,
        size: int = 56,
        widths: Sequence[int] = (16, 32, 64, 128),
        blocks: Sequence[int] = (1, 1, 1, 1),
        stem_width: int = 16,
        statistics: Sequence[float] | None = None,
        mirrored: bool = False,
        error90: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(1, stem_width, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.BatchNorm3d(stem_width),
            nn.ReLU(inplace=True),
            nn.Conv3d(stem_width, widths[0], (3, 1, 1), 1, (1, 0, 0), bias=False),
            nn.BatchNorm3d(widths[0]),
            nn.ReLU(inplace=True),
        )
        inside = widths[0]
        for k, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            layer = [BasicBlock(inside if j == 0 else width, width, 2 if k and j == 0 else 1) for j in range(count)]
            setattr(self, f"layer{k + 1}", nn.Sequential(*layer))
            inside = width
        self.fc = nn.Linear(inside, 1)

    @property
    def head(self) -> nn.Linear:  # type: ignore[override]
        """The last layer, under torchvision's name."""
        return self.fc

    @property
    def gradcam_layer(self) -> nn.Module:
        """See `EFRegressor.gradcam_layer`."""
        return self.layer2

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """See `EFRegressor.embed`."""
        x = self.stem(x)
        for k in range(1, 5):
            x = getattr(self, f"layer{k}")(x)
        return x.mean(dim=(2, 3, 4))

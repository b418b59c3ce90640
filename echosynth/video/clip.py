"""EchoClip: the value object that readers make and that writers and regressors take.

Legend of shapes used in the whole package: B batch, C channels (1, grey), T time, H height, W width.
Clips in files and in `EchoClip` are uint8 (T, H, W), 0-255; inside networks they are float (B, C, T, H, W) in [-1, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class EchoClip:
    """One grey ultrasound clip with what is known of it.

    Attributes:
        pixels: uint8 (T, H, W), 0-255.
        fps: frames per second, Hz, > 0.
        ef: left-ventricular ejection fraction, per cent 0-100, or None if unknown.
        edv: end-diastolic volume, ml, or None.
        esv: end-systolic volume, ml, or None.
        ed_frame: index of the end-diastolic frame, or None.
        es_frame: index of the end-systolic frame, or None.
        source: where the clip comes from, for messages and manifests.
        attributes: what is known of the patient: "age" years, "sex" 0 female and 1 male, "weight" kg, "height" cm.

    Raises:
        ValueError: a field is outside its range.
    """

    pixels: np.ndarray
    fps: float
    ef: float | None = None
    edv: float | None = None
    esv: float | None = None
    ed_frame: int | None = None
    es_frame: int | None = None
    source: str = ""
    attributes: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or 0 in self.pixels.shape:
            raise ValueError(f"pixels must be non-empty uint8 (T, H, W), got {self.pixels.dtype} {self.pixels.shape}")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be a positive number, got {self.fps}")
        if self.ef is not None and not 0 <= self.ef <= 100:
            raise ValueError(f"ef is in per cent, 0-100, got {self.ef}")
        for name in ("ed_frame", "es_frame"):
            index = getattr(self, name)
            if index is not None and not 0 <= index < len(self.pixels):
                raise ValueError(f"{name} {index} is outside the clip's {len(self.pixels)} frames")

    @property
    def num_frames(self) -> int:
        """Number of frames T."""
        return len(self.pixels)

    @property
    def duration_s(self) -> float:
        """Length in seconds: T / fps."""
        return len(self.pixels) / self.fps

    def replace(self, **changes: object) -> "EchoClip":
        """Return a copy with some fields changed; the copy checks itself again."""
        return replace(self, **changes)  # type: ignore[arg-type]


def to_network(pixels: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Map uint8 0-255 of any shape to float32 in [-1, 1], same shape."""
    return torch.as_tensor(pixels).float() / 127.5 - 1.0


def from_network(x: torch.Tensor) -> np.ndarray:
    """Map float in [-1, 1] of any shape to uint8 0-255, rounded and clipped, same shape."""
    return ((x.detach().float().cpu() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()

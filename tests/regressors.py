"""The smallest size of every regressor, and clips of noise to show them."""

import numpy as np

from echosynth.video.clip import EchoClip

SMALL = {
    "R2Plus1D": {"frames": 8, "size": 32, "widths": (4, 4, 8, 8), "stem_width": 4},
    "FrameTransformer": {"frames": 8, "size": 32, "widths": (8, 8, 16), "dim": 16, "depth": 1, "heads": 2},
    "EchoE3Net": {
        "fps": 16.0,
        "frames": 8,
        "size": 32,
        "widths": (8, 8, 16),
        "blocks": (1, 1, 1),
        "attention": (False, True, True),
        "dim": 12,
        "hidden": 16,
    },
    "CoReEcho": {
        "fps": 16.0,
        "frames": 8,
        "size": 32,
        "channels": 1,
        "widths": (8, 8, 16, 16),
        "blocks": (1, 1, 1, 1),
        "head_dim": 8,
        "end_to_end": True,
    },
    "MCSDR": {
        "fps": 16.0,
        "frames": 8,
        "size": 32,
        "channels": 1,
        "widths": (8, 8, 16, 16),
        "blocks": (1, 1, 1, 1),
        "head_dim": 8,
        "dim": 16,
    },
    "FrameAware": {
        "fps": 16.0,
        "frames": 8,
        "size": 32,
        "channels": 1,
        "width": 4,
        "blocks": (1, 1, 1, 1),
        "hidden": 8,
        "components": 4,
        "patients": 0,
    },
}


def random_clip(frames: int = 40, fps: float = 16.0, size: int = 32, seed: int = 0) -> EchoClip:
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, size, size), dtype=np.uint8)
    return EchoClip(pixels, fps)

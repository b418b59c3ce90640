"""Labels of tissue laid over a grey picture in colour."""

import numpy as np

COLOURS = {1: (220, 60, 60), 2: (70, 190, 90), 3: (80, 130, 235)}  # cavity, myocardium, left atrium
OPACITY = 0.35


def paint_labels(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tint labelled pixels.

    Args:
        pixels: uint8 (..., H, W).
        labels: uint8 of the same shape, 0 for nothing; see `COLOURS`.

    Returns:
        uint8 (..., H, W, 3); what is not labelled stays grey.

    Raises:
        ValueError: the shapes differ.
    """
    if pixels.shape != labels.shape:
        raise ValueError(f"pixels {pixels.shape} and labels {labels.shape} must have one shape")
    painted = np.repeat(pixels[..., None], 3, axis=-1).astype(np.float32)
    for label, colour in COLOURS.items():
        where = labels == label
        painted[where] = (1 - OPACITY) * painted[where] + OPACITY * np.array(colour, np.float32)
    return painted.round().astype(np.uint8)

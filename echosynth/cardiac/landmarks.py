"""Landmarks of the left ventricle: the points that a reader traces, as in EchoNet's tracings.

One border in one frame is `ROWS` pairs of points (x, y):

    row 0        the long axis: apex, middle of the mitral annulus
    rows 1-20    the `CHORDS` chords across it from apex to base, at the middles of equally high discs; each from its
                 end on the picture's left to that on its right when the apex is up

As tensors of networks, places are shares of the picture's side, 0 to 1 from its left upper corner. In datasets they are
pixels, whole numbers on pixel centres.
"""

import torch

CHORDS = 20
ROWS = 1 + CHORDS
BORDERS = ("endocardium", "epicardium")  # in the order of landmarks of both


def mirror_landmarks(landmarks: torch.Tensor) -> torch.Tensor:
    """The landmarks (..., ROWS, 2, 2) of the mirrored picture: what was a chord's left end is its right end."""
    flipped = torch.stack([1 - landmarks[..., 0], landmarks[..., 1]], dim=-1)
    return torch.cat([flipped[..., :1, :, :], flipped[..., 1:, :, :].flip(-2)], dim=-3)


def order_landmarks(landmarks: torch.Tensor) -> torch.Tensor:
    """Bring one frame's landmarks (ROWS, 2, 2), traced by any habit, to the order above; the apex is the upper end."""
    axis, chords = landmarks[0], landmarks[1:]
    axis = axis if axis[0, 1] <= axis[1, 1] else axis.flip(0)
    nearest = (chords.mean(1) - axis[0]).norm(dim=-1)
    chords = chords if nearest[0] <= nearest[-1] else chords.flip(0)
    chords = chords if (chords[:, 1, 0] - chords[:, 0, 0]).sum() >= 0 else chords.flip(1)
    return torch.cat([axis[None], chords])

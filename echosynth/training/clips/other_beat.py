"""The same moment in another beat: of real patients the nearest that there is to another picture of the same state.

A phantom's conditioning frame is drawn at another EF than its clip's. A patient has one EF; but another beat of the
clip shows the same heart at the same moment, with other speckle, breath and place. A cascade that starts from such a
frame learns the patient instead of copying pixels.
"""

import torch
import torch.nn.functional as F

SHORTEST_BEAT = 0.4  # seconds: 150 beats a minute
BEFORE_AFTER = 0.1  # seconds by which frames before and after are compared too: they tell filling from emptying
COARSE = 4  # pixels to a side that are averaged: walls and valves stay, speckle goes
ALIKE = 0.35  # of the median difference between moments, below which two are the same


def find_other_beat(pixels: torch.Tensor, fps: float, frame: int) -> int | None:
    """The frame of another beat that shows the same moment as a frame.

    Args:
        pixels: the clip, uint8 (T, H, W).
        fps: Hz.
        frame: its number.

    Returns:
        Its number; None if the clip shows no other beat, or none that is alike.
    """
    count, step = len(pixels), max(1, round(BEFORE_AFTER * fps))
    if not step <= frame < count - step:
        return None
    small = F.avg_pool2d(pixels[:, None].float(), COARSE)[:, 0].flatten(1)
    far = sum((small[step + k : count - step + k] - small[frame + k]).square().mean(1) for k in (-step, 0, step))
    assert isinstance(far, torch.Tensor)
    moments = torch.arange(step, count - step)
    other = (moments - frame).abs() >= SHORTEST_BEAT * fps
    if not other.any():
        return None
    # Only a valley is another beat's: at a clip's end, or beside the frame, the picture may just not have changed yet.
    around = F.pad(far[None, None], (1, 1), value=-1.0)[0, 0]
    valley = (far <= around[:-2]) & (far <= around[2:])
    alike = other & valley & (far < ALIKE * far[other].median())
    return int(moments[torch.where(alike, far, torch.inf).argmin()]) if alike.any() else None

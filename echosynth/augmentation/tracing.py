"""The left ventricle of a generated clip, traced at end-diastole and end-systole by the gate: an estimate, no truth."""

import torch

from echosynth.cardiac.landmarks import order_landmarks
from echosynth.data.echonet_tables import Tracing
from echosynth.regression.base import EFRegressor
from echosynth.regression.windows import count_instants
from echosynth.runtime import one_thread
from echosynth.video.clip import EchoClip

DECIMALS = 2  # of a pixel


@torch.no_grad()
def trace(regressor: EFRegressor, clip: EchoClip) -> list[Tracing]:
    """Trace a clip's first window.

    Args:
        regressor: finds borders, or not.
        clip: at least two frames.

    Returns:
        The tracings of two different frames of the clip, in pixels, rounded; [] if the regressor finds no borders.
    """
    with one_thread():
        details = regressor(regressor.windows(clip)[:1].to(regressor.device), details=True)
    if details.landmarks is None or details.phases is None or clip.num_frames < 2:
        return []
    ed, es = (_frame_of(int(phase), regressor, clip) for phase in details.phases[0])
    if ed == es:  # a heart that stands still: a format that tells the frames apart by their number needs two
        es = ed + 1 if ed + 1 < clip.num_frames else ed - 1
    height, width = clip.pixels.shape[1:]
    traced = []
    for frame, border in zip((ed, es), details.landmarks[0, :, 0].cpu().double(), strict=True):
        places = order_landmarks(border) * torch.tensor([width, height]) - 0.5
        rows = places.numpy().round(DECIMALS).reshape(-1, 4)
        traced.append(Tracing(frame, rows[0].reshape(2, 2), rows[1:]))
    return traced


def _frame_of(phase: int, regressor: EFRegressor, clip: EchoClip) -> int:
    """The frame of a clip that frame `phase` of its first window shows."""
    instants = count_instants(clip, regressor.contract.fps)
    turn = max(1, 2 * instants - 2)  # a short clip is played forwards and backwards
    phase %= turn
    instant = min(phase, turn - phase) if phase >= instants else phase
    return min(clip.num_frames - 1, round(instant / regressor.contract.fps * clip.fps))

"""What a stage starts from: a reference, the tissue's displacement, and noise. Training and sampling both call this.

    frame, base   reference = the conditioning frame held still; black where no frame is given
    others        lowres    = previous clip + lowres_sigma * noise, interpolated to this stage's frames
                  reference = lowres, enlarged  [+ the frame's high frequencies, warped, in a tracked stage]
    noise         sqrt(1 - share) own + sqrt(share) shared, see `mix_shared_noise`

A network is right only for the inputs that it was trained on, so there is one recipe and no second copy of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from echosynth.diffusion.cascade import base_reference, match_frames, resize_frame, superres_reference
from echosynth.diffusion.precision import run_in_fast_precision
from echosynth.diffusion.tissue_tracker import TissueTracker, mix_shared_noise, warp_high_frequencies
from echosynth.diffusion.windows import OVERLAP, blend_windows

NoiseSource = Callable[[torch.Tensor], torch.Tensor]
"""Draws unit Gaussian noise in the shape, type and device of a tensor."""


@dataclass(frozen=True)
class StageExtent:
    """How much of a stage's clip is made.

    Attributes:
        frames: all frames of the clip, or those of a window of it in training.
        size: side of the picture, pixels.
        time_factor: frames that each frame of the previous clip becomes; 1 where the stage adds none.
        window: frames that the tissue tracker sees at once.
    """

    frames: int
    size: int
    time_factor: int
    window: int


@dataclass(frozen=True, eq=False)
class StageInput:
    """What a stage starts from.

    Attributes:
        reference: what the stage's clips differ from, (B, 1, T, S, S) in about [-1, 1].
        displacement: of the tissue, see `TissueTracker.forward`, (B, 2, T, h, w); None unless the stage is tracked.
        lowres_sigma: noise on the previous clip, (B,); None for a stage without one.
    """

    reference: torch.Tensor
    displacement: torch.Tensor | None = None
    lowres_sigma: torch.Tensor | None = None


def prepare_stage_input(
    extent: StageExtent,
    frame: torch.Tensor,
    frame_given: torch.Tensor,
    draw: NoiseSource,
    previous: torch.Tensor | None = None,
    lowres_sigma: torch.Tensor | None = None,
    tracker: TissueTracker | None = None,
) -> StageInput:
    """Prepare what a stage starts from.

    Args:
        extent: how much of the stage's clip is made.
        frame: conditioning frames (B, 1, S, S) in [-1, 1]; any picture where none is given.
        frame_given: bool (B,), whether the stage may look at the frame.
        draw: source of the noise that is laid on the previous clip.
        previous: the previous stage's clip without noise, (B, 1, t, h, w) in about [-1, 1]; in training it may go on
            for longer than the window. None for a frame or a base stage.
        lowres_sigma: standard deviation of the noise on it, (B,).
        tracker: follows the frame's tissue, for a tracked stage.

    Raises:
        ValueError: there is a previous clip without the level of its noise.
    """
    given = frame_given[:, None, None, None, None]
    if previous is None:
        still = base_reference(frame, extent.frames, extent.size)
        return StageInput(torch.where(given, still, -1.0))
    if lowres_sigma is None:
        raise ValueError("a previous clip needs the level of its noise, lowres_sigma")
    noisy = previous + lowres_sigma[:, None, None, None, None] * draw(previous)
    lowres = match_frames(noisy, noisy.shape[2] * extent.time_factor)[:, :, : extent.frames]
    reference = superres_reference(lowres, extent.frames, extent.size)
    if tracker is None:
        return StageInput(reference, None, lowres_sigma)
    # Without a frame the tissue is followed from where it is in the clip's own first frame.
    first = torch.where(given[..., 0], resize_frame(frame, lowres.shape[-1]), lowres[:, :, 0])
    displacement = track_tissue(tracker, lowres, lowres_sigma, first, extent.window)
    detail = warp_high_frequencies(frame, displacement, extent.size)
    return StageInput(reference + given * detail, displacement, lowres_sigma)


def draw_stage_noise(start: StageInput, share: float, draw: NoiseSource) -> torch.Tensor:
    """Unit noise of a stage's clip, of which its frames share as much as the stage asks for: (B, 1, T, S, S).

    Args:
        start: what the stage starts from.
        share: share of the variance that the frames have in common, 0-1.
        draw: source of the noise.
    """
    own = draw(start.reference)
    if not share:
        return own
    return mix_shared_noise(own, draw(start.reference[:, :, 0]), share, start.displacement)


@torch.no_grad()
def track_tissue(
    tracker: TissueTracker, clip: torch.Tensor, level: torch.Tensor, frame: torch.Tensor, window: int
) -> torch.Tensor:
    """Displacement of the tissue in every frame of a clip, (B, 2, T, h, w), in windows; see `TissueTracker.forward`."""

    def track(frames: slice) -> torch.Tensor:
        return tracker(clip[:, :, frames], level, frame)

    with run_in_fast_precision(tracker, clip.device):
        return blend_windows(track, clip.shape[2], window, int(OVERLAP * window))

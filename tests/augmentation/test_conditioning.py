"""What a user names becomes conditioning frames."""

from pathlib import Path

import pydicom
import pydicom.examples
import pytest

from echosynth.augmentation.conditioning import load_conditioning_frames
from echosynth.data.layouts import iter_clips
from echosynth.errors import SourceError


@pytest.mark.heavy
def test_a_frame_of_a_cine_that_names_no_frame_rate(tmp_path: Path) -> None:
    cine = pydicom.dcmread(pydicom.examples.get_path("ybr_color"))
    for tag in ("FrameTime", "CineRate", "RecommendedDisplayFrameRate", "FrameTimeVector"):
        cine.pop(tag, None)
    cine.save_as(tmp_path / "cine.dcm")
    with pytest.raises(SourceError, match="--fps of measure"):
        list(iter_clips(tmp_path / "cine.dcm"))
    (frame,) = load_conditioning_frames(tmp_path / "cine.dcm", frame=3)
    assert frame.pixels.shape == (112, 112)
    assert frame.frame == 3

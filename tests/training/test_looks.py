"""One scanner and one view for a patient's clip and its conditioning frame."""

import torch

from echosynth.seeding import make_generator
from echosynth.training.clips.appearance import AppearanceConfig
from echosynth.training.clips.looks import UNCHANGED, Looks
from echosynth.training.clips.transforms import ViewJitter
from echosynth.video.clip import to_network

STILL = AppearanceConfig(grain=0, clutter=0, flicker=0, noise=0)


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    frame = (torch.rand(6, 24, 24, generator=make_generator(0)) * 255).to(torch.uint8)
    return frame, frame[:, None].expand(-1, 5, -1, -1).clone()


def test_nothing_is_changed_on_held_out_data() -> None:
    frames, clips = pictures()
    views = UNCHANGED.draw_views(6, make_generator(1), clips.device)
    frame, seen = UNCHANGED.show(frames, clips, views, make_generator(1))
    assert views is None
    assert torch.equal(frame[:, 0], to_network(frames))
    assert torch.equal(seen, to_network(clips))


def test_a_frame_looks_like_its_clip() -> None:
    frames, clips = pictures()
    looks = Looks(ViewJitter(), STILL)
    generator = make_generator(2)
    views = looks.draw_views(6, generator, clips.device)
    frame, seen = looks.show(frames, clips, views, generator)
    torch.testing.assert_close(seen, frame.expand_as(seen), atol=1e-5, rtol=0)
    assert float((frame[:, 0] - to_network(frames)).abs().mean()) > 0.05


def test_every_patient_has_a_scanner_of_his_own() -> None:
    frames, clips = pictures()
    same = frames[:1].expand_as(frames).contiguous()
    frame, _ = Looks(appearance=STILL).show(same, clips, None, make_generator(3))
    assert all(not torch.allclose(frame[0], other, atol=0.01) for other in frame[1:])

"""The tissue tracker learns from truth that fits the pictures it goes with."""

import pytest
import torch

from echosynth.diffusion.cascade import resize_frame, superres_reference
from echosynth.diffusion.tissue_tracker import warp_high_frequencies
from echosynth.seeding import make_generator
from echosynth.training.clips import phantom_set
from echosynth.training.clips.phantom_source import PhantomSource, PhantomSourceConfig
from echosynth.training.tasks.tissue_tracker import TrackerConfig, TrackerTask
from echosynth.video.clip import to_network
from tests.stages import make_stage

CONFIG = TrackerConfig.model_validate({"widths": [32, 32], "blocks": [1, 1], "window": 4, "optim": {"steps": 1}})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> PhantomSource:
    """Six real phantoms, eight frames each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom_set, "SHARD", 6)
        config = PhantomSourceConfig(
            root=tmp_path_factory.mktemp("set"), patients=6, num_frames=8, fps=16.0, frames_per_clip=1, workers=1
        )
        phantom_set.render_shard(config, 0)
        return PhantomSource(config)


def make_task(source: PhantomSource) -> TrackerTask:
    previous, stage = make_stage("base", 8, 16.0, 28), make_stage("spatial", 8, 16.0, 112)
    return TrackerTask(stage, previous, source, CONFIG.window)


@pytest.mark.heavy
def test_the_truth_carries_the_frame_s_detail_to_the_clip(source: PhantomSource) -> None:
    batch = make_task(source).make_batch(24, make_generator(5))
    assert batch["displacement"].shape == (24, 2, 4, 28, 28)
    clips, frames, moved = source.draw_tracked(12, slice(0, 8, 2), 28, make_generator(5))
    clip, frame = to_network(clips)[:, None], to_network(frames)[:, None]
    lacking = clip - superres_reference(resize_frame(clip, 28), 4, 112)
    moved = moved.transpose(1, 2).nan_to_num()
    found = {}
    for name, d in (("carried", moved), ("held", torch.zeros_like(moved))):
        detail = warp_high_frequencies(frame, d, 112)
        found[name] = float(torch.corrcoef(torch.stack([lacking.flatten(), detail.flatten()]))[0, 1])
    assert found["carried"] > 0.6
    assert found["carried"] > found["held"] + 0.1


def test_a_mirrored_clip_moves_the_other_way(source: PhantomSource) -> None:
    task = make_task(source)
    batch = task.make_batch(8, make_generator(3))
    start = int(torch.randint(5, (1,), generator=make_generator(3)))
    generator = make_generator(3)
    torch.randint(5, (1,), generator=generator)
    _, frames, moved = source.draw_tracked(8, slice(start, start + 4), 28, generator)
    straight = to_network(frames)[:, None]
    turned = (batch["frame"] - straight).abs().flatten(1).amax(1) > 1e-3
    assert 0 < int(turned.sum()) < 8
    truth = moved.transpose(1, 2)
    torch.testing.assert_close(batch["displacement"][~turned], truth[~turned], equal_nan=True)
    mirrored = truth[turned].flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None, None]
    torch.testing.assert_close(batch["displacement"][turned], mirrored, equal_nan=True)


@pytest.mark.heavy
def test_it_learns_where_tissue_goes(source: PhantomSource) -> None:
    task = make_task(source)
    torch.manual_seed(0)
    tracker = CONFIG.network()
    optimizer = torch.optim.AdamW(tracker.parameters(), lr=1e-3)
    batch = task.make_batch(6, make_generator(1))
    losses = []
    for _ in range(120):
        loss = task.compute_loss(tracker, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tracker.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]

"""The EF guide learns to read EF and borders through noise, and is as unsure as the noise makes it."""

from pathlib import Path

import pytest
import torch

from echosynth.cardiac.discs import disc_volume
from echosynth.diffusion.ef_guide import EFReading
from echosynth.seeding import make_generator
from echosynth.training.clips.batches import ClipBatch
from echosynth.training.clips.looks import Looks
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.clips.transforms import ViewJitter
from echosynth.training.tasks.ef_guide import GuideConfig, GuideTask
from tests.fake_set import write_fake_set
from tests.stages import Noise, make_stage

GUIDE = GuideConfig.model_validate({"widths": [32, 32], "blocks": [1, 1], "optim": {"steps": 1}})


class Untraced(PhantomSource):
    """The fake hearts as a dataset without tracings: what a phantom of their seeds would draw is not in the picture."""

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        return super().draw(count, generator)


@pytest.fixture
def task(tmp_path: Path) -> GuideTask:
    return GuideTask(GUIDE, make_stage("base", 8, 16.0, 16), PhantomSource(write_fake_set(tmp_path)))


def test_a_clip_is_mirrored_together_with_its_reference(task: GuideTask) -> None:
    batch = task.make_batch(6, make_generator(0))
    straight = task.base.make_batch(6, make_generator(0))
    turned = (batch["reference"] != straight["reference"]).flatten(1).any(1)
    assert 0 < int(turned.sum()) < 6
    for name in ("residual", "reference"):
        assert torch.equal(batch[name][turned], straight[name][turned].flip(-1))
        assert torch.equal(batch[name][~turned], straight[name][~turned])
    assert not bool(batch["ef"].isnan().any())
    assert bool(batch["frame_given"].all())


@pytest.mark.heavy
def test_it_learns_to_read_ef_without_tracings_and_knows_when_it_cannot(tmp_path: Path) -> None:
    task = GuideTask(GUIDE, make_stage("base", 8, 16.0, 16), Untraced(write_fake_set(tmp_path)))
    torch.manual_seed(0)
    guide = GUIDE.network(16)
    optimizer = torch.optim.AdamW(guide.parameters(), lr=2e-3)
    for step in range(150):
        loss = task.compute_loss(guide, task.make_batch(16, make_generator(1, step)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    batch, levels = task.make_batch(64, make_generator(2)), task.base.preconditioning
    found = {}
    with torch.no_grad():
        for sigma in (0.05, 20.0):
            level = torch.full((64,), sigma)
            noisy = batch["residual"] + sigma * batch["noise"]
            found[sigma] = guide(levels.c_in(torch.tensor(sigma)) * noisy, levels.c_noise(level), batch["reference"])
    quiet, loud = found[0.05], found[20.0]
    assert float((quiet.ef - batch["ef"]).abs().mean()) < 0.7 * float((loud.ef - batch["ef"]).abs().mean())
    assert float(quiet.std.mean()) < 0.8 * float(loud.std.mean())


class Spots(Noise):
    """Clips that are black but for a spot at one landmark: the septal end of the tenth chord."""

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        drawn = super().draw(count, generator)
        if traced:
            places = 0.25 + 0.5 * torch.rand(drawn.landmarks.shape, generator=generator)
            drawn.landmarks.copy_(places)
            axis = (torch.arange(32) + 0.5) / 32
            x, y = places[:, :, 10, 0].unbind(-1)
            far = (axis - x[..., None, None]) ** 2 + (axis[:, None] - y[..., None, None]) ** 2
            light = (255 * torch.exp(-far / 0.006)).to(torch.uint8)
            drawn = ClipBatch(light, light[:, 0], drawn.known, drawn.shown, drawn.landmarks)
        return drawn


@pytest.mark.parametrize("jitter", [None, ViewJitter(rotate=20, scale=0.2, shift=0.05, gamma=0.0)])
def test_borders_are_turned_and_moved_with_the_picture(jitter: ViewJitter | None) -> None:
    batch = GuideTask(GUIDE, make_stage("base", 4, 8.0, 16), Spots(), Looks(jitter)).make_batch(32, make_generator(0))
    picture = (batch["residual"] + batch["reference"])[:, 0] + 1
    axis = (torch.arange(16) + 0.5) / 16
    weight = picture.clamp_min(0) ** 2
    whole = weight.sum((2, 3))
    spot = torch.stack([(weight.sum(2) * axis).sum(2) / whole, (weight.sum(3) * axis).sum(2) / whole], -1)
    ends = batch["landmarks"][:, :, 10]
    assert ends.shape == (32, 4, 2, 2)
    first, second = ((ends[:, :, k] - spot).norm(dim=-1).amax(1) < 0.02 for k in (0, 1))
    assert (first | second).all()
    assert first.any()  # as they were
    assert second.any()  # mirrored: a chord's left end is now its right one


def test_what_the_guide_says_is_scored_where_it_is_known(task: GuideTask) -> None:
    batch = task.make_batch(4, make_generator(0))

    def score(ef: torch.Tensor, landmarks: torch.Tensor) -> float:
        def say(*_: torch.Tensor) -> EFReading:
            return EFReading(ef, torch.full((4,), 2.0), landmarks)

        return float(task.compute_loss(say, batch))

    truth = batch["landmarks"].clone()
    least = float(torch.tensor(2.0).log())
    assert score(batch["ef"], truth) == pytest.approx(least, abs=1e-5)
    assert score(batch["ef"] + 2, truth) == pytest.approx(least + 0.5, abs=1e-5)
    assert score(batch["ef"], truth + 0.01) > least + 0.15  # out of place, of the right volume
    larger = 0.5 + 1.1 * (truth - 0.5)
    assert (disc_volume(larger) / disc_volume(truth)).mean() == pytest.approx(1.331, abs=1e-3)
    assert score(batch["ef"], larger) > least + 1.4  # 0.5 * 10 ln 1.331
    batch["landmarks"][:, 1:] = torch.nan
    wrong = truth.clone()
    wrong[:, 1:] += 0.3
    assert score(batch["ef"], wrong) == pytest.approx(least, abs=1e-5)

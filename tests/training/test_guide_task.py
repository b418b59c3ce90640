"""The EF guide learns to read EF through noise, and is as unsure as the noise makes it."""

from pathlib import Path

import pytest
import torch

from echosynth.seeding import make_generator
from echosynth.training.guide_task import GuideConfig, GuideTask
from echosynth.training.sources import PhantomSource
from tests.fake_set import write_fake_set
from tests.training.test_diffusion_task import make_stage

CONFIG = GuideConfig.model_validate({"widths": [32, 32], "blocks": [1, 1], "optim": {"steps": 1}})


@pytest.fixture
def task(tmp_path: Path) -> GuideTask:
    return GuideTask(CONFIG, make_stage("base", 8, 16.0, 16), PhantomSource(write_fake_set(tmp_path)))


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


def test_it_learns_to_read_ef_and_knows_when_it_cannot(task: GuideTask) -> None:
    torch.manual_seed(0)
    guide = CONFIG.network(16)
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
    assert float(quiet.spread.mean()) < 0.8 * float(loud.spread.mean())

"""MCSDR: densities that are known are recovered, spread and all; what is missing changes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from echosynth.cardiac.attributes import order_attributes
from echosynth.data.dataset import read_clips
from echosynth.data.layouts import open_dataset
from echosynth.regression.mcsdr import MCSDR, AttributeTokens
from echosynth.regression.score_head import ScoreHead
from echosynth.seeding import make_generator
from echosynth.training.clips.dataset_source import DatasetSource, DatasetSourceConfig
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.tasks.ef_regression import RegressionTask
from echosynth.training.tasks.losses import RegressionLoss, ScoreConfig
from tests.data.fake_datasets import write_pediatric
from tests.fake_set import write_fake_set

SMALL = {"frames": 8, "size": 32, "channels": 1, "widths": (8, 8, 16, 16), "blocks": (1,) * 4, "head_dim": 8, "dim": 16}
Law = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def learn(law: Law, steps: int = 1200) -> ScoreHead:
    """Train a small head on pairs (number, tokens): two tokens, of which the first holds the condition."""
    torch.manual_seed(0)
    generator, config = make_generator(0), ScoreConfig(draws=8)
    head = ScoreHead(token_dim=4, dim=32, heads=4)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        condition = torch.rand(128, generator=generator) * 2 - 1
        clean = law(condition, generator)[:, None]
        drawn = config.draw(128, generator)
        denoised = head.denoise(clean + drawn["sigma"] * drawn["noise"], drawn["sigma"], tokens_of(condition))
        loss = (head.levels.loss_weight(drawn["sigma"]) * (denoised - clean) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return head.eval()


def tokens_of(condition: torch.Tensor) -> torch.Tensor:
    tokens = torch.zeros(len(condition), 2, 4)
    tokens[:, 0, 0], tokens[:, 1, 1] = condition, 1.0
    return tokens


@pytest.mark.heavy
def test_a_known_gaussian_is_recovered_and_its_intervals_cover() -> None:
    head = learn(lambda c, g: c + 0.3 * torch.randn(len(c), generator=g))
    condition = torch.linspace(-0.9, 0.9, 60)
    with torch.no_grad():
        assert (head.mean(tokens_of(condition)) - condition).abs().mean() < 0.06
    samples = head.sample(tokens_of(condition), 200, make_generator(1))[-1]
    assert float(samples.std(1).mean()) == pytest.approx(0.3, rel=0.15)
    low, high = samples.quantile(0.05, dim=1), samples.quantile(0.95, dim=1)
    truth = condition[:, None] + 0.3 * torch.randn(60, 500, generator=make_generator(2))
    covered = ((truth >= low[:, None]) & (truth <= high[:, None])).float().mean()
    assert float(covered) == pytest.approx(0.9, abs=0.05)


@pytest.mark.heavy
def test_two_plausible_answers_are_both_found() -> None:
    def law(c: torch.Tensor, g: torch.Generator) -> torch.Tensor:
        side = torch.where(torch.rand(len(c), generator=g) < 0.5, -1.0, 1.0)
        return side + 0.1 * torch.randn(len(c), generator=g)

    samples = learn(law).sample(tokens_of(torch.zeros(1)), 600, make_generator(3))[-1, 0]
    left, right = samples[samples < 0], samples[samples >= 0]
    assert len(left) / 600 == pytest.approx(0.5, abs=0.1)
    for side, place in ((left, -1.0), (right, 1.0)):
        assert float(side.median()) == pytest.approx(place, abs=0.08)
        assert float(side.std()) < 0.3
    assert ((samples.abs() - 1).abs() < 0.4).float().mean() > 0.9


def test_head_has_the_published_size() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in ScoreHead().parameters()) == pytest.approx(0.94e6, rel=0.02)


@torch.no_grad()
def test_a_missing_attribute_changes_nothing_and_a_known_one_does() -> None:
    torch.manual_seed(0)
    model = MCSDR(**SMALL).eval()
    clips = torch.rand(2, 1, 8, 32, 32)
    unknown = torch.full((2, 4), torch.nan)
    torch.testing.assert_close(model(clips, attributes=unknown), model(clips))
    known = unknown.clone()
    known[0, 0] = 70.0
    answers = model(clips, attributes=known)
    torch.testing.assert_close(answers[1], model(clips)[1])
    assert answers[0] != model(clips)[0]


def test_attributes_are_scaled_by_those_they_were_fitted_on() -> None:
    tokens = AttributeTokens(8)
    patients = torch.tensor([[60.0, 0.0, 70.0, 160.0], [80.0, 1.0, torch.nan, 180.0], [70.0, 1.0, 90.0, 170.0]])
    tokens.fit(patients)
    torch.testing.assert_close(tokens.middle, torch.tensor([70.0, 2 / 3, 80.0, 170.0]))
    torch.testing.assert_close(tokens.spread, torch.tensor([10.0, 0.57735, 14.142136, 10.0]))
    assert {"middle", "spread"} <= set(tokens.state_dict())  # saved with the weights


@torch.no_grad()
def test_samples_of_a_posterior_are_paths_in_per_cent() -> None:
    torch.manual_seed(0)
    model = MCSDR(**SMALL).eval()
    paths = model.sample_posterior(torch.rand(2, 1, 8, 32, 32), 5, make_generator(0))
    assert paths.shape == (19, 2, 5)
    assert paths[0].std() > 100  # noise to begin with
    again = model.sample_posterior(torch.rand(2, 1, 8, 32, 32, generator=make_generator(1)), 5, make_generator(0))
    torch.testing.assert_close(paths[0], again[0])


def test_an_untrained_network_loses_about_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = PhantomSource(write_fake_set(tmp_path))
    task = RegressionTask(source, 16, 8, 32, None, RegressionLoss(score=ScoreConfig(draws=64)))
    loss = task.compute_loss(MCSDR(**SMALL), task.make_batch(8, make_generator(0)))
    assert 0.5 < float(loss.detach()) < 2
    loss.backward()


@pytest.mark.heavy
def test_patients_of_a_dataset_reach_training_and_prediction(tmp_path: Path) -> None:
    root = write_pediatric(tmp_path / "set", patients=20)
    dataset = open_dataset(root, "A4C")
    config = DatasetSourceConfig(
        root=root, view="A4C", split="TRAIN", num_frames=8, fps=16.0, cache=tmp_path / "decoded"
    )
    source = DatasetSource(config)
    known = {entry.name: entry.attributes for entry in dataset.entries}
    assert any(len(attributes) == 4 for attributes in known.values())
    patients = source.patients()
    expected = torch.stack([order_attributes(known[source.store.clips[k].name]) for k in source.rows])
    torch.testing.assert_close(patients, expected, equal_nan=True)
    model = MCSDR(**(SMALL | {"size": 56})).train()
    model.fit_attribute_scale(patients)
    torch.testing.assert_close(model.attributes.middle[0], patients[:, 0].nanmean())
    model.attributes.dropout = 0.0
    task = RegressionTask(source, 16, 8, 56, None, RegressionLoss(score=ScoreConfig(draws=4)))
    batch = task.make_batch(8, make_generator(0))
    assert {tuple(row) for row in batch["attributes"].nan_to_num(-1).tolist()} <= {
        tuple(row) for row in patients.nan_to_num(-1).tolist()
    }
    task.compute_loss(model, batch).backward()
    assert any(float(p.grad.abs().sum()) > 0 for p in model.attributes.encode[0].parameters())
    entry, clip = next((entry, clip) for entry, clip in read_clips(dataset) if len(entry.attributes) == 4)
    assert clip.attributes == entry.attributes
    model.eval()
    assert model.predict([clip])[0].ef != model.predict([clip.replace(attributes={})])[0].ef

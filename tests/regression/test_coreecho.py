"""CoReEcho: the loss against its definition, the published size and names, and what each stage may change."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from echosynth.regression.coreecho import CoReEcho
from echosynth.regression.rank_n_contrast import rank_n_contrast
from echosynth.regression.uniformer import DepthwiseConv3d, UniFormer
from echosynth.seeding import make_generator
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.tasks.ef_regression import Randomisation, RegressionTask
from echosynth.training.tasks.losses import ContrastConfig, RegressionLoss
from tests.fake_set import write_fake_set

SMALL = {"frames": 8, "size": 32, "channels": 1, "widths": (8, 8, 16, 16), "blocks": (1, 1, 1, 1), "head_dim": 8}


def by_definition(embeddings: torch.Tensor, labels: torch.Tensor, temperature: float) -> torch.Tensor:
    """The loss as it is written down, pair by pair."""
    count, total = len(embeddings), torch.zeros(())
    for i in range(count):
        for j in range(count):
            if i == j:
                continue
            reach = torch.zeros(())
            for k in range(count):
                if k != i and abs(labels[i] - labels[k]) >= abs(labels[i] - labels[j]):
                    reach = reach + torch.exp(-(embeddings[i] - embeddings[k]).norm() / temperature)
            total = total + reach.log() + (embeddings[i] - embeddings[j]).norm() / temperature
    return total / (count * (count - 1))


@pytest.mark.heavy
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(2, 9),
    ties=st.booleans(),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_rank_n_contrast_is_its_definition(seed: int, count: int, ties: bool, temperature: float) -> None:
    generator = make_generator(seed)
    embeddings = torch.randn(count, 5, generator=generator)
    labels = torch.rand(count, generator=generator) * 80
    labels = (labels / 20).round() if ties else labels
    ours = rank_n_contrast(embeddings, labels, temperature)
    torch.testing.assert_close(ours, by_definition(embeddings, labels, temperature), atol=1e-5, rtol=1e-5)


def test_embeddings_in_the_order_of_their_labels_lose_least() -> None:
    labels = torch.tensor([20.0, 35.0, 50.0, 65.0])
    line = labels[:, None] / 2
    shuffled = line[[2, 0, 3, 1]]
    assert rank_n_contrast(line, labels) < rank_n_contrast(shuffled, labels) - 1
    with pytest.raises(ValueError, match="at least two"):
        rank_n_contrast(line[:1], labels[:1])


def test_equal_embeddings_have_a_gradient() -> None:
    embeddings = torch.ones(4, 3, requires_grad=True)
    rank_n_contrast(embeddings, torch.tensor([10.0, 10.0, 50.0, 50.0])).backward()
    assert embeddings.grad is not None
    assert bool(embeddings.grad.isfinite().all())


def test_uniformer_small_has_the_published_size_and_cost() -> None:
    with torch.device("meta"):
        model, clip = UniFormer().eval(), torch.empty(1, 3, 36, 112, 112)
    with FlopCounterMode(display=False) as counter:
        model(clip)
    head = 512 + 1
    assert sum(p.numel() for p in model.parameters()) + head == pytest.approx(21.20e6, rel=0.002)
    assert counter.get_total_flops() / 2 == pytest.approx(19.56e9, rel=0.01)


def test_uniformer_names_are_the_published_ones() -> None:
    names = set(UniFormer(widths=(8, 8, 16, 16), head_dim=8).state_dict())
    for name in (
        "patch_embed1.proj.weight",
        "patch_embed4.norm.bias",
        "blocks1.0.pos_embed.weight",
        "blocks2.3.conv2.weight",
        "blocks1.2.attn.weight",
        "blocks2.0.mlp.fc1.bias",
        "blocks3.7.attn.qkv.weight",
        "blocks4.2.attn.proj.bias",
        "blocks3.0.mlp.fc2.weight",
        "norm.running_mean",
    ):
        assert name in names


def test_the_regressor_s_loss_leaves_the_encoder_alone() -> None:
    model = CoReEcho(**SMALL).train()
    clips, ef = torch.rand(4, 1, 8, 32, 32), torch.tensor([20.0, 40.0, 60.0, 70.0])
    said = model(clips, details=True)
    said.ef.sub(ef).abs().mean().backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(p.grad is not None for p in model.regressor.parameters())
    model.zero_grad()
    rank_n_contrast(model(clips, details=True).embedding, ef).backward()
    assert all(p.grad is not None for p in model.encoder.parameters())
    assert all(p.grad is None for p in model.regressor.parameters())


def test_a_frozen_encoder_keeps_weights_and_statistics() -> None:
    model = CoReEcho(**SMALL, frozen_encoder=True).train()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        (model(torch.rand(4, 1, 8, 32, 32)) - 80).square().mean().backward()
        optimizer.step()
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_contrast_batch_holds_two_windows_of_every_clip(tmp_path: Path) -> None:
    source = PhantomSource(write_fake_set(tmp_path))
    task = RegressionTask(source, 16, 8, 16, Randomisation(), RegressionLoss(contrast=ContrastConfig()))
    batch = task.make_batch(8, make_generator(0))
    assert batch["clip"].shape[0] == 8
    assert torch.equal(batch["ef"][::2], batch["ef"][1::2])
    assert not torch.allclose(batch["clip"][::2], batch["clip"][1::2])


@pytest.mark.parametrize(("channels", "kernel"), [(3, 5), (DepthwiseConv3d.NARROW + 1, 3)])
def test_a_depthwise_convolution_is_the_same_in_half_precision(channels: int, kernel: int) -> None:
    torch.manual_seed(0)
    layer, x = DepthwiseConv3d(channels, kernel), torch.randn(2, channels, 4, 6, 6, requires_grad=True)
    plain = layer(x)
    expected = torch.autograd.grad(plain.square().sum(), [x, layer.weight, layer.bias])
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x)
    found = torch.autograd.grad(half.float().square().sum(), [x, layer.weight, layer.bias])
    for one, other in zip([plain, *expected], [half.float(), *found], strict=True):
        torch.testing.assert_close(one, other, atol=0.03 * float(one.detach().abs().max()), rtol=0)


def test_the_volume_curve_shapes_the_encoder() -> None:
    model = CoReEcho(**SMALL, curve=True).train()
    said = model(torch.rand(4, 1, 8, 32, 32), details=True)
    assert said.curve.shape == (4, 8)
    said.curve.square().mean().backward()
    assert all(p.grad is not None for p in model.encoder.parameters())

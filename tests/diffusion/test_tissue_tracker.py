"""Detail goes where its tissue goes; a cascade that carries it is saved, counted and checked."""

from pathlib import Path

import pytest
import torch

from echosynth.diffusion.cascade import StageSpec, resize_frame, superres_reference
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.tissue_tracker import TissueTracker, local_correlation, mix_shared_noise, warp_high_frequencies
from tests.pipelines import FRAME, make_pipeline, seeds

PICTURE = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def make_tracker() -> TissueTracker:
    torch.manual_seed(4)
    return TissueTracker(reach=2, patch=1, widths=[32, 32], blocks=[1, 1], emb_dim=32)


def test_where_nothing_moves_the_frame_comes_back_whole() -> None:
    low = resize_frame(PICTURE, 8)[:, :, None].expand(-1, -1, 3, -1, -1)
    made = superres_reference(low, 3, 32) + warp_high_frequencies(PICTURE, torch.zeros(2, 2, 3, 8, 8), 32)
    torch.testing.assert_close(made, PICTURE[:, :, None].expand_as(made), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("right", "down"), [(0, 1), (2, 0), (-1, 1)])
def test_detail_is_fetched_from_where_the_tissue_was(right: int, down: int) -> None:
    """One pixel of the clip is four of the picture."""
    moved = torch.tensor([float(right), float(down)])[None, :, None, None, None].expand(2, -1, 1, 8, 8)
    still = warp_high_frequencies(PICTURE, torch.zeros(2, 2, 1, 8, 8), 32)[:, 0, 0]
    carried = warp_high_frequencies(PICTURE, moved, 32)[:, 0, 0]
    expected = torch.zeros_like(still)
    for y in range(32):
        for x in range(32):
            if 0 <= y + 4 * down < 32 and 0 <= x + 4 * right < 32:
                expected[:, y, x] = still[:, y + 4 * down, x + 4 * right]
    torch.testing.assert_close(carried, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_shared_noise_has_unit_variance_and_follows_the_tissue(share: float) -> None:
    generator = torch.Generator().manual_seed(2)
    own, common = torch.randn(40, 1, 2, 32, 32, generator=generator), torch.randn(40, 1, 32, 32, generator=generator)
    moved = torch.zeros(40, 2, 2, 8, 8)
    moved[:, 0, 1] = 1.0  # the second frame's tissue was one pixel of the clip, four of the picture, further right
    still, following = mix_shared_noise(own, common, share, None), mix_shared_noise(own, common, share, moved)
    for noise in (still, following):
        assert float(noise.std()) == pytest.approx(1.0, abs=0.02)

    def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])

    assert likeness(still[:, :, 0], still[:, :, 1]) == pytest.approx(share, abs=0.02)
    assert likeness(following[:, :, 0, :, 4:], following[:, :, 1, :, :-4]) == pytest.approx(share, abs=0.02)
    assert abs(likeness(following[:, :, 0], following[:, :, 1])) < 0.02 + 0.1 * share  # what lay beyond is mirrored


def test_a_fresh_tracker_says_that_nothing_moves() -> None:
    made = make_tracker()(torch.randn(2, 1, 5, 8, 8), torch.zeros(2), PICTURE)
    assert made.shape == (2, 2, 5, 8, 8)
    assert float(made.detach().abs().max()) == 0.0


@pytest.mark.heavy
def test_a_tracked_cascade_is_saved_and_carries_the_frame(tmp_path: Path) -> None:
    plain = make_pipeline()
    stages = [spec.to_dict() for spec in plain.stages]
    last = stages[-1]
    assert last["kind"] == "spatial"
    last["tracked"] = True
    parts = {name: part for name, part in plain.components.items() if part is not None}
    with pytest.raises(ValueError, match="no tissue_tracker"):
        EchoCascadePipeline(**parts, stages=stages)
    EchoCascadePipeline(**parts, tissue_tracker=make_tracker(), stages=stages).save_pretrained(tmp_path)
    tracked = EchoCascadePipeline.from_pretrained(tmp_path)
    tracked.set_progress_bar_config(disable=True)
    plain.set_progress_bar_config(disable=True)
    name = str(last["name"])
    assert tracked.passes()[name] == plain.passes()[name] + 1
    frame = FRAME[:1]
    with torch.no_grad():
        without, with_detail = (
            pipe(frame, 40.0, generator=seeds(2), output_type="pt").clips for pipe in (plain, tracked)
        )
    assert float((without - with_detail).abs().max()) > 0.02


def test_only_stages_that_add_detail_are_tracked() -> None:
    with pytest.raises(ValueError, match="adds detail"):
        StageSpec("sr1", "temporal", 16, 32.0, 28, 2, tracked=True)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (2, 0), (-1, 1), (0, -2)])
def test_squares_are_most_alike_where_the_tissue_is(right: int, down: int) -> None:
    """And neither brightness nor contrast matters."""
    still = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(1))
    clip = 0.4 * still.roll((-down, -right), (-2, -1))[:, :, None] + 0.3
    alike = local_correlation(clip, still, 2)[0, :, 0]
    assert alike.shape == (25, 20, 20)
    inside = (slice(4, 16), slice(4, 16))
    best = alike.argmax(0)[inside]
    assert bool((best == (down + 2) * 5 + right + 2).all())
    assert float(alike.amax(0)[inside].min()) > 0.95
    assert float(alike.abs().max()) <= 1 + 1e-4

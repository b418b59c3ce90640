"""Regressors: the contract with clips, the published layouts, saving and loading."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from echosynth.errors import CheckpointError
from echosynth.regression.base import EFRegressor, normalise
from echosynth.regression.coreecho import CoReEcho
from echosynth.regression.echo_e3net import BorderDetector, EchoE3Net
from echosynth.regression.frame_aware import FrameAware
from echosynth.regression.frame_transformer import FrameTransformer
from echosynth.regression.loading import REGRESSORS, load_regressor
from echosynth.regression.mcsdr import MCSDR
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.storage.checksums import write_sums
from echosynth.video.clip import EchoClip
from tests.regressors import SMALL, random_clip


@pytest.fixture(params=sorted(REGRESSORS))
def regressor(request: pytest.FixtureRequest) -> EFRegressor:
    torch.manual_seed(0)
    return REGRESSORS[request.param](**SMALL[request.param]).eval()


def test_a_reader_of_motion_alone_does_not_see_what_stands_still() -> None:
    torch.manual_seed(0)
    sizes = {"frames": 8, "size": 32, "patch": 4, "widths": (8, 8), "dim": 16, "depth": 1, "heads": 2}
    motion, picture = (FrameTransformer(**sizes, motion_only=only).eval() for only in (True, False))
    picture.load_state_dict(motion.state_dict())
    clip, still = torch.rand(3, 1, 8, 32, 32) - 0.5, torch.rand(3, 1, 1, 32, 32) - 0.5
    with torch.no_grad():
        torch.testing.assert_close(motion(clip + still), motion(clip), atol=1e-3, rtol=0)
        assert float((picture(clip + still) - picture(clip)).abs().max()) > 0.05
        assert float((motion(clip) - motion(clip.flip(0))).abs().max()) > 0.05


def test_r2plus1d_18_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        model = R2Plus1D(widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2), stem_width=45)
    # torchvision documents 31,505,325 for three input channels and 400 classes; ours has one of each.
    published = 31_505_325
    classes, channels = (512 + 1) * 399, 45 * 2 * 49
    assert sum(p.numel() for p in model.parameters()) == published - classes - channels


def test_r2plus1d_names_follow_torchvision() -> None:
    names = set(R2Plus1D(widths=(4, 4, 8, 8), stem_width=4).state_dict())
    for name in ("stem.0.weight", "stem.4.running_var", "layer1.0.conv1.0.0.weight", "layer1.0.conv1.0.3.weight"):
        assert name in names
    for name in ("layer2.0.conv2.1.weight", "layer3.0.downsample.0.weight", "layer4.0.conv1.1.bias", "fc.bias"):
        assert name in names


def test_windows_meet_the_contract_and_cover_the_clip(regressor: EFRegressor) -> None:
    windows = regressor.windows(random_clip(frames=45, fps=30.0, size=48))
    assert windows.shape[1:] == (1, 8, 32, 32)
    assert float(windows.min()) >= -1
    assert float(windows.max()) <= 1
    long = random_clip(frames=20)
    cut = regressor.windows(long)
    torch.testing.assert_close(cut[-1, 0, -1], torch.from_numpy(long.pixels[-1] / 127.5 - 1).float())


def test_short_clip_is_played_there_and_back(regressor: EFRegressor) -> None:
    clip = random_clip(frames=3)
    window = regressor.windows(clip)[0, 0]
    order = [0, 1, 2, 1, 0, 1, 2, 1]
    torch.testing.assert_close(window, torch.from_numpy(clip.pixels[order] / 127.5 - 1).float())


def test_brightness_and_contrast_do_not_matter(regressor: EFRegressor) -> None:
    x = torch.rand(2, 1, 8, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(regressor(x), regressor(0.3 * x - 0.5), atol=1e-3, rtol=0)


def test_normalise_is_idempotent() -> None:
    x = normalise(torch.randn(2, 1, 4, 8, 8) * 3 + 7)
    torch.testing.assert_close(normalise(x), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("name", sorted(REGRESSORS))
def test_a_regressor_that_reads_both_sides_answers_the_same_for_either(name: str, mirrored: bool) -> None:
    torch.manual_seed(0)
    regressor = REGRESSORS[name](**SMALL[name], mirrored=mirrored).eval()
    clip = random_clip()
    turned = EchoClip(clip.pixels[..., ::-1].copy(), clip.fps)
    one, other = regressor.predict([clip, turned])
    assert (abs(one.ef - other.ef) < 1e-4) == mirrored
    x = torch.rand(1, 1, 8, 32, 32)
    with torch.no_grad():
        sides = [float(regressor(x)), float(regressor(x.flip(-1)))]
        expected = sum(sides) / 2 if mirrored else sides[0]
    assert float(regressor.predict_windows(x)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.heavy
def test_prediction_is_repeatable_and_in_range(regressor: EFRegressor) -> None:
    clips = [random_clip(seed=k) for k in range(3)]
    first, second = regressor.predict(clips), regressor.predict(clips[::-1])[::-1]
    for a, b in zip(first, second, strict=True):
        assert a == b
        assert 0 <= a.low <= a.ef <= a.high <= 100
        assert a.ef == pytest.approx(np.mean(a.windows))


def test_features_have_one_row_per_clip(regressor: EFRegressor) -> None:
    with torch.no_grad():
        assert regressor.features(torch.rand(3, 1, 8, 32, 32)).shape[0] == 3


def test_save_and_load_give_the_same_answers(regressor: EFRegressor, tmp_path: Path) -> None:
    regressor.register_to_config(error90=4.5)
    regressor.save_pretrained(tmp_path / "model")
    write_sums(tmp_path / "model")
    again = load_regressor(str(tmp_path / "model"))
    assert type(again) is type(regressor)
    clip = random_clip()
    assert again.predict([clip]) == regressor.predict([clip])
    assert again.contract.error90 == 4.5


def test_changed_byte_is_refused(regressor: EFRegressor, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    regressor.save_pretrained(folder)
    write_sums(folder)
    weights = folder / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="sha256"):
        load_regressor(str(folder))


def test_gradient_reaches_every_weight(regressor: EFRegressor) -> None:
    known = {}
    if isinstance(regressor, MCSDR):
        regressor.attributes.dropout = 0.0
        known = {"attributes": torch.rand(2, 4)}
    said = regressor.train()(torch.rand(2, 1, 8, 32, 32), details=True, **known)
    sum(part.sum() for part in vars(said).values() if part is not None).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in regressor.parameters())


@torch.no_grad()
def test_details_hold_the_same_ef_and_what_the_regressor_knows(regressor: EFRegressor) -> None:
    clips = torch.rand(3, 1, 8, 32, 32)
    said = regressor(clips, details=True)
    torch.testing.assert_close(said.ef, regressor(clips))
    assert (said.curve is None) == (not isinstance(regressor, FrameTransformer | FrameAware))
    assert (said.landmarks is None) == (not isinstance(regressor, EchoE3Net))
    assert (said.embedding is None) == (not isinstance(regressor, CoReEcho))
    if said.curve is not None:
        assert said.curve.shape == (3, 8)
    if said.landmarks is not None:
        assert said.landmarks.shape == (3, 2, 1, 21, 2, 2)
        assert ((said.landmarks > 0) & (said.landmarks < 1)).all()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("extra", "millions", "gflop"),
    [({}, 1.55, 8.05), ({"widths": (16, 32, 80, 144), "dim": 144, "hidden": 1760}, 6.8, 8.49)],
)
def test_e3net_has_the_published_size(extra: dict[str, Any], millions: float, gflop: float) -> None:
    with torch.device("meta"):
        model, clip = EchoE3Net(**extra).eval(), torch.empty(1, 1, 32, 112, 112)
    with FlopCounterMode(display=False) as counter:
        model(clip)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(millions * 1e6, rel=0.02)
    assert counter.get_total_flops() == pytest.approx(gflop * 1e9, rel=0.02)


@torch.no_grad()
def test_e3net_sees_each_clip_on_its_own_and_every_frame() -> None:
    torch.manual_seed(1)
    model = EchoE3Net(**SMALL["EchoE3Net"]).eval()
    clips = torch.rand(2, 1, 8, 32, 32)
    torch.testing.assert_close(model(clips)[:1], model(clips[:1]), atol=1e-4, rtol=0)
    for frame in range(8):
        other = clips[:1].clone()
        other[:, :, frame] = torch.rand(32, 32)
        assert not torch.equal(model(other), model(clips[:1]))


def test_e3net_landmarks_lie_where_their_queries_look() -> None:
    torch.manual_seed(2)
    detector = BorderDetector((8, 8), 16)
    with torch.no_grad():  # what is bright there is what every query looks for
        for project in detector.project:
            project.weight.zero_(), project.bias.zero_()
        detector.project[0].weight[:, 0] = 100 * torch.randn(16, 1, 1)
        detector.queries.copy_(detector.key(detector.norm(detector.project[0].weight[:, 0, 0, 0])))
    fine, coarse = torch.zeros(1, 4, 8, 10, 10), torch.zeros(1, 4, 8, 5, 5)
    fine[0, :, 0, 2, 7] = 1.0
    _, landmarks, _ = detector(fine, coarse)
    torch.testing.assert_close(landmarks[0], torch.tensor([0.75, 0.25]).expand(2, 1, 21, 2, 2), atol=0.02, rtol=0)


@pytest.mark.heavy
def test_e3net_learns_the_places_of_a_moving_disc() -> None:
    torch.manual_seed(3)
    model = EchoE3Net(**SMALL["EchoE3Net"])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    line = (torch.arange(32) + 0.5) / 32
    misses = []
    for _ in range(60):
        centre, radius = 0.35 + 0.3 * torch.rand(8, 2), 0.15 + 0.1 * torch.rand(8)
        far = ((line[None, :, None] - centre[:, 1, None, None]) ** 2 + (line - centre[:, 0, None, None]) ** 2).sqrt()
        clip = torch.where(far < radius[:, None, None], -1.0, 1.0)[:, None, None].expand(-1, -1, 8, -1, -1)
        miss = (model(clip, details=True).landmarks - centre[:, None, None, None, None]).abs().mean()
        optimizer.zero_grad()
        miss.backward()
        optimizer.step()
        misses.append(float(miss.detach()))
    # Guessing the middle of the picture is 0.075 off.
    assert sum(misses[-10:]) / 10 < 0.04


@torch.no_grad()
def test_a_larger_view_shows_the_same_moments() -> None:
    model = CoReEcho(**SMALL["CoReEcho"])
    clip = random_clip(frames=45, fps=30.0, size=48)
    small, large = model.windows(clip), model.windows(clip, 64)
    assert large.shape == (*small.shape[:3], 64, 64)
    assert (
        torch.corrcoef(torch.stack([small.flatten(), torch.nn.functional.avg_pool3d(large, (1, 2, 2)).flatten()]))[0, 1]
        > 0.9
    )

"""Sector: geometry of drawn fans is recovered, the real clip is cropped whole, what is no fan is refused."""

import numpy as np
import pydicom.examples
import pytest
from PIL import Image, ImageDraw

from echosynth.errors import SectorNotFoundError
from echosynth.video.colour import luma
from echosynth.video.sector import Sector, crop_to_echonet, find_and_crop, find_sector


def draw_fan(sector: Sector, height: int, width: int, seed: int = 0, num_frames: int = 1) -> np.ndarray:
    """Speckle in a fan with a dark cavity, text, ticks, a menu bar and a probe dot around it; uint8 (T, H, W)."""
    rng = np.random.default_rng(seed)
    overlay = Image.new("L", (width, height))
    pen = ImageDraw.Draw(overlay)
    pen.text((4, 4), "NAME 12345\nTHI", fill=255)
    pen.text((width - 40, height // 3), "MI 0.9", fill=200)
    for tick in range(10, height - 10, 12):
        pen.line((width - 6, tick, width - 2, tick), fill=255)
    pen.rectangle((width // 8, height - 10, width * 6 // 8, height - 4), fill=150)
    inside = sector.mask(height, width)
    y, x = np.indices((height, width))
    cavity = np.hypot(x - sector.apex_x, (y - sector.apex_y - 0.55 * sector.radius) / 2) < 0.12 * sector.radius
    level = np.where(cavity, 3.0, 45.0)
    frames = []
    for _ in range(num_frames):
        frame = np.clip(level * rng.rayleigh(1.0, (height, width)), 0, 255) * inside
        frames.append(np.maximum(frame, np.asarray(overlay) * ~inside).astype(np.uint8))
    return np.stack(frames)


FANS = [
    (240, 320, Sector(165, 12, -0.75, 0.75, 190)),
    (240, 320, Sector(120, 20, -0.6, 0.7, 170)),
    (480, 640, Sector(330, 40, -0.8, 0.72, 360)),
    (600, 800, Sector(400, 30, -0.66, 0.66, 480)),
    (200, 200, Sector(95, 8, -0.5, 0.5, 170)),
    (708, 1016, Sector(500, 60, -0.85, 0.85, 520)),
    (434, 636, Sector(318, -4, -0.7, 0.62, 380)),
]


@pytest.mark.heavy
@pytest.mark.parametrize(("height", "width", "truth"), FANS)
@pytest.mark.parametrize("num_frames", [1, 4])
def test_drawn_fans_are_recovered(height: int, width: int, truth: Sector, num_frames: int) -> None:
    found = find_sector(draw_fan(truth, height, width, num_frames=num_frames))
    assert abs(found.apex_x - truth.apex_x) < 0.02 * truth.radius
    assert abs(found.apex_y - truth.apex_y) < 0.03 * truth.radius
    assert abs(found.left_angle - truth.left_angle) < np.radians(2.5)
    assert abs(found.right_angle - truth.right_angle) < np.radians(2.5)
    assert abs(found.radius - truth.radius) < 0.03 * truth.radius


@pytest.mark.heavy
def test_the_crop_lies_where_echonets_does_and_outside_is_black() -> None:
    truth = Sector(330, 40, -0.7, 0.7, 360)
    frames = draw_fan(truth, 480, 640, num_frames=6)
    crop = find_and_crop(frames)
    assert crop.shape == (6, 112, 112)
    assert crop.dtype == np.uint8
    fan = Sector(61, 5, -0.7, 0.7, 106)
    assert (crop[:, ~fan.mask(112, 112, margin=3)] == 0).all()
    assert (crop[:, fan.mask(112, 112, margin=-4)] > 0).mean() > 0.98


def test_whole_shows_both_corners() -> None:
    truth = Sector(330, 40, -0.8, 0.8, 360)
    crop = crop_to_echonet(truth.mask(480, 640).astype(np.uint8) * 255, truth, whole=True)[0]
    assert not crop[:, 0].any()
    assert not crop[:, -1].any()
    unit = 2 * 360 * np.sin(0.8) / 108
    assert (crop > 127).sum() == pytest.approx(0.5 * 1.6 * (360 / unit) ** 2, rel=0.02)


def test_orientation_is_kept() -> None:
    truth = Sector(330, 40, -0.7, 0.7, 360)
    frame = draw_fan(truth, 480, 640)[0]
    frame[240:260, 400:420] = 255  # right of the middle, half way down
    crop = crop_to_echonet(frame, truth)[0]
    y, x = np.unravel_index(np.argmax(crop.astype(int)), crop.shape)
    unit = 360 / 106
    assert abs(x - (61 + 79.5 / unit)) < 4
    assert abs(y - (5 + 209.5 / unit)) < 4


def test_an_echonet_crop_is_left_where_it_is() -> None:
    fan = Sector(61, 5, -np.pi / 4, np.pi / 4, 106)
    frame = draw_fan(fan, 112, 112)[0] * fan.mask(112, 112)
    frame[30:34, 104:111] = 255  # a tick in the strip that EchoNet's own mask leaves
    out = find_and_crop(frame)[0]
    np.testing.assert_array_equal(out[fan.mask(112, 112, -2)], frame[fan.mask(112, 112, -2)])
    assert not out[30:34, 106:].any()


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["blank", "flat", "noise", "framed noise", "linear probe", "disc", "text", "photo"])
def test_what_is_no_fan_is_refused(kind: str) -> None:
    rng, height, width = np.random.default_rng(0), 240, 320
    noise = rng.integers(0, 256, (height, width), dtype=np.uint8)
    y, x = np.indices((height, width))
    low = np.asarray(Image.fromarray(noise[:12, :16]).resize((width, height), Image.Resampling.BICUBIC))
    picture = {
        "blank": np.zeros_like(noise),
        "flat": np.full_like(noise, 90),
        "noise": noise,
        "framed noise": noise * ((x > 30) & (x < 290) & (y > 20) & (y < 220)),
        "linear probe": noise * ((x > 90) & (x < 230) & (y > 10) & (y < 230)),
        "disc": noise * (np.hypot(x - 160, y - 120) < 90),
        "text": draw_fan(Sector(160, 10, -0.7, 0.7, 1), height, width)[0],
        "photo": low,
    }[kind]
    for frames in (picture, np.stack([picture] * 5)):
        with pytest.raises(SectorNotFoundError):
            find_and_crop(frames)
    if kind not in ("disc", "text"):  # cut at this corner they are a wedge, and nothing
        with pytest.raises(SectorNotFoundError):
            find_and_crop(picture[:112, :112])


@pytest.fixture(scope="module")
def real_cine() -> np.ndarray:
    return luma(pydicom.examples.ybr_color.pixel_array)


@pytest.mark.heavy
def test_the_real_cine(real_cine: np.ndarray) -> None:
    sector = find_sector(real_cine)
    assert 166 < sector.apex_x < 173
    assert 2 < sector.apex_y < 14
    assert -0.82 < sector.left_angle < -0.68
    assert 0.68 < sector.right_angle < 0.82
    assert 197 < sector.apex_y + sector.radius < 206  # the arc's lowest row, read off the picture
    crop = crop_to_echonet(real_cine, sector)
    inside = sector.mask(240, 320)
    # The menu, the name, the settings on the right (below and above the corner, which touches the depth ticks).
    assert not inside[205:].any()
    assert not inside[:40, :80].any()
    assert not inside[:145, 297:].any()
    assert crop.max() > 100
    assert 5 < crop.mean() < 40


@pytest.mark.heavy
def test_single_real_frames_agree_with_the_cine(real_cine: np.ndarray) -> None:
    cine = find_sector(real_cine)
    for index in (0, 7, 14, 22):
        still = find_sector(real_cine[index])
        assert abs(still.apex_x - cine.apex_x) < 8
        assert abs(still.apex_y - cine.apex_y) < 12
        assert abs(still.radius - cine.radius) < 14

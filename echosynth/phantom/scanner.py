"""The view: where the probe is held and how the machine makes its picture, drawn from one seed.

Lengths in cm, angles in degrees, levels in dB, picture coordinates as shares of the side.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from echosynth.phantom.amplitude import decay
from echosynth.phantom.view_families import HARM_SPREAD, HARMFUL, QUALITIES, VIEW_FAMILIES
from echosynth.seeding import derive_seed


@dataclass(frozen=True)
class View:
    """One simulated view and machine setting.

    Attributes:
        seed: clutter, gain and noise fields.
        depth: imaging depth, cm.
        half_angle: half the sector's opening, degrees.
        apex_x: sector apex, share of the picture's width.
        apex_y: sector apex, share of the picture's height.
        radius: the depth in the picture, share of its side.
        heart_x: LV apex relative to the beam axis, cm (+ right).
        heart_z: LV apex below the probe, cm.
        tilt: LV axis against the beam axis, degrees (+ base to the right of the apex).
        lateral_fwhm: beam width, degrees.
        axial_blur: pulse length in range cells.
        dynamic_range: of the log compression, dB.
        gain: overall gain, dB.
        gamma: exponent of the grey map.
        s_curve: 0 a plain power law, 1 an S-shaped grey map.
        second_look: weight of the second compounded look, 0-0.5.
        speckle_reduction: edge smoothing of the log image, 0-0.35.
        persistence: weight of the previous frame, 0-0.4.
        clutter_db: level of static near-field haze, dB.
        clutter_decay: depth over which it fades, cm.
        haze_db: level of moving haze everywhere, dB.
        noise_db: electronic noise, dB.
        gain_spread: beam-to-beam gain variation, dB.
        wall_drop_db: depth of the wall drop-outs, dB (two of them, at drop_angle and drop_angle_2).
        drop_angle: of the first drop-out, degrees.
        drop_angle_2: of the second, degrees.
        drop_width: degrees.
        drop_depth: at which range the drop-outs are deepest, cm.
        shadow_db: rib or lung shadow, dB (0 none).
        shadow_angle: degrees.
        shadow_width: degrees.
        edge_left_db: loss at the left edge of the sector, dB.
        edge_right_db: the same, right.
        edge_width: degrees over which the edges fade.
        near_db: loss in the first centimetres, dB.
        far_db: loss at full depth, dB.
        second_trip_db: level of echoes that come back a second time, at twice their range, dB.
        reverb_db: level of static bright arcs, dB.
        reverb_depth: of the first arc, cm.
        blur: resize kernel: 0 point sampling, > 0 softer, < 0 sharpened.
        corner_cut: whether EchoNet's corner mask is laid over the picture.
        marks: strength of depth ticks and probe mark left beside the sector, 0-1.
        codec_noise: spread of the codec's error, grey levels.
    """

    seed: int
    depth: float
    half_angle: float
    apex_x: float
    apex_y: float
    radius: float
    heart_x: float
    heart_z: float
    tilt: float
    lateral_fwhm: float
    axial_blur: float
    dynamic_range: float
    gain: float
    gamma: float
    s_curve: float
    second_look: float
    speckle_reduction: float
    persistence: float
    clutter_db: float
    clutter_decay: float
    haze_db: float
    noise_db: float
    gain_spread: float
    wall_drop_db: float
    drop_angle: float
    drop_angle_2: float
    drop_width: float
    drop_depth: float
    shadow_db: float
    shadow_angle: float
    shadow_width: float
    edge_left_db: float
    edge_right_db: float
    edge_width: float
    near_db: float
    far_db: float
    reverb_db: float
    reverb_depth: float
    blur: float
    corner_cut: bool
    marks: float
    codec_noise: float
    second_trip_db: float = -40.0


def _harm_range(quality: str | float | None) -> tuple[float, float]:
    """The part of every harmful field's range that views of this quality have."""
    if quality is None:
        return 0.0, 1.0
    if isinstance(quality, str) and quality in QUALITIES:
        return QUALITIES[quality]
    if isinstance(quality, str) or not 0 <= quality <= 1:
        raise ValueError(f"quality must be one of {', '.join(QUALITIES)}, or from 0 to 1, got {quality!r}")
    harm = 1 - quality
    return max(0.0, harm - HARM_SPREAD), min(1.0, harm + HARM_SPREAD)


def sample_view(seed: int, long_axis: float = 8.5, family: str = "wide", quality: str | float | None = None) -> View:
    """Draw a view that holds the heart in its sector.

    Args:
        seed: of the view.
        long_axis: LV length of the patient to be looked at, cm; a sonographer sets depth and pose to fit the heart.
        family: of `VIEW_FAMILIES`.
        quality: of `QUALITIES`, or from 0, the worst that the family has in everything, to 1, the best; None for every
            fault by itself, as bad as it comes.

    Raises:
        ValueError: there is no such family or quality.
    """
    best, worst = _harm_range(quality)
    if family not in VIEW_FAMILIES:
        raise ValueError(f"view family must be one of {', '.join(VIEW_FAMILIES)}, got {family!r}")
    rng, ranges = np.random.default_rng(derive_seed(seed, "view")), VIEW_FAMILIES[family]

    def u(name: str) -> float:
        low, high = ranges[name]
        if name in HARMFUL:
            low, high = low + best * (high - low), low + worst * (high - low)
        return float(rng.uniform(low, high))

    def happens(name: str) -> bool:
        chance = ranges[f"p_{name}"][0] * (best + worst if name in HARMFUL else 1.0)
        return bool(rng.uniform() < chance)

    # A large heart is looked at with more depth.
    fill = u("fill") if happens("fill") else u("fill_rare")
    depth = float(np.clip(long_axis / fill, 10.0, 23.0))
    half_angle = u("half_angle") if happens("half_angle") else u("half_angle_rare")
    tilt = float(np.clip(rng.normal(*ranges["tilt"]), *ranges["tilt_limits"]))
    heart_z = float(rng.uniform(0.4, 2.6)) + 0.06 * depth * rng.uniform()
    # Keep the middle of the LV within the sector's inner two thirds, whatever the tilt.
    centre_z = heart_z + 0.5 * long_axis
    reach = math.tan(math.radians(half_angle)) * centre_z * 0.42
    sideways = float(rng.uniform(-0.8, 1.0)) * reach
    heart_x = float(np.clip(sideways - 0.5 * long_axis * math.sin(math.radians(tilt)), -4.0, 3.0))
    shadowed = happens("shadow_db")
    own = np.random.default_rng(derive_seed(seed, "blur"))
    soft = own.uniform() >= ranges["p_blur"][0]
    return View(
        seed=seed,
        depth=depth,
        half_angle=half_angle,
        apex_x=u("apex_x"),
        apex_y=u("apex_y"),
        radius=u("radius"),
        heart_x=heart_x,
        heart_z=heart_z,
        tilt=tilt,
        lateral_fwhm=u("lateral_fwhm"),
        axial_blur=u("axial_blur"),
        dynamic_range=u("dynamic_range"),
        gain=u("gain"),
        gamma=u("gamma"),
        s_curve=u("s_curve"),
        second_look=u("second_look"),
        speckle_reduction=u("speckle_reduction") if happens("speckle_reduction") else 0.0,
        persistence=u("persistence") if happens("persistence") else 0.0,
        clutter_db=u("clutter_db"),
        clutter_decay=u("clutter_decay"),
        haze_db=u("haze_db"),
        noise_db=u("noise_db"),
        gain_spread=u("gain_spread"),
        wall_drop_db=u("wall_drop_db"),
        drop_angle=u("drop_angle"),
        drop_angle_2=u("drop_angle_2"),
        drop_width=u("drop_width"),
        drop_depth=u("drop_depth"),
        shadow_db=u("shadow_db") if shadowed else 0.0,
        shadow_angle=u("shadow_angle"),
        shadow_width=u("shadow_width"),
        edge_left_db=u("edge_left_db"),
        edge_right_db=u("edge_right_db"),
        edge_width=u("edge_width"),
        near_db=u("near_db"),
        far_db=u("far_db"),
        reverb_db=u("reverb_db"),
        reverb_depth=u("reverb_depth"),
        blur=float(own.uniform(*ranges["blur_rare"])) if soft else u("blur"),
        corner_cut=happens("corner_cut") and half_angle > 41.0,
        marks=u("marks") if happens("marks") else 0.0,
        codec_noise=u("codec_noise"),
        second_trip_db=u("second_trip_db"),
    )


def view_quality(view: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """From 0, every harmful field at the worst end of its `wide` range, to 1, all at the best end.

    Shadows, which most views do not have, are left out. Views whose faults were drawn one by one lie near 0.5, hardly
    any outside 0.3-0.7.

    Args:
        view: fields of `View`, all of one shape.
    """
    wide = VIEW_FAMILIES["wide"]
    names = sorted(HARMFUL - {"shadow_db"})
    shares = [((view[name] - wide[name][0]) / (wide[name][1] - wide[name][0])).clamp(0, 1) for name in names]
    return 1 - torch.stack(shares).mean(0)


def _pixel_centres(view: "dict[str, torch.Tensor]", size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the pixels' centres, (size, size) each.

    The published mask is in 112-pixel units; so is everything here, whatever the size.
    """
    axis = (torch.arange(size, device=view["depth"].device) + 0.5) * (112.0 / size) - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return y, x


def scan_grid(view: "dict[str, torch.Tensor]", size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each pixel lies in the polar data, and whether it lies in the sector.

    Args:
        view: fields of `View` as (B, 1, 1) tensors.
        size: side of the picture, pixels.

    Returns:
        Sampling grid (B, size, size, 2) in grid_sample's [-1, 1] (beam, range), and the mask (B, size, size), float
        0/1.
    """
    y, x = _pixel_centres(view, size)
    dx, dy = x - 112.0 * view["apex_x"], y - 112.0 * view["apex_y"]
    radius = (dx * dx + dy * dy).sqrt() / (112.0 * view["radius"])
    angle = torch.atan2(dx, dy)
    half = view["half_angle"] * (math.pi / 180.0)
    inside = (radius < 1.0) & (angle.abs() < half) & (dy > 0)
    echonet_mask = ((x + y > 67.0) & (x - y < 67.0)) | (view["corner_cut"] < 0.5)
    grid = torch.stack([angle / half, radius * 2.0 - 1.0], dim=-1)
    return grid, (inside & echonet_mask).float()


def pixel_positions(view: "dict[str, torch.Tensor]", size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each pixel's centre lies before the probe, cm: x to the right, z down, (B, size, size) each.

    Args:
        view: fields of `View` as (B, 1, 1) tensors.
        size: side of the picture, pixels.
    """
    y, x = _pixel_centres(view, size)
    pitch = view["depth"] / (112.0 * view["radius"])
    return (x - 112.0 * view["apex_x"]) * pitch, (y - 112.0 * view["apex_y"]) * pitch


def scanner_marks(view: "dict[str, torch.Tensor]", size: int) -> torch.Tensor:
    """Depth ticks, grey bar and probe mark that the crop left beside the sector: (B, size, size) in 0-1."""
    y, x = _pixel_centres(view, size)
    across, along = x - y - 62.0, x + y
    strength = view["marks"]
    bar = decay(((across - 1.0) / 1.0) ** 2) * (along > 118.0) * (along < 118.0 + 30.0 * strength)
    dot = decay(((x - 72.0) / 1.3) ** 2 + ((y - 4.0) / 1.3) ** 2)
    ticks = decay(((x - 108.5) / 1.0) ** 2) * ((y * 112.0 / (10.0 * view["depth"]) % 1.0) < 0.12)
    first_kind = (strength * 10.0 % 1.0) < 0.5
    marks = torch.where(first_kind, torch.maximum(0.75 * bar, 0.7 * dot), torch.maximum(0.8 * ticks, 0.7 * dot))
    return marks * (strength > 0)

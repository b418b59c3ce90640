"""The view: where the probe is held and how the machine makes its picture, drawn from one seed.

Lengths in cm, angles in degrees, levels in dB, picture coordinates as shares of the side.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

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
        codec_noise: standard deviation of the codec's error, grey levels.
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


class _ViewDraws:
    """Draws of a view's fields, one after the other, from the ranges of a family.

    Args:
        seed: of the view.
        family: of `VIEW_FAMILIES`.
        quality: see `sample_view`.
    """

    def __init__(self, seed: int, family: str, quality: str | float | None) -> None:
        self.best, self.worst = _harm_range(quality)
        if family not in VIEW_FAMILIES:
            raise ValueError(f"view family must be one of {', '.join(VIEW_FAMILIES)}, got {family!r}")
        self.ranges = VIEW_FAMILIES[family]
        self.rng = np.random.default_rng(derive_seed(seed, "view"))

    def uniform(self, name: str) -> float:
        low, high = self.ranges[name]
        if name in HARMFUL:
            low, high = low + self.best * (high - low), low + self.worst * (high - low)
        return float(self.rng.uniform(low, high))

    def happens(self, name: str) -> bool:
        chance = self.ranges[f"p_{name}"][0] * (self.best + self.worst if name in HARMFUL else 1.0)
        return bool(self.rng.uniform() < chance)

    def common_or_rare(self, name: str) -> float:
        return self.uniform(name) if self.happens(name) else self.uniform(f"{name}_rare")

    def if_happens(self, name: str) -> float:
        return self.uniform(name) if self.happens(name) else 0.0

    def each(self, *names: str) -> dict[str, float]:
        return {name: self.uniform(name) for name in names}


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
    draws = _ViewDraws(seed, family, quality)
    pose = _draw_pose(draws, long_axis)
    shadowed = draws.happens("shadow_db")
    place = draws.each("apex_x", "apex_y", "radius")
    fields = pose | place | _draw_machine(draws) | _draw_losses(draws, shadowed)
    own = np.random.default_rng(derive_seed(seed, "blur"))
    soft = own.uniform() >= draws.ranges["p_blur"][0]
    return View(
        seed=seed,
        **fields,
        blur=float(own.uniform(*draws.ranges["blur_rare"])) if soft else draws.uniform("blur"),
        corner_cut=draws.happens("corner_cut") and pose["half_angle"] > 41.0,
        marks=draws.if_happens("marks"),
        codec_noise=draws.uniform("codec_noise"),
        second_trip_db=draws.uniform("second_trip_db"),
    )


def _draw_pose(draws: _ViewDraws, long_axis: float) -> dict[str, float]:
    """Depth, opening of the sector, and the heart's place in it."""
    # A large heart is looked at with more depth.
    depth = float(np.clip(long_axis / draws.common_or_rare("fill"), 10.0, 23.0))
    half_angle = draws.common_or_rare("half_angle")
    rng = draws.rng
    tilt = float(np.clip(rng.normal(*draws.ranges["tilt"]), *draws.ranges["tilt_limits"]))
    heart_z = float(rng.uniform(0.4, 2.6)) + 0.06 * depth * rng.uniform()
    # Keep the middle of the LV within the sector's inner two thirds, whatever the tilt.
    centre_z = heart_z + 0.5 * long_axis
    reach = math.tan(math.radians(half_angle)) * centre_z * 0.42
    sideways = float(rng.uniform(-0.8, 1.0)) * reach
    heart_x = float(np.clip(sideways - 0.5 * long_axis * math.sin(math.radians(tilt)), -4.0, 3.0))
    return {"depth": depth, "half_angle": half_angle, "heart_x": heart_x, "heart_z": heart_z, "tilt": tilt}


def _draw_machine(draws: _ViewDraws) -> dict[str, float]:
    """Beam, grey map and filters."""
    fields = draws.each("lateral_fwhm", "axial_blur", "dynamic_range", "gain", "gamma", "s_curve", "second_look")
    return fields | {name: draws.if_happens(name) for name in ("speckle_reduction", "persistence")}


def _draw_losses(draws: _ViewDraws, shadowed: bool) -> dict[str, float]:
    """Haze, noise, drop-outs, shadows and reverberation."""
    fields = draws.each("clutter_db", "clutter_decay", "haze_db", "noise_db", "gain_spread")
    fields |= draws.each("wall_drop_db", "drop_angle", "drop_angle_2", "drop_width", "drop_depth")
    fields["shadow_db"] = draws.uniform("shadow_db") if shadowed else 0.0
    fields |= draws.each("shadow_angle", "shadow_width", "edge_left_db", "edge_right_db", "edge_width")
    return fields | draws.each("near_db", "far_db", "reverb_db", "reverb_depth")


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

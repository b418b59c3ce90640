"""View families: tables of the ranges that the fields of a `View` are drawn from.

`wide` is the union of the others and more, for training: networks that learn from phantoms alone transfer to real
scanners only by domain randomisation. The others are kinds of scanner to test on. Lengths in cm, angles
in degrees, levels in dB, picture coordinates as shares of the side.
"""

from echosynth.phantom.kinds import Quality, ViewFamily

Range = tuple[float, float]

# What networks are trained on. p_NAME is the probability that NAME is drawn; otherwise it has its rare values or none.
WIDE: dict[str, Range] = {
    "fill": (0.46, 0.66),  # share of the depth that the LV takes
    "fill_rare": (0.36, 0.5),
    "p_fill": (0.75, 0.75),
    "half_angle": (40.0, 47.0),
    "half_angle_rare": (33.0, 48.0),
    "p_half_angle": (0.7, 0.7),
    "tilt": (10.0, 11.0),  # mean and standard deviation
    "tilt_limits": (-18.0, 38.0),
    "apex_x": (0.52, 0.575),
    "apex_y": (0.0, 0.075),
    "radius": (0.86, 1.02),
    "lateral_fwhm": (0.9, 2.4),
    "axial_blur": (0.0, 0.25),
    "dynamic_range": (40.0, 60.0),
    "gain": (-12.0, 7.0),
    "gamma": (1.1, 2.2),
    "s_curve": (0.0, 0.8),
    "second_look": (0.2, 0.5),
    "speckle_reduction": (0.0, 0.66),
    "p_speckle_reduction": (0.7, 0.7),
    "persistence": (0.0, 0.35),
    "p_persistence": (0.5, 0.5),
    "clutter_db": (-50.0, -22.0),
    "clutter_decay": (1.5, 6.0),
    "haze_db": (-62.0, -37.0),
    "noise_db": (-68.0, -45.0),
    "gain_spread": (1.0, 5.0),
    "wall_drop_db": (0.0, 20.0),
    "drop_angle": (-36.0, 36.0),
    "drop_angle_2": (8.0, 36.0),
    "drop_width": (3.0, 11.0),
    "drop_depth": (2.5, 9.0),
    "p_shadow_db": (0.3, 0.3),
    "shadow_db": (8.0, 26.0),
    "shadow_angle": (-44.0, 44.0),
    "shadow_width": (3.0, 11.0),
    "edge_left_db": (0.0, 20.0),
    "edge_right_db": (0.0, 18.0),
    "edge_width": (4.0, 24.0),
    "near_db": (0.0, 12.0),
    "far_db": (0.0, 12.0),
    "reverb_db": (-55.0, -22.0),
    "reverb_depth": (1.0, 5.0),
    "blur": (-0.8, 0.35),
    "blur_rare": (0.9, 1.6),  # small pictures, enlarged: as little grain as the softest real clips
    "p_blur": (0.84, 0.84),
    "p_corner_cut": (0.6, 0.6),
    "marks": (0.3, 1.0),
    "p_marks": (0.35, 0.35),
    "codec_noise": (0.0, 2.5),
    "second_trip_db": (-42.0, -14.0),
}
VIEW_FAMILIES: dict[ViewFamily, dict[str, Range]] = {
    "wide": WIDE,
    # A hospital's echo lab, pictures good enough to be traced: EchoNet-Dynamic's aggregates
    # (docs/experiments/phantom-appearance.md).
    "echonet": WIDE
    | {
        "p_fill": (0.9, 0.9),
        "half_angle": (43.0, 46.5),
        "p_half_angle": (1.0, 1.0),
        "tilt": (8.0, 8.0),
        "tilt_limits": (-10.0, 28.0),
        "apex_x": (0.53, 0.565),
        "apex_y": (0.01, 0.06),
        "radius": (0.92, 1.02),
        "lateral_fwhm": (0.9, 1.9),
        "dynamic_range": (46.0, 58.0),
        "gain": (-4.5, 1.5),
        "gamma": (1.45, 2.0),
        "axial_blur": (0.0, 0.1),
        "second_look": (0.3, 0.5),
        "blur": (-0.8, 0.1),
        "p_blur": (1.0, 1.0),
        "clutter_db": (-50.0, -32.0),
        "haze_db": (-62.0, -46.0),
        "noise_db": (-68.0, -52.0),
        "gain_spread": (1.0, 4.0),
        "wall_drop_db": (0.0, 14.0),
        "p_shadow_db": (0.2, 0.2),
        "shadow_db": (8.0, 20.0),
        "edge_left_db": (4.0, 18.0),
        "edge_right_db": (4.0, 16.0),
        "speckle_reduction": (0.1, 0.6),
        "p_speckle_reduction": (0.8, 0.8),
        "near_db": (0.0, 8.0),
        "far_db": (0.0, 8.0),
        "reverb_db": (-55.0, -32.0),
        "second_trip_db": (-42.0, -20.0),
        "p_corner_cut": (0.9, 0.9),
    },
    # One vendor, whole sectors, no marks: CAMUS.
    "camus": WIDE
    | {
        "p_blur": (1.0, 1.0),
        "p_fill": (0.9, 0.9),
        "half_angle": (34.0, 41.0),
        "p_half_angle": (1.0, 1.0),
        "tilt": (6.0, 8.0),
        "tilt_limits": (-12.0, 26.0),
        "radius": (0.93, 0.96),
        "lateral_fwhm": (0.9, 1.7),
        "gain": (-5.0, 6.0),
        "gamma": (1.1, 1.7),
        "haze_db": (-62.0, -42.0),
        "noise_db": (-66.0, -50.0),
        "p_corner_cut": (0.0, 0.0),
        "p_marks": (0.0, 0.0),
        "codec_noise": (0.0, 0.5),
    },
    # A small machine in a hurry: deep, dark, coarse, walls missing.
    "point-of-care": WIDE
    | {
        "p_blur": (1.0, 1.0),
        "p_fill": (0.2, 0.2),
        "half_angle": (36.0, 46.0),
        "tilt": (10.0, 13.0),
        "lateral_fwhm": (1.5, 2.4),
        "dynamic_range": (40.0, 52.0),
        "gain": (-12.0, 0.0),
        "noise_db": (-60.0, -45.0),
        "haze_db": (-56.0, -37.0),
        "wall_drop_db": (4.0, 20.0),
        "p_corner_cut": (0.2, 0.2),
    },
}

# Fields that make a picture worse the higher they are; and for each level of quality the part of their ranges.
HARMFUL = frozenset(
    "lateral_fwhm clutter_db haze_db noise_db gain_spread wall_drop_db shadow_db edge_left_db edge_right_db near_db"
    " far_db reverb_db second_trip_db".split()
)
QUALITIES: dict[Quality, Range] = {
    "excellent": (0.0, 0.2),
    "good": (0.15, 0.45),
    "medium": (0.4, 0.75),
    "poor": (0.7, 1.0),
}
HARM_SPREAD = 0.15  # share of a range, to both sides of the place of a quality given as a number

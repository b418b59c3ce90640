"""Scanners that no training has seen: phantoms of view families kept out of every set, with effects of their own.

The bundled readers learn from the families `wide` and `echonet`. These clips are of `point-of-care` and `camus`, and,
where asked, changed by effects that neither the phantom nor training's random scanners have, at frame rates that
training does not draw. What a reader scores here says more of a new scanner than its score on test patients does;
nothing is trained, tuned or selected on it, save the weights of the panel (`scripts/score_readers.py`), on patients of
their own.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import ndimage

from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, LOWEST_DRAWN_EF
from echosynth.data.echonet_tables import Tracing
from echosynth.phantom.kinds import ViewFamily
from echosynth.phantom.population import sample_patient
from echosynth.phantom.pose import LVFrame, from_lv_frame
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.phantom.simulated_clips import trace
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip
from echosynth.video.resample import resample_time

HELD_OUT_FAMILIES: tuple[ViewFamily, ...] = ("point-of-care", "camus")
HELD_OUT_RATES = (9.0, 11.0, 14.0, 22.0)  # Hz
SECONDS, RENDERED_FPS = 2.5, 44.0  # of a clip
RESTLESS_SHARE = 0.1  # of patients who count as those that move most
DRAWN_EFS, FAILING = (LOWEST_DRAWN_EF, HIGHEST_DRAWN_EF), (10.0, 30.0)  # per cent

Effect = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def posterise(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A grey map of a dozen steps."""
    steps = rng.integers(9, 15)
    return np.round(light * steps) / steps


def streak(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grain smeared out sideways, new in every frame."""
    noise = ndimage.uniform_filter1d(rng.normal(size=light.shape), 9, axis=2) * 3
    return light * (1 + 0.45 * noise)


def equalise(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Contrast equalised from place to place, as by an automatic tissue gain."""
    around = ndimage.uniform_filter(light, (0, 25, 25))
    return np.where(light > 0.02, 0.35 * light / (around + 0.06), 0)


def mosaic(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blocks of a codec at a low bit rate."""
    side = int(rng.choice([4, 7, 8]))
    frames, height, width = light.shape
    cut = light[:, : height // side * side, : width // side * side]
    means = cut.reshape(frames, height // side, side, width // side, side).mean((2, 4))
    blocks = means.repeat(side, 1).repeat(side, 2)
    mixed = light.copy()
    mixed[:, : blocks.shape[1], : blocks.shape[2]] = 0.45 * cut + 0.55 * blocks
    return mixed


def interlace(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every second line from the frame before."""
    mixed = light.copy()
    mixed[1:, 1::2] = light[:-1, 1::2]
    return mixed


def band(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Zones of focus: bands of gain across the picture."""
    down = np.arange(light.shape[1])
    gain = 1 + 0.4 * np.sin(2 * np.pi * (down / rng.uniform(20, 40) + rng.uniform()))
    return light * gain[None, :, None]


def persist(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A frame average with a long tail."""
    mixed, keep = light.copy(), rng.uniform(0.25, 0.4)
    for k in range(1, len(mixed)):
        mixed[k] = keep * mixed[k - 1] + (1 - keep) * light[k]
    return mixed


EFFECTS: tuple[Effect, ...] = (posterise, streak, equalise, mosaic, interlace, band, persist)
HOSPITAL_EFFECTS, HOSPITAL_FPS = (equalise, streak, persist), 22.0


def render_held_out(seed: int, family: ViewFamily, effects: bool) -> EchoClip:
    """A phantom patient of a family, EF uniform 10-85.

    Args:
        seed: who.
        family: of the view.
        effects: change its rate, and its pictures by two effects that no training has.
    """
    rng = np.random.default_rng(derive_seed(seed, "held out", family))
    clip = _render(_sample(seed, family), family, *_draw_beat(DRAWN_EFS, rng))
    if not effects:
        return clip
    fps = float(rng.choice(HELD_OUT_RATES))
    return _show(clip, fps, [EFFECTS[k] for k in rng.choice(len(EFFECTS), 2, replace=False)], rng)


def render_hospital(seed: int, family: ViewFamily) -> EchoClip:
    """The same patient on the one scanner of a hospital: effects and a rate that are those of all its clips."""
    rng = np.random.default_rng(derive_seed(seed, "hospital", family))
    return _show(render_held_out(seed, family, effects=False), HOSPITAL_FPS, HOSPITAL_EFFECTS, rng)


def _show(clip: EchoClip, fps: float, effects: Sequence[Effect], rng: np.random.Generator) -> EchoClip:
    """A clip at another rate, changed by effects one after the other."""
    light = resample_time(clip.pixels, clip.fps, fps).astype(np.float64) / 255
    for effect in effects:
        light = effect(light, rng).clip(0, 1)
    return clip.replace(pixels=np.rint(light * 255).astype(np.uint8), fps=fps)


def trace_held_out(seed: int, family: ViewFamily, clip: EchoClip) -> list[Tracing]:
    """The exact tracings of the fullest and the emptiest frame of a patient's clip, on whatever scanner."""
    ef, phase = _draw_beat(DRAWN_EFS, np.random.default_rng(derive_seed(seed, "held out", family)))
    phantom = _sample(seed, family)
    truth = phantom.move([ef], clip.num_frames, clip.fps, [phase])
    volume = truth.motion.volume[0]
    return [trace(phantom, truth, 0, int(frame)) for frame in (volume.argmax(), volume.argmin())]


def _draw_beat(efs: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    """EF, per cent, and the phase at which the clip begins."""
    return float(rng.uniform(*efs)), float(rng.uniform())


def _sample(seed: int, family: ViewFamily) -> Phantom:
    patient = sample_patient(seed)
    return Phantom([patient], [sample_view(seed, patient.long_axis, family)], [seed])


def _render(phantom: Phantom, family: ViewFamily, ef: float, phase: float) -> EchoClip:
    pixels = phantom.render([ef], round(SECONDS * RENDERED_FPS), RENDERED_FPS, [phase])[0][0].numpy()
    seed, edv = int(phantom.patient["seed"]), float(phantom.patient["edv"])
    esv = edv * (1 - ef / 100)
    return EchoClip(pixels, RENDERED_FPS, ef=ef, edv=edv, esv=esv, source=f"{family}-{seed}")


def find_restless(first_seed: int, count: int) -> list[int]:
    """Seeds of the patients who move most without contracting: the top tenth from a seed on.

    How far one moves is the way that base and apex travel in two seconds at the lowest EF.
    """
    seeds = range(first_seed, first_seed + round(count / RESTLESS_SHARE))
    ways = []
    for seed in seeds:
        pose = _sample(seed, "wide").move([FAILING[0]], 24, 12.0).pose
        along = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3, 1) * sample_patient(seed).long_axis
        ends = LVFrame(along.expand(1, 24, -1, -1), torch.zeros(1, 24, 3, 1))
        ways.append(sum(float((place.diff(dim=1) ** 2).sum()) for place in from_lv_frame(ends, pose)))
    chosen = np.argsort(ways)[-count:]
    return [seeds[k] for k in sorted(chosen.tolist())]


def render_restless(seed: int) -> EchoClip:
    """A failing heart, EF uniform 10-30, in a view that readers are trained on."""
    family: ViewFamily = ("wide", "echonet")[seed % 2]
    rng = np.random.default_rng(derive_seed(seed, "restless"))
    return _render(_sample(seed, family), family, *_draw_beat(FAILING, rng))

"""Explanations as pictures: two frames with borders, their Grad-CAM heat, the volume curve and the posterior of EF."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from echosynth.evaluation.explain import ExplainResult, Explanation
from echosynth.report.figures import BLUE, GREEN, GREY, ORANGE, write_figure
from echosynth.video.resample import resize
from echosynth.video.writers import write_colour_gif

HEAT = "autumn"  # red to yellow: no colour of it is dark
OPACITY = 0.6
SHOWN_SIDE = 224  # pixels, of a frame of the animation


def write_explanations(out: Path, result: ExplainResult) -> list[tuple[Path, Path]]:
    """Write NAME.png, the figure, and NAME_heat.gif, the window with its heat, of every regressor; return both paths.

    Raises:
        OutputError: the disk refused.
    """
    written = []
    for seen in result.explanations:
        figure, animation = (out / f"{seen.regressor}{end}" for end in (".png", "_heat.gif"))
        title = f"{seen.regressor} on {Path(result.file).name}"
        write_figure(figure, draw_explanation(seen, title, result.true_ef), dpi=110)
        write_colour_gif(animation, animate_heat(seen), seen.fps)
        written.append((figure, animation))
    return written


def draw_explanation(seen: Explanation, title: str, true_ef: float | None = None) -> Figure:
    """Draw everything that a regressor finds, side by side.

    Args:
        seen: what it finds.
        title: of the figure.
        true_ef: per cent; None if it is not known.
    """
    extra = [seen.curve is not None, seen.paths is not None, seen.paths is not None and len(seen.paths) > 1]
    columns = 4 + sum(extra)
    figure = Figure(figsize=(2.3 * columns, 2.7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, columns, width_ratios=[1] * 4 + [1.3] * sum(extra)))
    truth = "" if true_ef is None else f", true {true_ef:.0f} %"
    figure.suptitle(f"{title}: EF {seen.ef:.0f} %{truth}", fontsize=10)
    shown = seen.phases or (0, len(seen.pixels) // 2)  # without phases, the first frame and the middle one
    for k, (name, frame) in enumerate(zip(("ED, ", "ES, "), shown, strict=True)):
        axes[k].imshow(seen.pixels[frame], cmap="gray", vmin=0, vmax=255)
        if seen.landmarks is not None:
            for border, colour in zip(seen.landmarks[k], (ORANGE, GREEN), strict=False):
                _draw_border(axes[k], border, seen.pixels.shape[-1], colour)
        when = f"{name if seen.phases else ''}{frame / seen.fps:.2f} s"
        axes[k].set_title(when, fontsize=8)
        axes[2 + k].imshow(paint_heat(seen.pixels[frame], seen.heat[frame]))
        axes[2 + k].set_title(f"heat, {when}", fontsize=8)
    for panel in axes[:4]:
        panel.set_axis_off()
    rest = axes[4:]
    if seen.curve is not None:
        _draw_curve(rest.pop(0), seen)
    if seen.paths is not None:
        _draw_posterior(rest.pop(0), seen.paths[-1], seen.ef, true_ef)
        if rest:
            _draw_paths(rest.pop(0), seen.paths)
    return figure


def paint_heat(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay heat (..., H, W) in [0, 1] over grey uint8 pixels of that shape: uint8 (..., H, W, 3)."""
    colour = matplotlib.colormaps[HEAT](heat)[..., :3]
    share = OPACITY * heat[..., None]
    return np.rint((1 - share) * pixels[..., None].astype(np.float64) + share * 255 * colour).astype(np.uint8)


def animate_heat(seen: Explanation) -> np.ndarray:
    """The whole window with its heat, uint8 (T, SHOWN_SIDE, SHOWN_SIDE, 3)."""
    painted = np.moveaxis(paint_heat(seen.pixels, seen.heat), -1, 1)
    large = resize(painted.reshape(-1, *painted.shape[2:]), SHOWN_SIDE).reshape(*painted.shape[:2], SHOWN_SIDE, -1)
    return np.moveaxis(large, 1, -1)


def _draw_border(axes: Axes, landmarks: np.ndarray, side: int, colour: str) -> None:
    """Draw the outline through the ends of the chords, up one side and down the other, and the long axis dashed."""
    places = landmarks * side - 0.5
    chords = places[1:]
    outline = np.concatenate([places[:1, 0], chords[:, 1], chords[::-1, 0], places[:1, 0]])
    axes.plot(*outline.T, color=colour, linewidth=1.5)
    axes.plot(*places[0].T, color=BLUE, linewidth=1, linestyle="--")


def _draw_curve(axes: Axes, seen: Explanation) -> None:
    assert seen.curve is not None
    time = np.arange(len(seen.curve)) / seen.fps
    axes.plot(time, 100 * seen.curve, color=BLUE, linewidth=1.2)
    for frame in seen.phases or ():
        axes.plot(time[frame], 100 * seen.curve[frame], "o", color=ORANGE, markersize=5)
    _label(axes, "volume by frame", "time (s)", "share of the largest (%)")


def _draw_posterior(axes: Axes, samples: np.ndarray, ef: float, true_ef: float | None) -> None:
    axes.hist(samples, bins=[5 * k - 2.5 for k in range(22)], color=BLUE, alpha=0.7, density=True)
    axes.axvline(ef, color=ORANGE, linewidth=1.2)
    if true_ef is not None:
        axes.axvline(true_ef, color=GREY, linewidth=1.2, linestyle="--")
    _label(axes, f"posterior of EF: std {samples.std():.1f}", "EF (%)", "density")


def _draw_paths(axes: Axes, paths: np.ndarray) -> None:
    axes.plot(paths[:, :40], color=BLUE, alpha=0.25, linewidth=0.6)
    axes.set_ylim(-50, 150)
    _label(axes, "from noise to EF", "step", "EF (%)")


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=8)
    axes.set_xlabel(x, fontsize=7)
    axes.set_ylabel(y, fontsize=7)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)

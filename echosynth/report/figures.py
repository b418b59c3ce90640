"""Figures of ejection fraction: scatter, Bland-Altman, histogram. EF in per cent everywhere.

Figures are made without pyplot, so there is no global state and no display, and threads can draw at once.
Bland & Altman, The Lancet 327 (1986): limits of agreement = mean difference +- 1.96 standard deviations.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from echosynth.storage.atomic import write_bytes

BLUE, ORANGE, GREEN, GREY = "#1f6fb4", "#c8590a", "#3f8f4f", "#666666"
EF_BINS = [5.0 * edge for edge in range(21)]


def ef_scatter(
    target: ArrayLike, measured: ArrayLike, title: str = "Asked and measured EF", given: str = "EF asked for"
) -> Figure:
    """Draw measured against asked EF with the identity line, the mean bias and its 1.96 SD band.

    Args:
        target: (n,) EF asked for, or true, per cent.
        measured: (n,) EF measured, per cent.
        title: title of the figure.
        given: what `target` is, on the axes.

    Raises:
        ValueError: the vectors are empty or differ in length.
    """
    t, m = _pair(target, measured)
    figure, axes = _blank(title)
    low, high = min(0.0, float(m.min())), max(100.0, float(m.max()))
    line = np.array([low, high])
    bias, limit = _agreement(m - t)
    axes.fill_between(line, line + bias - limit, line + bias + limit, color=BLUE, alpha=0.10, linewidth=0)
    axes.plot(line, line, color=GREY, linewidth=1, label="identity")
    label = f"bias {bias:+.1f} ± {limit:.1f} (1.96 SD)"
    axes.plot(line, line + bias, color=BLUE, linewidth=1, linestyle="--", label=label)
    axes.scatter(t, m, s=16, color=ORANGE, alpha=0.7, linewidths=0, label=f"{len(t)} clips")
    axes.set(xlabel=f"{given} (%)", ylabel="EF measured (%)", xlim=(low, high), ylim=(low, high))
    axes.set_aspect("equal")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def bland_altman(
    target: ArrayLike, measured: ArrayLike, title: str = "Bland-Altman", given: str = "EF asked for"
) -> Figure:
    """Draw the difference measured - target against the mean of both, with bias and limits of agreement.

    Args:
        target: (n,) EF asked for, or true, per cent.
        measured: (n,) EF measured, per cent.
        title: title of the figure.
        given: what `target` is, on the axes.

    Raises:
        ValueError: the vectors are empty or differ in length.
    """
    t, m = _pair(target, measured)
    figure, axes = _blank(title)
    bias, limit = _agreement(m - t)
    axes.scatter((t + m) / 2, m - t, s=16, color=ORANGE, alpha=0.7, linewidths=0)
    axes.axhline(0, color=GREY, linewidth=1)
    for value, style in ((bias, "-"), (bias - limit, "--"), (bias + limit, "--")):
        axes.axhline(value, color=BLUE, linewidth=1, linestyle=style)
        axes.annotate(
            f"{value:+.1f}", (1.0, value), xycoords=("axes fraction", "data"), xytext=(3, 0),
            textcoords="offset points", va="center", color=BLUE, fontsize=8, annotation_clip=False,
        )  # fmt: skip
    axes.set(xlabel=f"mean of EF measured and {given} (%)", ylabel=f"EF measured - {given} (points)")
    return figure


def ef_residuals(truth: ArrayLike, measured: ArrayLike, deviation: ArrayLike, title: str) -> Figure:
    """Draw the error over the measured EF, with 90 % intervals from the standard deviations that the regressor gives.

    Args:
        truth: (n,) per cent.
        measured: (n,) per cent.
        deviation: (n,) standard deviations that the regressor gives, EF points.
        title: title of the figure.

    Raises:
        ValueError: the three do not fit together.
    """
    t, m = _pair(truth, measured)
    reach = 1.645 * np.asarray(deviation, dtype=np.float64)
    if reach.shape != t.shape:
        raise ValueError(f"need one deviation per clip, got {reach.shape} for {t.shape}")
    held = np.abs(m - t) <= reach
    figure, axes = _blank(title)
    for inside, colour in ((held, BLUE), (~held, ORANGE)):
        axes.errorbar(m[inside], (m - t)[inside], reach[inside], fmt="o", ms=3, color=colour, alpha=0.6, elinewidth=0.6)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.annotate(
        f"{held.mean():.0%} of errors within 1.645 standard deviations (90 % wanted)", (0.02, 0.97),
        xycoords="axes fraction", va="top", fontsize=8, color=GREY,
    )  # fmt: skip
    axes.set(xlabel="measured EF (%)", ylabel="measured - true EF (points)")
    return figure


def ef_histogram(before: ArrayLike, after: ArrayLike, title: str = "EF before and after augmentation") -> Figure:
    """Draw the number of clips per 5 points of EF before and after synthetic clips were added.

    Args:
        before: (n,) EF of the clips that were there, per cent, 0-100.
        after: (m,) EF of all clips afterwards, per cent, 0-100.
        title: title of the figure.

    Raises:
        ValueError: an EF is outside 0-100, so it would be missing from the picture.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    for values in (first, second):
        if values.size and not (values.min() >= 0 and values.max() <= 100):
            raise ValueError("EF is in per cent, 0-100")
    figure, axes = _blank(title)
    axes.hist(second, bins=EF_BINS, color=ORANGE, alpha=0.55, label=f"after ({len(second)})")
    axes.hist(first, bins=EF_BINS, color=BLUE, alpha=0.75, label=f"before ({len(first)})")
    axes.set(xlabel="EF (%)", ylabel="clips", xlim=(0, 100))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)
    return figure


def embedding_map(features: ArrayLike, ef: ArrayLike, title: str) -> Figure:
    """Draw clips by the first two principal components of their embeddings, coloured by EF.

    Args:
        features: (n, d), n >= 3.
        ef: (n,) true EF, per cent.
        title: title of the figure.

    Raises:
        ValueError: there are fewer than three clips, or not one EF for each.
    """
    x, truth = np.asarray(features, dtype=np.float64), np.asarray(ef, dtype=np.float64)
    if x.ndim != 2 or len(x) < 3 or truth.shape != x.shape[:1]:
        raise ValueError(f"need three embeddings or more with one EF each, got {x.shape} and {truth.shape}")
    left, size, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    places, share = left[:, :2] * size[:2], size**2 / np.sum(size**2)
    figure, axes = _blank(title)
    shown = axes.scatter(places[:, 0], places[:, 1], c=truth, s=18, cmap="viridis", vmin=10, vmax=85, linewidths=0)
    figure.colorbar(shown, ax=axes, label="EF (%)", shrink=0.8)
    axes.set(xlabel=f"first component ({share[0]:.0%})", ylabel=f"second component ({share[1]:.0%})")
    return figure


def forest_plot(lines: Sequence[tuple[str, float, float, float]], axis: str) -> Figure:
    """Draw differences with their intervals, one a line, and where there is none.

    Args:
        lines: name, difference, lower and upper end of each, from top to bottom.
        axis: what the differences are.

    Raises:
        ValueError: there is no line.
    """
    if not lines:
        raise ValueError("no differences to draw")
    figure = Figure(figsize=(7.5, 0.6 + 0.28 * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, (_, middle, low, high) in enumerate(lines):
        colour = GREEN if high < 0 else ORANGE if low > 0 else GREY
        axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot([middle], [place], "o", color=colour, markersize=5)
    axes.axvline(0.0, color=GREY, linewidth=1, linestyle="--")
    axes.set(yticks=range(len(lines)), yticklabels=[name for name, *_ in lines], xlabel=axis)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure


def figure_to_png(figure: Figure, dpi: int = 120) -> bytes:
    """Return the figure as a PNG file in memory."""
    buffer = io.BytesIO()
    # No software version in the file: the same numbers give the same bytes.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def write_figure(path: Path, figure: Figure, dpi: int = 120) -> bytes:
    """Write the figure as a PNG file and return its bytes.

    Raises:
        OutputError: the disk refused.
    """
    png = figure_to_png(figure, dpi)
    write_bytes(path, png)
    return png


def _blank(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _pair(target: ArrayLike, measured: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    t, m = np.asarray(target, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if t.ndim != 1 or t.shape != m.shape or len(t) == 0:
        raise ValueError(f"need two non-empty vectors of one length, got {t.shape} and {m.shape}")
    return t, m


def _agreement(difference: np.ndarray) -> tuple[float, float]:
    """Return the mean difference and 1.96 standard deviations (n - 1); 0 for a single clip."""
    deviation = float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
    return float(difference.mean()), 1.96 * deviation

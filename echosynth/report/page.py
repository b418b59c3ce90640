"""One self-contained HTML page: looping clips, tables and figures, for `echosynth demo`, `generate` and `evaluate`.

The page is one file that works offline, without script, in light and dark, and can be mailed. Clips are animated WebP
in data URIs: no palette and no dithering, frame times in whole milliseconds (a GIF counts in 10 ms, so a clip of 32 fps
would run 4 % off), about 0.3 MB for 64 frames of 112x112 at twice the size. All text is escaped.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from echosynth.report.tables import Table
from echosynth.report.template import BANNER, load_template
from echosynth.video.clip import EchoClip
from echosynth.video.delays import WEBP_TICKS, frame_delays
from echosynth.video.resample import resize
from echosynth.video.writers import encode_picture

TILE_WIDTH = 224
TILE_SCALE = 2
WEBP_QUALITY = 75

Status = Literal["accepted", "refused", "truth", "frame"]
STATUS_WORDS: dict[Status, str] = {
    "accepted": "✓ accepted",
    "refused": "✗ refused",
    "truth": "true counterfactual",
    "frame": "input",
}


@dataclass(frozen=True, eq=False)
class ClipTile:
    """One picture of the grid: a looping clip or a still frame.

    Attributes:
        title: short, e.g. "EF 25".
        caption: e.g. "asked 25 · gate 27 · judge 26".
        clip: a clip, or a still frame uint8 (H, W) or (H, W, 3).
        status: "accepted" or "refused" by the gate, "truth" for a true counterfactual, "frame" for an input.

    Raises:
        ValueError: an unknown status, or an array that is not a picture.
    """

    title: str
    caption: str
    clip: EchoClip | np.ndarray
    status: Status = "frame"

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"status must be one of {get_args(Status)}, got {self.status!r}")
        if isinstance(self.clip, np.ndarray):
            shape = self.clip.shape
            if self.clip.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
                raise ValueError(f"a still must be uint8 (H, W) or (H, W, 3), got {self.clip.dtype} {shape}")


@dataclass(frozen=True)
class Figure:
    """A PNG picture (from `figures.figure_to_png`) with its caption and the text read to those who cannot see it."""

    png: bytes
    caption: str
    alt: str


@dataclass(frozen=True)
class PageSection:
    """A heading with text, then rows of tiles (e.g. one row per patient), tables and figures."""

    title: str
    text: str = ""
    tiles_rows: Sequence[Sequence[ClipTile]] = field(default_factory=tuple)
    tables: Sequence[Table] = field(default_factory=tuple)
    figures: Sequence[Figure] = field(default_factory=tuple)


def render_page(title: str, intro: str, sections: Sequence[PageSection], footer: str = "Made by echosynth.") -> str:
    """Return the page as one HTML text.

    Args:
        title: title of page and window.
        intro: one or two sentences under the title.
        sections: parts of the page in order.
        footer: the last line, e.g. version, model and seed.
    """
    return load_template("page.html.j2").render(
        title=title,
        intro=intro,
        sections=sections,
        footer=footer,
        banner=BANNER,
        status_words=STATUS_WORDS,
        tile_width=TILE_WIDTH,
        tile_uri=_tile_uri,
        alt_text=_alt_text,
        tile_height=_tile_height,
        png_uri=_png_uri,
    )


def encode_clip(clip: EchoClip, scale: int = TILE_SCALE, quality: int = WEBP_QUALITY) -> bytes:
    """Return the clip as an endlessly looping animated WebP, enlarged bicubically.

    Args:
        clip: the clip.
        scale: enlargement, >= 1.
        quality: WebP quality, 0-100.
    """
    height, width = clip.pixels.shape[1:]
    return encode_picture(
        resize(clip.pixels, (height * scale, width * scale)),
        ".webp",
        is_batch=True,
        duration=frame_delays(clip.num_frames, clip.fps, WEBP_TICKS),
        loop=0,
        quality=quality,
        method=4,
    )


def _uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _tile_uri(tile: ClipTile) -> str:
    if isinstance(tile.clip, EchoClip):
        return _uri("image/webp", encode_clip(tile.clip))
    return _uri("image/png", encode_picture(tile.clip, ".png"))


def _png_uri(figure: Figure) -> str:
    return _uri("image/png", figure.png)


def _alt_text(tile: ClipTile) -> str:
    if isinstance(tile.clip, EchoClip):
        kind = f"Looping ultrasound clip of {tile.clip.num_frames} frames, {tile.clip.duration_s:.1f} s"
    else:
        kind = "Ultrasound frame"
    return ". ".join(part for part in (kind, tile.title, tile.caption, STATUS_WORDS[tile.status]) if part)


def _tile_height(tile: ClipTile) -> int:
    """Pixels at `TILE_WIDTH`; written in the page, so that its layout does not change while pictures load."""
    height, width = tile.clip.pixels.shape[1:] if isinstance(tile.clip, EchoClip) else tile.clip.shape[:2]
    return round(TILE_WIDTH * int(height) / int(width))

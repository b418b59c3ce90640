"""The page is one file: parsed, escaped, offline, accessible; its clips decode to what was given."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageSequence

from echosynth.report.figures import ef_scatter, figure_to_png
from echosynth.report.page import BANNER, ClipTile, Figure, PageSection, encode_clip, render_page
from echosynth.report.tables import Table
from echosynth.video.clip import EchoClip

EVIL = '"><script>alert(1)</script><img src=https://evil.example/x.png onerror=alert(2)>.mp4'


def moving_clip(frames: int = 8, fps: float = 32.0, size: int = 56) -> EchoClip:
    """A bright ring that beats on dim speckle."""
    y, x = np.mgrid[:size, :size] - size / 2
    speckle = np.random.default_rng(0).rayleigh(20, (size, size))
    beat = np.sin(2 * np.pi * np.arange(frames) / frames)
    ring = [160 * np.exp(-((np.hypot(x, y) - size * (0.3 + 0.05 * b)) ** 2) / 12) for b in beat]
    return EchoClip((speckle + np.array(ring)).clip(0, 255).astype(np.uint8), fps)


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are balanced."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(text: str = "plain") -> str:
    clip = moving_clip()
    row = [
        ClipTile(text, "conditioning frame", clip.pixels[0]),
        ClipTile("EF 25", f"{text} · gate 27 · judge 26", clip, "accepted"),
        ClipTile("EF 65", "asked 65 · gate 52", clip, "refused"),
        ClipTile("EF 65", "the simulator's own", clip, "truth"),
    ]
    table = Table(text, ["", "MAE"], [[text, "3.1 (2.0 to 4.2)"]], note=text)
    figure = Figure(figure_to_png(ef_scatter([1, 2], [1, 3])), text, text)
    return render_page(text, text, [PageSection(text, text, [row, row], [table], [figure])], footer=text)


def test_page_is_complete_offline_and_accessible() -> None:
    reader = Reader(page())
    assert BANNER in reader.text
    for words in ("✓ accepted", "✗ refused", "true counterfactual", "gate 27", "3.1 (2.0 to 4.2)"):
        assert words in reader.text
    images = [attrs for tag, attrs in reader.tags if tag == "img"]
    assert len(images) == 9
    assert all((a["src"] or "").startswith("data:image/") and a["alt"] for a in images)
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "link", "iframe", "object", "video"})
    assert any(tag == "html" and a.get("lang") == "en" for tag, a in reader.tags)
    assert not re.search(r"https?://|@import|url\(", page())


def test_hostile_text_stays_text() -> None:
    reader = Reader(page(EVIL))
    assert EVIL in reader.text
    assert "script" not in {tag for tag, _ in reader.tags}
    for _, attrs in reader.tags:
        assert "onerror" not in attrs
        assert (attrs.get("src") or "data:").startswith("data:")
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in Reader(page()).tags]


def test_clips_decode_to_what_was_given() -> None:
    clip = moving_clip(frames=16, fps=32)
    image = Image.open(io.BytesIO(encode_clip(clip, scale=1, quality=90)))
    frames = [frame.convert("L") for frame in ImageSequence.Iterator(image)]
    decoded = np.array([np.asarray(frame) for frame in frames])
    assert decoded.shape == clip.pixels.shape
    assert np.abs(decoded.astype(int) - clip.pixels).mean() < 4
    assert image.info["loop"] == 0
    durations = [frame.info["duration"] for frame in frames]
    assert durations[:4] == [31, 31, 32, 31], "32 Hz in whole milliseconds"
    assert sum(durations) == 500
    source = next(a["src"] for tag, a in Reader(page()).tags if tag == "img" and "webp" in (a["src"] or ""))
    assert Image.open(io.BytesIO(base64.b64decode((source or "").split(",")[1]))).size == (112, 112)


def test_a_noisy_full_clip_stays_small() -> None:
    rng = np.random.default_rng(1)
    worst = moving_clip(64, 50, 112).pixels + rng.normal(0, 12, (64, 112, 112))
    assert len(encode_clip(EchoClip(worst.clip(0, 255).astype(np.uint8), 50))) < 700_000


def test_tiles_check_themselves() -> None:
    with pytest.raises(ValueError, match="status"):
        ClipTile("t", "c", moving_clip(), "good")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="still"):
        ClipTile("t", "c", np.zeros((4, 4), np.float32))

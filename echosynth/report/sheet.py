"""The contact sheet: one row of frames per clip, from end-diastole to end-systole, for a look without a player."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from echosynth.report.template import BANNER
from echosynth.video.clip import EchoClip

BACKGROUND, INK, FAINT = (16, 18, 22), (232, 234, 238), (150, 156, 166)
GAP, LABEL_WIDTH, FONT_SIZE = 6, 132, 14


def contact_sheet(
    rows: Sequence[EchoClip], labels: Sequence[str], columns: int = 6, cell: int = 144, note: str = BANNER
) -> np.ndarray:
    r"""Draw frames evenly spaced in time, with a label before each row and the time under each frame.

    Frames run from ED to ES where the clip knows both, else over the whole clip.

    Args:
        rows: clips, of any length and size.
        labels: one label per row, lines separated by "\n", e.g. "EF 25 asked\n27 gate\n26 judge".
        columns: frames per row, >= 2.
        cell: height of a frame in the sheet, pixels.
        note: the line at the foot.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ValueError: no rows, not one label per row, or fewer than two columns.
    """
    if not rows or len(rows) != len(labels) or columns < 2:
        raise ValueError(f"need rows with one label each and 2 columns, got {len(rows)}, {len(labels)}, {columns}")
    font, small = ImageFont.load_default(FONT_SIZE), ImageFont.load_default(FONT_SIZE - 3)
    width_of = [max(1, round(cell * clip.pixels.shape[2] / clip.pixels.shape[1])) for clip in rows]
    caption = FONT_SIZE + 3
    height = GAP + len(rows) * (cell + caption + GAP) + caption
    size = (LABEL_WIDTH + columns * (max(width_of) + GAP) + GAP, height)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for row, (clip, label, width) in enumerate(zip(rows, labels, width_of, strict=True)):
        top = GAP + row * (cell + caption + GAP)
        draw.multiline_text((GAP * 2, top + cell / 2), label, fill=INK, font=font, anchor="lm", spacing=6)
        for column, index in enumerate(frame_indices(clip, columns)):
            left = LABEL_WIDTH + column * (max(width_of) + GAP)
            frame = Image.fromarray(clip.pixels[index]).resize((width, cell), Image.Resampling.BICUBIC)
            sheet.paste(frame, (left, top))
            draw.text((left + width / 2, top + cell + 2), _time(clip, index), fill=FAINT, font=small, anchor="ma")
    draw.text((2 * GAP, height - GAP), note, fill=FAINT, font=small, anchor="ls")
    return np.asarray(sheet)


def frame_indices(clip: EchoClip, columns: int) -> list[int]:
    """Return `columns` frame numbers evenly spaced in time, first and last included.

    From ED to ES if the clip knows both (in their order of time), else from the first to the last frame.
    """
    first, last = 0, clip.num_frames - 1
    if clip.ed_frame is not None and clip.es_frame is not None and clip.ed_frame != clip.es_frame:
        first, last = sorted((clip.ed_frame, clip.es_frame))
    return [int(index) for index in np.rint(np.linspace(first, last, columns))]


def _time(clip: EchoClip, index: int) -> str:
    phase = {clip.ed_frame: "ED ", clip.es_frame: "ES "}.get(index, "")
    return f"{phase}{index / clip.fps:.2f} s"

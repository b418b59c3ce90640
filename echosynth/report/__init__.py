"""Reports: what was made and how good it is, as pictures, tables, one offline HTML page and a model card.

figures       EF scatter, Bland-Altman, histograms (matplotlib, no display needed)
sheet         frames of clips, from end-diastole to end-systole, as one picture
tables        scores with intervals, as Markdown and HTML
page          one self-contained HTML page with looping clips
model_card    the card that goes with a set of weights
"""

from echosynth.report.figures import bland_altman, ef_histogram, ef_scatter, figure_to_png
from echosynth.report.model_card import render_model_card
from echosynth.report.page import ClipTile, Figure, PageSection, encode_clip, render_page
from echosynth.report.sheet import contact_sheet
from echosynth.report.tables import Table, evaluation_tables, format_with_interval, to_markdown

__all__ = [
    "ClipTile",
    "Figure",
    "PageSection",
    "Table",
    "bland_altman",
    "contact_sheet",
    "ef_histogram",
    "ef_scatter",
    "encode_clip",
    "evaluation_tables",
    "figure_to_png",
    "format_with_interval",
    "render_model_card",
    "render_page",
    "to_markdown",
]

"""Tables and model cards made from the JSON of an evaluation."""

import json
from typing import Any

import numpy as np
import pytest
import yaml

from echosynth.evaluation.result import EvaluatedSample, MeasuredTruth, assemble_evaluation
from echosynth.metrics.frechet import compare_features
from echosynth.report.model_card import REQUIRED, render_model_card
from echosynth.report.page import PageSection, render_page
from echosynth.report.tables import Table, evaluation_tables, format_number, format_with_interval, to_markdown


def evaluation() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 4))
    result = assemble_evaluation(
        [EvaluatedSample(f"p{i}", t, False, t + e) for i, (t, e) in enumerate(rng.uniform(1, 80, (12, 2)) * (1, 0.1))]
        + [EvaluatedSample("p0", 30.0, True, 36.0 - 5 * attempt, attempt) for attempt in range(2)],
        [MeasuredTruth(f"p{i}", 40.0 + i, 41.0) for i in range(5)],
        judge="uniformer",
        gate="r2plus1d",
        frechet=[compare_features(x, x, "judge:uniformer", repeats=1)],
        n_bootstrap=20,
    )
    loaded: dict[str, Any] = json.loads(result.to_json())
    return loaded


def test_numbers() -> None:
    assert format_number(None) == format_number(float("nan")) == "–"
    assert format_number(-0.001) == "0.00"
    assert format_number(-1.234, 1) == "−1.2"
    assert format_with_interval(4.2, [3.8, 4.66]) == "4.20 (3.80 to 4.66)"
    assert format_with_interval(4.2, None) == "4.20"
    assert format_with_interval(None, [None, None]) == "–"


def test_evaluation_tables_hold_the_scores() -> None:
    e = evaluation()
    tables = evaluation_tables(e)
    text = "\n".join(map(to_markdown, tables))
    assert len(tables) == 3, "no similarity was measured, so there is no such table"
    assert f"{e['counterfactual']['mae']:.2f} (" in text
    assert "best of 1" not in text
    assert "factual, best of 2 (optimistic)" in text
    assert "Judge: uniformer. Gate: r2plus1d." in text
    assert "fd[judge:uniformer;n=10]" in text
    assert evaluation_tables({}) == []


def test_markup_in_cells_is_harmless() -> None:
    table = Table("<b>", ["a", "b"], [["x|y\nz", "<script>"]], note="&")
    assert "x\\|y z" in to_markdown(table)
    html = render_page("t", "", [PageSection("s", tables=[table])])
    assert "<script>" not in html
    assert '<th scope="row">x|y\nz</th><td>&lt;script&gt;</td>' in html
    assert "<b>" not in html
    assert "<caption>&lt;b&gt;</caption>" in html
    assert '<p class="note">&amp;</p>' in html
    with pytest.raises(ValueError, match="row of 1"):
        Table("t", ["a", "b"], [["x"]])


def facts() -> dict[str, Any]:
    return {
        "name": "phantom-cascade", "what": "A base model.", "data": "2,000 phantoms", "seeds": [0, 1999],
        "steps": 40000, "hardware": "1 H200", "hours": 1.5, "scores": evaluation(),
        "limits": ["Saw no patient.", "Four-chamber view only."], "licence": "MIT",
    }  # fmt: skip


def test_card_says_everything() -> None:
    card = render_model_card(facts())
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "mit"
    for text in ("# phantom-cascade", "40,000", "1 H200", "0, 1999", "- Saw no patient.", "not for diagnosis", "RMSE"):
        assert text in card


def test_card_refuses_gaps_and_unknown_facts() -> None:
    for key in REQUIRED:
        with pytest.raises(ValueError, match=key):
            render_model_card({k: v for k, v in facts().items() if k != key})
    with pytest.raises(ValueError, match="colour"):
        render_model_card({**facts(), "colour": "grey"})


def test_columns_of_words_are_aligned_left() -> None:
    markdown = to_markdown(Table("t", ["a", "b", "c"], [["x", "y", "1"]], text_columns=(0, 1)))
    assert "| --- | --- | ---: |" in markdown.splitlines()

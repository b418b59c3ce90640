"""Tables and model cards made from the JSON of an evaluation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from echosynth.evaluation.records import Record
from echosynth.evaluation.result import assemble_evaluation
from echosynth.report.model_card import ModelCard, read_card, render_model_card, write_card
from echosynth.report.page import PageSection, render_page
from echosynth.report.tables import Table, evaluation_tables, format_number, format_with_interval, to_markdown
from echosynth.storage.checksums import verify
from tests.evaluations import make_sample, make_truth

ROOT = Path(__file__).resolve().parents[2]


def evaluation() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    features = [tuple(x) for x in rng.normal(size=(20, 4)).tolist()]
    targets, errors = rng.uniform(1, 80, (12, 2)).T * [[1], [0.1]]
    records: list[Record] = [
        make_sample(f"p{i:02d}", t, t + e, features=features[i])
        for i, (t, e) in enumerate(zip(targets.tolist(), errors.tolist(), strict=True))
    ]
    records += [make_sample("p00", 30.0, 36.0 - 5 * attempt, True, attempt) for attempt in range(2)]
    records += [make_truth(f"p{i:02d}", 40.0 + i, 41.0, features[i]) for i in range(20)]
    result = assemble_evaluation(records, judge="uniformer", gate="r2plus1d", n_bootstrap=20)
    loaded: dict[str, Any] = json.loads(json.dumps(result.to_dict(), allow_nan=False))
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
    """Facts of a card, as JSON holds them."""
    runs = [{"name": "first/base", "steps": 4000, "validation": {"2000": 0.5, "4000": 0.25}}]
    shared = {"patients": 2000, "ef": [10, 85], "hardware": "1 H200"}
    return {
        "name": "phantom-cascade",
        "kind": "cascade",
        "class": "echosynth.diffusion.pipeline.EchoCascadePipeline",
        "license": "MIT",
        "description": "A base model.",
        "data": "Phantoms alone.",
        "patient_seeds": [0, 1999],
        "training_seed": 7,
        "training": [
            {"runs": runs, "hours": 1.5, **shared},
            {"runs": [{"name": "second/sr1", "steps": 20}], "hours": None, "note": "Nobody looked.", **shared},
        ],
        "scores": evaluation(),
        "limits": ["Saw no patient.", "Four-chamber view only."],
    }


def test_card_says_everything() -> None:
    card = render_model_card(ModelCard.model_validate(facts()))
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "mit"
    assert "| first/base 4,000 | 2,000 | 10-85 | 1.50 | 1 H200 |" in card
    assert "| second/sr1 20 | 2,000 | 10-85 | – | 1 H200 |" in card
    assert "| first/base | 4,000 | 0.2500 |" in card
    for text in ("# phantom-cascade", "seeds 0-1999", "- Nobody looked.", "- Saw no patient.", "not for diagnosis"):
        assert text in card
    for table in evaluation_tables(evaluation()):
        assert to_markdown(table).strip() in card


def test_card_refuses_gaps_and_unknown_facts() -> None:
    for key in facts():
        with pytest.raises(ValidationError, match=key):
            ModelCard.model_validate({k: v for k, v in facts().items() if k != key})
    for empty in ({"training": []}, {"limits": []}, {"scores": {}}, {"description": ""}, {"colour": "grey"}):
        with pytest.raises(ValidationError, match=next(iter(empty))):
            ModelCard.model_validate(facts() | empty)


def test_a_card_on_disk_is_read_back_and_its_hashes_hold(tmp_path: Path) -> None:
    card = ModelCard.model_validate(facts())
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card
    assert (tmp_path / "README.md").read_text() == render_model_card(card)
    verify(tmp_path)


@pytest.mark.parametrize("folder", sorted((ROOT / "checkpoints").iterdir()), ids=lambda folder: folder.name)
def test_bundled_cards_are_rendered_from_their_data(folder: Path) -> None:
    stale = "card.json or a table has changed: run scripts/render_cards.py"
    assert (folder / "README.md").read_text() == render_model_card(read_card(folder)), stale
    verify(folder)


def test_columns_of_words_are_aligned_left() -> None:
    markdown = to_markdown(Table("t", ["a", "b", "c"], [["x", "y", "1"]], text_columns=(0, 1)))
    assert "| --- | --- | ---: |" in markdown.splitlines()

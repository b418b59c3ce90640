"""The model card: what a set of weights is, what it was trained on, how good it is and what it cannot do.

`card.json` beside the weights holds the facts as data; the README.md there is rendered from it, Markdown with the YAML
head of the Hugging Face Hub. Source of the form: Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
Every fact is required: a card with a silent gap would say less than no card.
"""

import json
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import Field, NonNegativeFloat, PositiveInt

from echosynth.config import StrictModel
from echosynth.report.tables import evaluation_tables, to_markdown
from echosynth.storage.atomic import write_text
from echosynth.storage.checksums import write_sums
from echosynth.storage.model_files import CARD_FILE

README_FILE = "README.md"


class TrainingRun(StrictModel):
    """One network, trained once.

    Attributes:
        name: RUN/NETWORK, the folders of its training log.
        steps: optimiser steps.
        validation: step -> loss on held-out phantoms.
    """

    name: str = Field(min_length=1)
    steps: PositiveInt
    validation: dict[PositiveInt, float] = Field(default_factory=dict)


class TrainingSession(StrictModel):
    """Runs that share data, hardware and the clock.

    Attributes:
        runs: what was trained, in order.
        patients: phantom patients.
        ef: range of their EFs, per cent.
        hours: for all runs together; None where they were not recorded.
        hardware: where.
        note: what the numbers do not say, as a sentence.
    """

    runs: tuple[TrainingRun, ...] = Field(min_length=1)
    patients: PositiveInt
    ef: tuple[float, float]
    hours: NonNegativeFloat | None
    hardware: str = Field(min_length=1)
    note: str = ""


class ModelCard(StrictModel):
    """The facts of a card.

    Attributes:
        name: of the model, and of its folder.
        kind: what it does.
        class_name: dotted path of the class that loads it.
        license: SPDX identifier.
        description: what the model is, in a few sentences; trusted Markdown, as every text of a card is.
        data: what kind of data it was trained on.
        patient_seeds: first and last seed of all phantom patients that it was trained on.
        training_seed: of batches, noise and first weights.
        training: every session, in order.
        scores: JSON of `echosynth evaluate`, or a part of it.
        limits: what it cannot do, a sentence each.
    """

    name: str = Field(min_length=1)
    kind: Literal["cascade", "regressor"]
    class_name: str = Field(alias="class", min_length=1)
    license: str = Field(min_length=1)
    description: str = Field(min_length=1)
    data: str = Field(min_length=1)
    patient_seeds: tuple[int, int]
    training_seed: int
    training: tuple[TrainingSession, ...] = Field(min_length=1)
    scores: dict[str, Any] = Field(min_length=1)
    limits: tuple[str, ...] = Field(min_length=1)


def render_model_card(card: ModelCard) -> str:
    """Return the card as Markdown."""
    tags = ["echocardiography", "ejection-fraction", "synthetic-data"]
    head = ModelCardData(license=card.license.lower(), library_name="echosynth", tags=tags)
    loader = PackageLoader("echosynth.report")
    environment = Environment(  # Markdown, not HTML: nothing to escape
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.get_template("model_card.md.j2").render(
        card=card,
        head=head.to_yaml(),
        tables=[to_markdown(table).strip() for table in evaluation_tables(card.scores)],
        notes=[session.note for session in card.training if session.note],
        runs=[run for session in card.training for run in session.runs if run.validation],
    )


def read_card(folder: Path) -> ModelCard:
    """Read the card of a published model.

    Raises:
        pydantic.ValidationError: a fact is missing, unknown or of the wrong type.
    """
    return ModelCard.model_validate_json((folder / CARD_FILE).read_text(encoding="utf-8"))


def write_card(folder: Path, card: ModelCard) -> None:
    """Write `card.json`, the README.md rendered from it, and the folder's `SHA256SUMS`.

    Raises:
        OutputError: the system refused.
    """
    facts = card.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    write_text(folder / CARD_FILE, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / README_FILE, render_model_card(card))
    write_sums(folder)

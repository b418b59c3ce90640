"""The model card: what a set of weights is, was made from, can do and cannot do. Markdown with a YAML head.

Source of the form: Mitchell et al., Model Cards for Model Reporting, FAT* 2019; the head is the Hugging Face Hub's.
Every fact is required: a card with a silent gap would say less than no card.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from echosynth.report.tables import evaluation_tables, to_markdown

REQUIRED = ("name", "what", "data", "seeds", "steps", "hardware", "hours", "scores", "limits", "licence")


def render_model_card(facts: Mapping[str, Any]) -> str:
    """Return the card as Markdown.

    Args:
        facts: name, what (the model in a few sentences), data (what it was trained on), seeds, steps, hardware, hours
            (training time, h), scores (the JSON of `echosynth evaluate`, or its part), limits (text or list of texts)
            and licence (SPDX identifier). Texts are trusted Markdown: a card is written by whoever trains.

    Raises:
        ValueError: a fact is missing or empty, or there is one that the card does not know.
    """
    missing = [key for key in REQUIRED if key not in facts or facts[key] in (None, "", [], {})]
    unknown = sorted(set(facts) - set(REQUIRED))
    if missing or unknown:
        raise ValueError(f"model card: missing facts {missing}, unknown facts {unknown}")
    head = {
        "license": str(facts["licence"]).lower(),
        "library_name": "echosynth",
        "tags": ["echocardiography", "ejection-fraction", "synthetic-data"],
    }
    scores = "\n".join(to_markdown(table) for table in evaluation_tables(facts["scores"]))
    training = [("Data", facts["data"]), ("Seeds", facts["seeds"]), ("Steps", f"{_grouped(facts['steps'])}")]
    training += [("Hardware", facts["hardware"]), ("Hours", _grouped(facts["hours"]))]
    return "\n".join(
        [
            "---",
            yaml.safe_dump(head, sort_keys=False).strip(),
            "---",
            "",
            f"# {facts['name']}",
            "",
            "> Synthetic output. Research only, not for diagnosis.",
            "",
            str(facts["what"]),
            "",
            "## Training",
            "",
            *(f"- **{key}**: {_listed(value)}" for key, value in training),
            "",
            "## Scores",
            "",
            scores.strip() or "No scores.",
            "",
            "## Limits",
            "",
            *_bullets(facts["limits"]),
            "",
            "## Licence",
            "",
            str(facts["licence"]),
            "",
        ]
    )


def _grouped(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _bullets(limits: str | Sequence[str]) -> list[str]:
    return [limits] if isinstance(limits, str) else [f"- {limit}" for limit in limits]

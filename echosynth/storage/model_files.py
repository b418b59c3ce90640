"""Files of a model's folder that anyone may have written: JSON objects, the card, and what loading them throws."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from echosynth.errors import CheckpointError

CARD_FILE = "card.json"
KINDS = ("cascade", "regressor", "encoder")  # an encoder is there to start training from

# What diffusers, torch and our constructors throw at a folder whose files do not fit together.
LOADING_FAULTS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    OverflowError,
    SafetensorError,
)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of a model's folder: its config or its index.

    Raises:
        CheckpointError: it is not there, or is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a JSON object: {error}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} is not a JSON object but a {type(found).__name__}")
    return found


def read_card_json(folder: Path) -> dict[str, Any]:
    """Read a card, whose required keys are there and whose kind is one of `KINDS`."""
    path = folder / CARD_FILE
    card = read_json_object(path)
    missing = [key for key in ("name", "kind", "class", "license") if key not in card]
    if missing:
        raise CheckpointError(f"{path}: key '{missing[0]}' is missing")
    if card["kind"] not in KINDS:
        raise CheckpointError(f"{path}: kind must be one of {', '.join(KINDS)}, got {card['kind']!r}")
    return card


def first_line(error: Exception) -> str:
    """Return what an error says, without what follows on other lines."""
    return next(iter(str(error).splitlines()), type(error).__name__)

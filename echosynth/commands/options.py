"""Options that several commands have, and options -> the config of a verb."""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from echosynth.config import VerbConfig
from echosynth.errors import ConfigError

ConfigT = TypeVar("ConfigT", bound=VerbConfig)


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json: what every command has."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device: of the commands that run networks."""
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if there is one"
    )


def add_split(parser: argparse.ArgumentParser) -> None:
    """--split: of the commands that read datasets."""
    parser.add_argument(
        "--split", type=str.upper, choices=("TRAIN", "VAL", "TEST"), help="of a dataset, these clips alone"
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """--model, --gate and --judge: of the commands that generate clips and check them."""
    parser.add_argument("--model", help="cascade, a name or folder (default: the bundled one)")
    parser.add_argument("--gate", help="regressor that accepts or refuses (default: the bundled one)")
    parser.add_argument("--judge", help="regressor that only measures, not the gate (default: the bundled one)")


def add_config(parser: argparse.ArgumentParser, example: str) -> None:
    """CONFIG, --set and --out: of the commands that a YAML file describes."""
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", help=f"YAML file, or name of a bundled config, e.g. {example}"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=1", help="change one key of the config; repeatable"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the run (default: runs/<name of the config>)"
    )


def config_from_options(config_class: type[ConfigT], **values: Any) -> ConfigT:
    """Build a config; what is wrong is said of the option (`--max-attempts`), not of the field (`max_attempts`).

    Raises:
        ConfigError: a value is wrong.
    """
    with errors_name_options():
        return config_class(**values)


@contextmanager
def errors_name_options() -> Iterator[None]:
    """Let a `ConfigError` from inside the block name the option instead of the field.

    Raises:
        ConfigError: it was raised inside.
    """
    try:
        yield
    except ConfigError as error:
        if not error.key:
            raise
        raise ConfigError(_name_option(str(error), error.key), error.key) from None


def _name_option(message: str, key: str) -> str:
    """Put `--max-attempts` for `max_attempts`: where a message begins with the field, else where it is named last."""
    places = list(re.finditer(rf"(?<![\w-]){re.escape(key)}(?![\w-])", message))
    if not places:
        return message
    place = places[0] if places[0].start() == 0 else places[-1]
    option = "--" + key.split(".")[0].replace("_", "-")
    return message[: place.start()] + option + message[place.end() :]

"""What a run folder says of its run, read, compared and written.

    config.yaml       the resolved configuration, every default filled in
    run.json          {"command", "inputs"}: the command, and hashes of the data and weights that it reads
    provenance.json   one record of versions and platform for each start

Folders of earlier versions are read too: run.json with "settings" (configuration and inputs in one) and "starts", or
config.yaml and provenance.json alone, which name no command.
"""

import fnmatch
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from echosynth.errors import EchosynthError, OutputError
from echosynth.storage.atomic import write_text

CONFIG_FILE, RUN_FILE, PROVENANCE_FILE = RECORDS = ("config.yaml", "run.json", "provenance.json")


@dataclass(frozen=True)
class RunRecords:
    """The records of one run.

    Attributes:
        command: name of the command; None if it is not known.
        config: the configuration as plain values.
        inputs: what else decides the result, as plain values; None in folders of earlier versions, which have it in the
            configuration or not at all.
        starts: one record for each start.
    """

    command: str | None
    config: dict[str, Any]
    inputs: dict[str, Any] | None
    starts: list[Any]

    @staticmethod
    def read(out: Path) -> "RunRecords | None":
        """Read the records of a folder, None if it has none.

        Raises:
            OutputError: a record is damaged or cannot be read.
        """
        config = _load(out / CONFIG_FILE, yaml.safe_load, dict)
        run = _load(out / RUN_FILE, json.loads, dict)
        starts = _load(out / PROVENANCE_FILE, json.loads, list)
        if run is None:
            return None if config is None else RunRecords(None, config, None, starts or [])
        command, old = run.get("command"), "settings" in run
        values, history = run.get("settings" if old else "inputs"), run.get("starts", [])
        if not isinstance(command, str) or not isinstance(values, dict) or not isinstance(history, list):
            raise _damaged(out / RUN_FILE, "it is not the record of a run")
        if old:
            return RunRecords(command, values, None, history if starts is None else starts)
        if config is None:
            raise _damaged(out / CONFIG_FILE, "it is missing")
        return RunRecords(command, config, values, starts or [])

    def write(self, out: Path) -> None:
        """Write all three files, each whole or not at all.

        Raises:
            OutputError: the system refused.
        """
        text = yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True, width=120)
        write_text(out / CONFIG_FILE, text)
        write_text(out / PROVENANCE_FILE, json.dumps(self.starts, indent=2) + "\n")
        run = {"command": self.command, "inputs": self.inputs}
        write_text(out / RUN_FILE, json.dumps(run, indent=2) + "\n")

    def brought_up(self, model: type[BaseModel], inputs: dict[str, Any]) -> "RunRecords":
        """The same records as this version would write them: keys that are new have their defaults.

        Args:
            model: class of the configuration.
            inputs: of the run that is about to start: their names, and what is taken for inputs that are not known.
        """
        config, known = self.config, self.inputs
        if known is None:
            known = {key: config[key] for key in inputs if key in config} if self.command else {}
            config = {key: value for key, value in config.items() if key not in known}
            known = {**inputs, **known}
        try:
            config = config_values(model.model_validate(config))
        except (ValidationError, EchosynthError):
            pass  # of another command, or of a version whose keys are gone: compared as it stands
        return RunRecords(self.command, config, known, self.starts)

    def differences(self, now: "RunRecords") -> Iterator[tuple[str, Any, Any]]:
        """Yield (dotted key, value here, value of `now`) where they are not the same; inputs stand for their keys."""
        before, after = (_flatten({**one.config, **(one.inputs or {})}) for one in (self, now))
        for key in {**before, **after}:
            if before.get(key) != after.get(key):
                yield key, before.get(key), after.get(key)


def config_values(config: BaseModel) -> dict[str, Any]:
    """A configuration as plain values, under the keys that a user writes."""
    return config.model_dump(mode="json", by_alias=True)


def matches(key: str, patterns: Sequence[str]) -> bool:
    """Whether a dotted key is one of `patterns` or lies below one; "stages.*.optim.steps" is that of any stage."""
    return any(fnmatch.fnmatchcase(key, form) for pattern in patterns for form in (pattern, f"{pattern}.*"))


def _load(path: Path, parse: Callable[[str], Any], kind: type) -> Any:
    """Read one record; None without the file."""
    try:
        value = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, str(error.strerror)) from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise _damaged(path, str(error).partition("\n")[0]) from None
    if not isinstance(value, kind):
        raise _damaged(path, "it does not hold " + ("a list" if kind is list else "keys and values"))
    return value


def _damaged(path: Path, reason: str) -> OutputError:
    return OutputError(f"{path} cannot be read ({reason}); mend it, or choose another folder with --out")


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat

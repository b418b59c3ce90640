"""Configuration: strict YAML in, a frozen pydantic model out.

A key that is unknown, missing or of the wrong type is a `ConfigError` of one line that names the file, the key and the
nearest valid key.
"""

import difflib
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from echosynth.errors import ConfigError
from echosynth.storage.bundled import bundled_folder, find_config

RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$")]
"""The name of a run or a model, which becomes the name of a folder: it leads out of none."""


class StrictModel(BaseModel):
    """Base class of every configuration: unknown keys are refused, values cannot change after the checks."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _RaisesConfigError(type(BaseModel)):  # type: ignore[misc]
    """Turns the report of pydantic into a `ConfigError` where a config is built by a call."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        """Build a config or say in one line what is wrong."""
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            message = fault["msg"].removeprefix("Value error, ").replace("\n", " ")
            key = ".".join(map(str, fault["loc"]))
            if not key:
                raise ConfigError(message) from None
            got = "" if fault["type"] in ("missing", "value_error") else f", got {fault['input']!r}"
            raise ConfigError(f"{key}: {message}{got}", key) from None


if TYPE_CHECKING:  # a checker takes the metaclass, whose base it cannot see, for a conflict
    _Checked = StrictModel
else:

    class _Checked(StrictModel, metaclass=_RaisesConfigError):
        pass


class VerbConfig(_Checked):
    """What one verb of the library does: `generate(GenerateConfig(...), out)`. A wrong value is a `ConfigError`."""


ModelT = TypeVar("ModelT", bound=BaseModel)


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice; PyYAML would keep the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:  # before super(), which mixes merged keys (<<) in
            if isinstance(key.value, str) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' is given twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def load_config(path: str | Path, model_class: type[ModelT], overrides: Sequence[str] = ()) -> ModelT:
    """Read a YAML file, apply `--set` overrides and check the result.

    Args:
        path: the YAML file, or the name of a bundled one (see `find_config`); its top level is a mapping.
        model_class: the pydantic model to build, usually a `StrictModel`.
        overrides: "a.b=1" each; the value is read as YAML, a list item is addressed by its index ("stages.0.steps=8").

    Returns:
        A checked instance of `model_class`.

    Raises:
        ConfigError: the file is missing or not YAML, or a key or value is wrong.
    """
    path = find_config(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no configuration file {path}{_nearest_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a configuration: {error}") from None
    data = _parse_yaml(text, str(path))
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: the top level must be `key: value` lines, got a {type(data).__name__}")
    if overrides:
        data = _part(data)
    overridden = [_apply_override(data, override) for override in overrides]
    try:
        return model_class.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_describe(error, path, model_class, data, overridden)) from None


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None


def _part(value: Any) -> Any:
    """A copy in which nothing is shared: what two keys have by one YAML alias is overridden for one of them alone."""
    if isinstance(value, dict):
        return {key: _part(item) for key, item in value.items()}
    return [_part(item) for item in value] if isinstance(value, list) else value


def _apply_override(data: dict[str, Any], override: str) -> str:
    """Put one "a.b=value" into `data` and return its dotted key."""
    key, equals, value = override.partition("=")
    key = key.strip()
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override}: expected key=value, for example --set optimizer.lr=1e-4")
    parsed = _parse_yaml(value, f"--set {key}")
    target: Any = data
    for i, part in enumerate(parts):
        index: Any = part
        if isinstance(target, list):
            if not part.isdigit() or int(part) >= len(target):
                raise ConfigError(f"--set {key}: '{'.'.join(parts[:i])}' is a list of {len(target)}; no item '{part}'")
            index = int(part)
        elif not isinstance(target, dict):
            raise ConfigError(f"--set {key}: '{'.'.join(parts[:i])}' is a single value and has no key '{part}'")
        if i == len(parts) - 1:
            target[index] = parsed
        else:
            if isinstance(target, dict) and target.get(index) is None:
                target[index] = {}
            target = target[index]
    return key


def _describe(
    error: ValidationError, path: Path, model_class: type[BaseModel], data: dict[str, Any], overridden: list[str]
) -> str:
    """Turn pydantic's report into one line about its first fault."""
    faults = error.errors(include_url=False)
    # an unknown key is the usual cause of a missing one (a misspelling), so it is told first
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    names, valid_keys = _locate(fault["loc"], model_class, data)
    key = ".".join(names)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    where = f"{path} with --set {key}" if any(key == o or key.startswith(o + ".") for o in overridden) else str(path)
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(names[-1], valid_keys, n=1, cutoff=0.5)
        hint = f"did you mean '{'.'.join([*names[:-1], near[0]])}'?" if near else f"valid keys: {', '.join(valid_keys)}"
        return f"{where}: unknown key '{key}'; {hint}{more}"
    if fault["type"] == "missing":
        return f"{where}: key '{key}' is missing{more}"
    message = fault["msg"].removeprefix("Value error, ").replace("\n", " ")
    if not key:
        return f"{where}: {message}{more}"
    got = repr(fault["input"])
    return f"{where}: key '{key}': {message}, got {got if len(got) <= 60 else got[:57] + '...'}{more}"


def _locate(loc: tuple[int | str, ...], model_class: type[BaseModel], data: Any) -> tuple[list[str], list[str]]:
    """Follow pydantic's location: the key as the user wrote it, and the keys valid where its last part stands.

    Pydantic puts union tags and class names between the keys; they are in the models, not in the data.
    """
    names: list[str] = []
    models = [model_class]
    valid: list[str] = []
    for i, part in enumerate(loc):
        valid = sorted({field.alias or name for model in models for name, field in model.model_fields.items()})
        in_data = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if in_data or i == len(loc) - 1:
            names.append(str(part))
            fields = [f for m in models for n, f in m.model_fields.items() if part in (n, f.alias)]
            models = [found for field in fields for found in _models_in(field.annotation)] if fields else models
            data = data[part] if in_data else None
        else:
            models = [m for m in models if _is_tagged(m, part)] or models
    return names, valid


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _is_tagged(model: type[BaseModel], tag: int | str) -> bool:
    return tag == model.__name__ or any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _nearest_file(path: Path) -> str:
    """Words about the file that may have been meant: a neighbour, else a bundled one."""
    neighbours = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    near = [str(path.parent / name) for name in difflib.get_close_matches(path.name, neighbours, n=1, cutoff=0.4)]
    bundled = bundled_folder("configs")
    names = [file.relative_to(bundled).with_suffix("").as_posix() for file in bundled.rglob("*.yaml")]
    near += difflib.get_close_matches(path.with_suffix("").as_posix(), names, n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else f"; bundled ones are in {bundled}"

"""Configuration: strict YAML in, a frozen pydantic model out.

A key that is unknown, missing or of the wrong type is a `ConfigError` of one line that names the file, the key and the
nearest valid key. A file may extend others, see storage/config_file.py.
"""

import difflib
from collections.abc import Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic._internal._model_construction import ModelMetaclass  # type(BaseModel), by a name that types know
from pydantic.fields import FieldInfo

from echosynth.errors import ConfigError
from echosynth.storage.config_file import Layer, merge_layers, parse_yaml, read_layers

RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$")]
"""The name of a run or a model, which becomes the name of a folder: it leads out of none."""


class StrictModel(BaseModel):
    """Base class of every configuration: unknown keys are refused, values cannot change after the checks."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _RaisesConfigError(ModelMetaclass):
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


def load_config(path: str | Path, model_class: type[ModelT], overrides: Sequence[str] = ()) -> ModelT:
    """Read a YAML file, apply `--set` overrides and check the result.

    Args:
        path: the YAML file, or the name of a bundled one, e.g. `smoke/cascade_tiny`; its top level is a mapping.
        model_class: the pydantic model to build, usually a `StrictModel`.
        overrides: "a.b=1" each; the value is read as YAML, a list item is addressed by its index ("stages.0.steps=8").

    Returns:
        A checked instance of `model_class`.

    Raises:
        ConfigError: the file is missing or not YAML, or a key or value is wrong.
    """
    layers = read_layers(Path(path))
    data = merge_layers(layers)
    if overrides:
        data = _part(data)
    overridden = [_apply_override(data, override) for override in overrides]
    try:
        return model_class.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_describe(error, layers, model_class, data, overridden)) from None


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
        raise ConfigError(f"--set {override}: expected key=value, for example --set optim.lr=1e-4")
    parsed = parse_yaml(value, f"--set {key}")
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


UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # of a model, of a dataclass


def _describe(
    error: ValidationError,
    layers: list[Layer],
    model_class: type[BaseModel],
    data: dict[str, Any],
    overridden: list[str],
) -> str:
    """Turn pydantic's report into one line about its first fault."""
    faults = error.errors(include_url=False)
    # an unknown key is the usual cause of a missing one (a misspelling), so it is reported first
    fault = next((f for f in faults if f["type"] in UNKNOWN_KEY), faults[0])
    names, valid_keys = _locate(fault["loc"], model_class, data)
    key = ".".join(names)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    where = _origin(layers, names)
    if any(key == o or key.startswith(o + ".") for o in overridden):
        where = f"{layers[-1][0]} with --set {key}"
    if fault["type"] in UNKNOWN_KEY:
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


def _origin(layers: list[Layer], names: list[str]) -> str:
    """The file that says a key: the last one, or one that it extends."""
    last = layers[-1][0]
    origin = next((path for path, layer in reversed(layers) if _says(layer, names)), last)
    return str(last) if origin == last else f"{origin} (extended by {last})"


def _says(value: Any, names: list[str]) -> bool:
    """Whether a mapping has a key; a list has whatever is asked of it, as files replace lists as a whole."""
    if not names or not isinstance(value, dict):
        return True
    return names[0] in value and _says(value[names[0]], names[1:])


def _locate(loc: tuple[int | str, ...], model_class: type[BaseModel], data: Any) -> tuple[list[str], list[str]]:
    """Follow pydantic's location: the key as the user wrote it, and the keys valid where its last part stands.

    Pydantic puts union tags and class names between the keys; they are in the models, not in the data.
    """
    names: list[str] = []
    models: list[type] = [model_class]
    valid: list[str] = []
    for i, part in enumerate(loc):
        valid = sorted({field.alias or name for model in models for name, field in _fields(model).items()})
        in_data = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if in_data or i == len(loc) - 1:
            names.append(str(part))
            fields = [f for m in models for n, f in _fields(m).items() if part in (n, f.alias)]
            models = [found for field in fields for found in _models_in(field.annotation)] if fields else models
            data = data[part] if in_data else None
        else:
            models = [m for m in models if _is_tagged(m, part)] or models
    return names, valid


def _models_in(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _fields(model: type) -> dict[str, FieldInfo]:
    """The fields of a pydantic model or of a pydantic dataclass."""
    found: dict[str, FieldInfo] = model.__pydantic_fields__  # type: ignore[attr-defined]
    return found


def _is_tagged(model: type, tag: int | str) -> bool:
    return tag == model.__name__ or any(tag in get_args(field.annotation) for field in _fields(model).values())

"""A configuration file: YAML in which no key is given twice, and which may build on other files.

extends: phantom_small.yaml            or a list of files, of which later ones win; relative to this file, else bundled
stages: {base: {optim: {lr: 1.0e-4}}}  mappings are merged key by key; lists and single values are replaced
data: !replace {source: dataset, root: data/MINE}    this mapping is not merged, it takes the other one's place
"""

import difflib
import functools
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from echosynth.errors import ConfigError
from echosynth.storage.bundled import bundled_config, bundled_folder, find_config

Layer = tuple[Path, dict[str, Any]]
"""A file, and what it says itself, without what it extends."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice; PyYAML would keep the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:  # before super(), which mixes merged keys (<<) in
            if isinstance(key.value, str) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' is given twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


class _Replacement(dict[Any, Any]):
    """A mapping that stands in a file as `!replace {...}`."""


def _construct_replacement(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> _Replacement:
    return _Replacement(loader.construct_mapping(node, deep=True))


_UniqueKeyLoader.add_constructor("!replace", _construct_replacement)


def read_config(path: str | Path) -> dict[str, Any]:
    """A YAML file, or a bundled one by name, and what it extends as plain values, not checked against any model.

    Raises:
        ConfigError: a file is missing or not YAML.
    """
    return merge_layers(read_layers(Path(path)))


def read_layers(path: Path, above: tuple[Path, ...] = ()) -> list[Layer]:
    """The files that a file extends, those that they extend, and itself, the one that wins last.

    Args:
        path: the file, or the name of a bundled config.
        above: the files that lead here by what they extend.

    Raises:
        ConfigError: a file is missing or not YAML, or extends itself.
    """
    path = path if above else find_config(path)
    if path.resolve() in [other.resolve() for other in above]:
        raise ConfigError(f"{above[0]}: extends itself: {' -> '.join(map(str, (*above, path)))}")
    data = _read_mapping(path, above)
    names = data.pop("extends", [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: key 'extends': names a file, or a list of files, got {names!r}")
    return [layer for name in names for layer in read_layers(_beside(path, name), (*above, path))] + [(path, data)]


def _beside(path: Path, name: str) -> Path:
    """The file that `extends` names: beside the file that says so, else a bundled one."""
    beside = path.parent / name
    return beside if beside.exists() else bundled_config(name) or beside


def _read_mapping(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    by = f"{above[-1]}: key 'extends': " if above else ""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{by}no configuration file {path}{_nearest_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{by}{path}: cannot be read as a configuration: {error}") from None
    data = parse_yaml(text, str(path))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: the top level must be `key: value` lines, got a {type(data).__name__}")
    return data


def merge_layers(layers: list[Layer]) -> dict[str, Any]:
    """What the files say together."""
    return functools.reduce(_merge, (layer for _, layer in layers), {})


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, key by key; where both say something else, `above` wins."""
    if isinstance(above, _Replacement):
        return dict(above)
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _merge(below[key], above[key])
    return merged


def parse_yaml(text: str, where: str) -> Any:
    """Plain values of a YAML text.

    Raises:
        ConfigError: it is not YAML, or has a key twice; the message begins with `where`.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None


def _nearest_file(path: Path) -> str:
    """Words about the file that may have been meant: a neighbour, else a bundled one."""
    neighbours = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    near = [str(path.parent / name) for name in difflib.get_close_matches(path.name, neighbours, n=1, cutoff=0.4)]
    bundled = bundled_folder("configs")
    names = [file.relative_to(bundled).with_suffix("").as_posix() for file in bundled.rglob("*.yaml")]
    near += difflib.get_close_matches(path.with_suffix("").as_posix(), names, n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else f"; bundled ones are in {bundled}"

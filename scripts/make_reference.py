"""docs/reference/{cli,config,python}.md, made from the code: parsers, config classes, public names.

python scripts/make_reference.py            write the pages
python scripts/make_reference.py --check    say which are out of date; exit code 1 if any is
"""

import argparse
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import echosynth
from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.cli import COMMANDS, command_parser
from echosynth.evaluation.config import EvaluateConfig
from echosynth.evaluation.uplift.config import UpliftConfig
from echosynth.progress import SILENT
from echosynth.training.cascade import CascadeConfig
from echosynth.training.regressor import RegressorConfig

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTE = "<!-- Made by scripts/make_reference.py; edit the code instead. -->\n"
VERBS: dict[str, tuple[type[BaseModel], ...]] = {
    "echosynth train": (CascadeConfig, RegressorConfig),
    "echosynth augment": (AugmentConfig,),
    "echosynth evaluate": (EvaluateConfig,),
    "echosynth uplift": (UpliftConfig,),
}


def cli_page() -> str:
    """Every command with its arguments, as tables."""
    lines = [NOTE, "# Command line", "", "Exit codes: 0 done; 1 a bug of ours (with traceback); 2 a mistake of the"]
    lines += ["user (one line on stderr); 75 stopped between two clips, as a scheduler asked; 130 interrupted; 143"]
    lines += ["terminated. With `--json`, stdout holds one object.", ""]
    for name, (_, text) in COMMANDS.items():
        parser = command_parser(name)
        lines += [f"## echosynth {name}", "", f"{_sentence(text)}", "", "| argument | meaning |", "|---|---|"]
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            meaning = (action.help or "") % {"default": action.default} if action.help else ""
            lines.append(f"| `{_spelled(action)}` | {_cell(meaning)} |")
        lines.append("")
    return "\n".join(lines)


def config_page() -> str:
    """Every key of every YAML config: type, default, meaning."""
    lines = [
        NOTE,
        "# Config keys",
        "",
        "A config is a YAML file. Unknown keys are refused. `extends: other.yaml` takes",
    ]
    lines += ["another file's keys first; `--set a.b=1` changes one key.", ""]
    shown: set[type[Any]] = set()
    for command, models in VERBS.items():
        for model in models:
            lines += [f"## {command}: `kind: {typing.get_args(model.model_fields['kind'].annotation)[0]}`", ""]
            lines += _config_lines(model, shown)
    return "\n".join(lines)


def python_page() -> str:
    """Every public name of the package: signature and docstring."""
    lines = [NOTE, "# Python", "", "`import echosynth` offers these names; each is imported when it is first used.", ""]
    for name in sorted(echosynth.__all__, key=str.lower):
        thing = getattr(echosynth, name)
        if name.startswith("__") or not callable(thing):
            continue
        lines += [f"## {name}", "", f"`from {thing.__module__} import {name}`", ""]
        if not (isinstance(thing, type) and issubclass(thing, BaseModel | Exception)):
            lines += ["```text", _signature(name, thing), "```", ""]
        lines += ["```text", inspect.cleandoc(thing.__doc__ or ""), "```", ""]
        if isinstance(thing, type):
            lines += _method_lines(name, thing)
    return "\n".join(lines)


def _method_lines(name: str, cls: type) -> Iterator[str]:
    """The public methods and properties that a class defines itself, one line each, and how an instance is called."""
    kinds = (FunctionType, classmethod, staticmethod, property)
    members = {key: value for key, value in vars(cls).items() if isinstance(value, kinds) and key[0] != "_"}
    docs = {key: inspect.getdoc(value) for key, value in members.items()}
    rows = [f"| `{key}` | {_cell(_paragraph(text))} |" for key, text in docs.items() if text]
    if rows and not issubclass(cls, BaseModel):
        yield from ("| method or property | |", "|---|---|", *rows, "")
    if "__call__" in vars(cls):
        yield from (f"### Calling {_article(name)}", "", "```text", _signature("pipeline", cls.__call__), "```", "")
        yield from ("```text", inspect.getdoc(cls.__call__) or "", "```", "")


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"


def _paragraph(text: str) -> str:
    return text.split("\n\n")[0].replace("\n", " ")


def _config_lines(model: type[Any], shown: set[type[Any]]) -> Iterator[str]:
    """The table of a config class, then those of the classes that it holds, each once."""
    shown.add(model)
    meaning = _attributes(model)
    yield from (
        f"### {model.__name__}",
        "",
        _summary(model),
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    )
    fields = _fields(model)
    for name, field in fields.items():
        text = field.description or meaning.get(name, "")
        yield f"| `{name}` | {_cell(_type_name(field.annotation))} | {_default(field)} | {_cell(text)} |"
    yield ""
    for field in fields.values():
        for inner in _models_in(field.annotation):
            if inner not in shown:
                yield from _config_lines(inner, shown)


def _fields(model: type[Any]) -> dict[str, FieldInfo]:
    """The fields of a pydantic model or dataclass by name."""
    fields: dict[str, FieldInfo] = model.__pydantic_fields__
    return fields


def _attributes(model: type[Any]) -> dict[str, str]:
    """Name -> text of the docstring's "Attributes:" section, of the class and those it inherits from."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        section = re.split(r"^Attributes:\n", inspect.cleandoc(base.__doc__ or ""), flags=re.M)
        for match in re.finditer(r"^    (\w+): (.*(?:\n        .*)*)", section[1] if len(section) > 1 else "", re.M):
            found[match[1]] = " ".join(match[2].split())
    return found


def _models_in(annotation: Any) -> list[type[Any]]:
    if isinstance(annotation, type) and hasattr(annotation, "__pydantic_fields__"):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]


def _type_name(annotation: Any, none: str = "null") -> str:
    """A type in words, as one reads it in a table: int, list of str, `base` or `sr1`."""
    if annotation in (None, type(None)):
        return none
    if isinstance(annotation, str):
        return annotation
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is typing.Annotated:
        return _type_name(arguments[0], none)
    if origin is Callable:
        return "function"
    if origin in (list, tuple, dict, Mapping, Sequence):
        return f"{origin.__name__.lower()} of {', '.join(_type_name(a, none) for a in arguments if a is not Ellipsis)}"
    if arguments:
        return " or ".join(_type_name(argument, none) for argument in arguments)
    return getattr(annotation, "__name__", str(annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its defaults"
    return f"`{'null' if value is None else value}`"


def _signature(name: str, thing: Any) -> str:
    """How it is called, a parameter a line where there are several."""
    signature = inspect.signature(thing)
    parameters = [_parameter(parameter) for key, parameter in signature.parameters.items() if key != "self"]
    returned = signature.return_annotation
    end = (
        f" -> {_type_name(returned, 'None')}" if returned is not signature.empty and not isinstance(thing, type) else ""
    )
    if len(parameters) < 2:
        return f"{name}({', '.join(parameters)}){end}"
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){end}"])


def _parameter(parameter: inspect.Parameter) -> str:
    stars = (
        "**" if parameter.kind is parameter.VAR_KEYWORD else "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    )
    typed = "" if parameter.annotation is parameter.empty else f": {_type_name(parameter.annotation, 'None')}"
    if parameter.default is parameter.empty:
        return f"{stars}{parameter.name}{typed}"
    default = "SILENT" if parameter.default is SILENT else repr(parameter.default)
    return f"{stars}{parameter.name}{typed} = {default}"


def _summary(model: type[Any]) -> str:
    return _paragraph(inspect.cleandoc(model.__doc__ or ""))


def _spelled(action: argparse.Action) -> str:
    value = (
        "" if action.nargs == 0 else action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    )
    value = value or "|".join(map(str, action.choices or ()))
    if action.choices and not action.metavar:
        value = "|".join(map(str, action.choices))
    return _cell(" ".join([", ".join(action.option_strings), str(value)]).strip())


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


PAGES = {"cli.md": cli_page, "config.md": config_page, "python.md": python_page}


def main() -> int:
    """Write the pages or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name, make in PAGES.items():
        path, text = FOLDER / name, make()
        if check:
            stale += [name] if not path.is_file() or path.read_text(encoding="utf-8") != text else []
        else:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"docs/reference/{name} is out of date: python scripts/make_reference.py", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())

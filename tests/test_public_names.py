"""The public names of the package: each is there, type checkers see the same ones, and none is loaded early."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import echosynth

ROOT = Path(__file__).resolve().parents[1]
VERBS = (
    "demo",
    "simulate",
    "generate",
    "measure",
    "augment",
    "evaluate",
    "uplift",
    "train",
    "explain",
    "probe",
    "adapt",
    "inspect_dataset",
)


@pytest.mark.parametrize("name", echosynth.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(echosynth, name)
    assert name in dir(echosynth)
    if name != "__version__":
        assert value.__name__ == name
        assert inspect.getdoc(value)


def test_a_name_is_imported_from_where_it_is_defined() -> None:
    for name in echosynth.__all__:
        if name != "__version__":
            home = getattr(echosynth, name).__module__
            assert getattr(importlib.import_module(home), name) is getattr(echosynth, name)
    with pytest.raises(AttributeError, match="no attribute 'genrate'"):
        echosynth.genrate  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "echosynth" / "__init__.py").read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    assert seen == echosynth._HOME_OF


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_takes_a_config_and_returns_what_json_can_hold(verb: str) -> None:
    signature = inspect.signature(getattr(echosynth, verb))
    first, *others = signature.parameters.values()
    configs = get_args(first.annotation) or (first.annotation,)  # `train` takes one of two
    result = signature.return_annotation
    for public in (*configs, result):
        assert getattr(echosynth, public.__name__) is public
    assert first.name == "config"
    for folder in [parameter for parameter in others if parameter.name == "out"]:
        assert {str, Path} <= set(get_args(folder.annotation)), "a folder may be given as text"
    assert others[-1].name == "progress"
    assert callable(result.to_dict)


@pytest.mark.parametrize(
    "code", ["import echosynth; dir(echosynth)", "from echosynth.cli import main; main(['--help'])"]
)
def test_nothing_heavy_is_loaded_before_it_is_asked_for(code: str) -> None:
    script = f"import sys\n{code}\nsys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'numpy')))"
    assert (
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=300, stdout=subprocess.DEVNULL).returncode == 0
    )

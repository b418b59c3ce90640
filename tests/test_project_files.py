"""The files about the project agree with each other: dependencies, pins, versions, what continuous integration runs."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import echosynth

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [Requirement(line) for line in PROJECT["dependencies"]]
IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}
CODE = "\n".join(path.read_text() for path in (ROOT / "echosynth").rglob("*.py"))
PINS = {
    canonicalize_name(name): Version(version)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
    for name, version in [line.split("==")]
}


@pytest.mark.parametrize("dependency", DEPENDENCIES, ids=lambda dependency: dependency.name)
def test_a_dependency_is_imported_bounded_below_and_pinned(dependency: Requirement) -> None:
    module = IMPORTED_AS.get(dependency.name, dependency.name)
    assert re.search(rf"^\s*(from|import) {module}\b", CODE, re.MULTILINE), "never imported: leave it out"
    assert any(part.operator == ">=" for part in dependency.specifier)
    assert dependency.specifier.contains(PINS[canonicalize_name(dependency.name)])


def test_tools_of_development_are_pinned() -> None:
    for line in PROJECT["optional-dependencies"]["dev"]:
        assert canonicalize_name(Requirement(line).name) in PINS


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == echosynth.__version__
    assert citation["license"] == PROJECT["license"]


def test_continuous_integration_runs_every_python_that_is_promised() -> None:
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    assert any(step.get("run") == ".ci/run" for step in job["steps"])
    versions = job["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == PROJECT["requires-python"]
    assert {f"Programming Language :: Python :: {version}" for version in versions} <= set(PROJECT["classifiers"])

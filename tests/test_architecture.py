"""The house keeps its shape: who may import whom, how long files and functions are, and that every module imports.

`OPEN` modules and folders are open to all of them and import only one another.
"""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "echosynth"
OPEN = {"config", "errors", "seeding", "progress", "runtime", "stopping", "installation", "storage", "cardiac"}
FOLDERS = {"video", "edm", "metrics", "phantom", "data", "diffusion", "regression", "training", "augmentation"}
FOLDERS |= {"evaluation", "report", "benchmark"}
LAW: dict[str, set[str]] = {  # left may import right; itself and OPEN are understood
    **{name: set() for name in OPEN},
    "video": set(),
    "edm": set(),
    "metrics": set(),
    "data": {"video"},
    "phantom": {"video", "data"},
    "diffusion": {"video", "edm"},
    "regression": {"video", "edm"},
    "training": {"video", "phantom", "data", "edm", "diffusion", "regression", "metrics"},
    "augmentation": {"video", "data", "diffusion", "regression"},
    "evaluation": {"metrics", "phantom", "video", "data", "diffusion", "regression", "augmentation"},
    "report": {"evaluation", "augmentation", "metrics", "video"},
    "benchmark": FOLDERS,
    "commands": FOLDERS,
    "cli": {"commands"},
    "__main__": {"cli"},
    "__init__": FOLDERS,
}
# The paper's algorithm with its symbols; a pair is two EFs, and how its picture is made. There may be four at most.
MANY_ARGUMENTS = {"sample_heun", "render_pair"}
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "scripts").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])
NAMES = [path.relative_to(PACKAGE).as_posix() for path in FILES]


def chapter(path: Path) -> str:
    """Return the name the law uses: the folder, or the module for files at the top."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_chapters(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, chapter) of every import of our own package, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            # `from echosynth import video` names the chapter on the right
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in dotted:
            parts = name.split(".")
            if parts[0] == "echosynth" and len(parts) > 1 and not parts[1].startswith("__"):
                yield node.lineno, parts[1]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_import_law(path: Path) -> None:
    here = chapter(path)
    assert here in LAW, f"{here} is not in the import law: decide what it may import and add it"
    allowed = LAW[here] | OPEN | {here}
    if path.parent.name == "uplift":  # of all protocols the only one that trains
        allowed |= {"training"}
    imports = imported_chapters(ast.parse(path.read_text()))
    broken = [f"line {line}: {there}" for line, there in imports if there not in allowed]
    assert not broken, f"{here} may import {sorted(allowed)}, but: {broken}"


def test_generator_and_judge_share_no_code_of_their_own() -> None:
    assert "regression" not in LAW["diffusion"]
    assert "diffusion" not in LAW["regression"]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_module_imports(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[-1] == "__main__":
        pytest.skip("importing it runs the program")
    importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def test_imports_name_what_is_there() -> None:
    """Also those inside functions, which nothing else looks at before a user gets there."""
    broken = set()
    for path in [*FILES, *TESTS, *SCRIPTS]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "echosynth":
                for alias in node.names:
                    if not is_there(str(node.module), alias.name):
                        broken.add(f"{path.relative_to(ROOT)}, line {node.lineno}: {node.module}.{alias.name}")
    assert not broken


def is_there(module: str, name: str) -> bool:
    """Whether a module has a name, or a module of that name in it."""
    try:
        return hasattr(importlib.import_module(module), name) or bool(importlib.import_module(f"{module}.{name}"))
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_files_are_short_and_named_after_a_noun(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300, "split it by noun"
    names = {part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts}
    assert not names & {"utils", "util", "helpers", "common"}
    assert ast.get_docstring(ast.parse(path.read_text())), "a module says what it is"


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file, also those inside others."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_functions_are_short_and_take_few_arguments(path: Path) -> None:
    for function in functions(path):
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        lines = (function.end_lineno or 0) - body[0].lineno + 1 if body else 0
        assert lines <= 60, f"{function.name} has {lines} lines: give its steps names"
        given = function.args
        names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs) if a.arg not in ("self", "cls")]
        if function.name not in ("__init__", "__call__") and function.name not in MANY_ARGUMENTS:
            assert len(names) <= 7, f"{function.name} takes {len(names)} arguments: some of them are one thing"


def test_the_command_line_is_thin() -> None:
    files = [*(PACKAGE / "commands").glob("*.py"), PACKAGE / "cli.py"]
    assert sum(len(path.read_text().splitlines()) for path in files) <= 1300, "what a command can do is the library's"


def test_nothing_imports_the_command_line() -> None:
    """A layer that scripts and lower folders import is a library; only the command line's own tests may look in."""
    files = [path for path in [*SCRIPTS, *TESTS] if path.parts[len(ROOT.parts) + 1] != "commands"]
    broken = [
        f"{path.relative_to(ROOT)}, line {line}"
        for path in files
        for line, there in imported_chapters(ast.parse(path.read_text()))
        if there == "commands"
    ]
    assert not broken


@pytest.mark.parametrize("path", TESTS, ids=[path.relative_to(ROOT / "tests").as_posix() for path in TESTS])
def test_no_test_file_is_imported(path: Path) -> None:
    """What two files of tests need has a file of its own, so that a test file can be changed by itself."""
    modules = [
        name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    ]
    assert not [name for name in modules if name.split(".")[0] == "tests" and "test_" in name]


def test_the_command_line_opens_without_torch() -> None:
    script = "import sys, echosynth.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60).returncode == 0

"""What README.md and docs/ tell people to type works: ```bash blocks are run, other lines with `echosynth` are parsed.

The blocks run in order in one empty folder that holds the repository's configs, on tiny models under the bundled names:
what is shown is that the words are right and fit together, not how good the clips are.
"""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from echosynth.cli import COMMANDS, main
from tests.models import make_tiny_bundle

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for page in PAGES for tag, text in BLOCK.findall(page.read_text()) if tag == language]


def commands(text: str) -> list[list[str]]:
    """The words after `echosynth` of every line that begins with it; a line that ends with a backslash goes on."""
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    found = [re.match(r"(?:\S*/)?echosynth\s+(.*)", line) for line in lines]
    # two blanks or more set an explanation apart from the command
    return [shlex.split(re.split(r"\s{2,}|\s#", match[1])[0]) for match in found if match]


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(COMMANDS[words[0]][0]).add_arguments(parser)
    return parser.parse_args(words[1:])


SHOWN = [words for tag in ("", "bash", "sh", "text") for text in blocks(tag) for words in commands(text)]


def test_the_readme_shows_commands() -> None:
    assert len(SHOWN) >= 5


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_every_command_that_is_shown_is_one(words: list[str]) -> None:
    args = parse(words)
    config = getattr(args, "config", None)
    if getattr(args, "folder", None):  # `augment status OUT`, `augment merge OUT`
        assert str(config) in ("status", "merge")
        return
    assert config is None or (ROOT / config).is_file(), f"README names {config}, which is not there"


@pytest.mark.heavy
def test_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(make_tiny_bundle(tmp_path / "models")))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for text in blocks("bash"):
            for words in commands(text):
                code = main(words)
                assert code == 0, f"echosynth {' '.join(words)}\n{capsys.readouterr().err[-1500:]}"
        for text in blocks("python"):
            namespace: dict[str, object] = {}
            exec(compile(text, "README.md", "exec"), namespace)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"echosynth {name}" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_pictures_are_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_pages_that_the_code_names_are_there() -> None:
    files = [path for top in ("echosynth", "configs", "scripts", "examples") for path in (ROOT / top).rglob("*.*")]
    texts = [path.read_text() for path in files if path.suffix in (".py", ".yaml", ".sh", ".j2")]
    named = {page for text in texts for page in re.findall(r"docs/[\w./-]+\.md", text)}
    assert named
    assert not [page for page in sorted(named) if not (ROOT / page).is_file()]


@pytest.mark.heavy
def test_the_reference_is_made_from_this_code() -> None:
    command = [sys.executable, "scripts/make_reference.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

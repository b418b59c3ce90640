"""Files and folders are whole or absent, have the umask's mode, and a refusal of the system is one line."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from echosynth.errors import OutputError
from echosynth.storage.atomic import atomic_write, new_folder, remove_leftovers, replace_folder, write_bytes, write_text

FULL = Path("/dev/full")  # every write says that no space is left


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_text(path, "one\n")

    def fail() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            assert path.read_bytes() == b"one\n"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"one\n"
    assert names(tmp_path) == ["new", "new/file.txt"]


def test_modes_follow_the_umask_whatever_the_library_writes(tmp_path: Path, umask: None) -> None:
    tensors = {"a": np.zeros(3, np.float32)}
    save_file(tensors, tmp_path / "own.safetensors")
    assert mode(tmp_path / "own.safetensors") == 0o600  # what the library does; the reason for this test
    with atomic_write(tmp_path / "file.safetensors") as part:
        save_file(tensors, part)
    with replace_folder(tmp_path / "folder") as part:
        (part / "deeper").mkdir()
        save_file(tensors, part / "deeper" / "file.safetensors")
    assert mode(tmp_path / "file.safetensors") == mode(tmp_path / "folder/deeper/file.safetensors") == 0o640
    assert mode(tmp_path / "folder") == 0o750


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_disk_is_one_line_whoever_meets_it(tmp_path: Path) -> None:
    def fill() -> None:
        with atomic_write(tmp_path / "a") as part:
            part.unlink()
            part.symlink_to(FULL)
            part.write_bytes(b"x" * 100_000)

    with pytest.raises(OutputError, match="the disk is full"):
        fill()
    assert names(tmp_path) == []


def test_a_refusal_of_safetensors_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*model: "), replace_folder(tmp_path / "model") as part:
        save_file({"a": np.zeros(3)}, part / "missing" / "file.safetensors")
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_reported_and_not_the_clean_up(tmp_path: Path) -> None:
    """Root may write anywhere, so the file system itself has to refuse: /proc takes no new files."""
    with pytest.raises(OutputError, match=r"cannot write /proc/self/sheet\.png"):
        write_bytes(Path("/proc/self/sheet.png"), b"")
    write_bytes(tmp_path / "file", b"")
    with pytest.raises(OutputError, match="cannot make the folder"):
        write_bytes(tmp_path / "file" / "sheet.png", b"")
    with pytest.raises(OutputError, match="cannot write"), replace_folder(tmp_path / "file" / "model"):
        pass
    with pytest.raises(OutputError, match="cannot write"), replace_folder(tmp_path / "file"):
        pass
    assert names(tmp_path) == ["file"]


def test_a_folder_replaces_another_or_lets_it_be(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for value in ("one", "two"):
        with replace_folder(target) as part:
            (part / value).write_text(value)
    assert names(tmp_path) == ["model", "model/two"]
    with new_folder(target) as part:
        (part / "three").write_text("")
    assert names(tmp_path) == ["model", "model/two"]

    def fail() -> None:
        with replace_folder(target) as part:
            (part / "four").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == ["model", "model/two"]


@pytest.mark.parametrize("renames", [0, 1])
def test_a_process_killed_while_a_folder_is_replaced_loses_nothing(tmp_path: Path, renames: int) -> None:
    code = f"""
import os, pathlib
from echosynth.storage.atomic import replace_folder
with replace_folder("model") as part: (part / "old").write_text("")
rename, left = pathlib.Path.rename, [{renames}]
def die(self, target):
    left[0] -= 1
    if left[0] < 0: os._exit(9)
    return rename(self, target)
pathlib.Path.rename = die
with replace_folder("model") as part: (part / "new").write_text("")
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment).returncode == 9
    assert any(name.endswith(".tmp") for name in names(tmp_path))
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["model", "model/old"]


def test_leftovers_of_killed_processes_go_and_nothing_else(tmp_path: Path) -> None:
    kept = ["Videos/a.avi", "notes.tmp", ".hidden", "part/.lock", "part/.step-00000002.tmp/model.safetensors"]
    gone = ["Videos/.P0000001.avi.6f60e52564d3.tmp", ".config.yaml.123.tmp", ".step-00000001.tmp/deep/file"]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path, older_than=3600)
    assert {name for name in names(tmp_path) if (tmp_path / name).is_file()} == {*kept, *gone}
    remove_leftovers(tmp_path)
    assert {name for name in names(tmp_path) if (tmp_path / name).is_file()} == set(kept)
    remove_leftovers(tmp_path / "part")  # by whoever holds it
    assert names(tmp_path / "part") == [".lock"]

"""What the system does to a command: signals, folders that may not be read or written, a second process."""

import codecs
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from echosynth.cli import main
from echosynth.data.echonet_tables import read_file_list
from echosynth.data.layouts import open_dataset
from echosynth.errors import DatasetError, OutputError, SourceError
from echosynth.phantom.plan import SimulateConfig
from echosynth.phantom.simulate import simulate

pytestmark = pytest.mark.heavy

SIMULATE = [sys.executable, "-m", "echosynth", "simulate"]
PATIENTS = ["--patients", "40", "--frames", "48", "--fps", "32", "--size", "56"]
NOBODY = 65534
PATIENCE = 240.0  # seconds; a busy machine takes its time to start


def take_interrupts() -> None:
    """Take Ctrl-C as a terminal's programs do: what a shell starts in its background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def begin(out: Path, *words: str) -> subprocess.Popen[str]:
    """Start `simulate` and wait until it has written two videos: one at least is finished."""
    process = subprocess.Popen(
        [*SIMULATE, str(out), *PATIENTS, *words], stderr=subprocess.PIPE, text=True, preexec_fn=take_interrupts
    )
    until = time.monotonic() + PATIENCE
    while len(list(out.glob("Videos/*.avi"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    return process


def children(process: subprocess.Popen[str]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def is_working(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("sent", "code", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_is_answered_in_one_line_and_workers_end(tmp_path: Path, sent: int, code: int, word: str) -> None:
    out = tmp_path / "set"
    process = begin(out, "--workers", "2")
    workers = children(process)
    assert len(workers) >= 2
    process.send_signal(sent)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert said == f"echosynth: {word}; what was finished is kept, the same command continues\n"
    until = time.monotonic() + PATIENCE  # each finishes the clip in hand
    while any(map(is_working, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_working, workers))
    videos = sorted(path.stem for path in (out / "Videos").iterdir())
    kept = [row.file_name for row in read_file_list(out)]
    assert kept in (videos, videos[:-1]), "all but one that it may just have been writing"


def test_a_second_simulation_is_refused_and_cuts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    process = begin(out, "--workers", "1")
    try:
        assert main(["simulate", str(out), *PATIENTS]) == 2
        assert capsys.readouterr().err.startswith(f"echosynth: another process is working in {out}")
        assert process.poll() is None, "the first one still worked"
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder of a user who may do nothing that its modes forbid; root may do everything."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    codecs.lookup("utf-8-sig")  # while Python's own files may be read
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(folder)


HEADER = "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split\n"


@pytest.mark.parametrize("shut", ["", "Videos", "FileList.csv", "Videos/a.avi"])
def test_a_dataset_that_may_not_be_read_is_one_line(locked: Path, shut: str) -> None:
    (locked / "Videos").mkdir()
    (locked / "Videos" / "a.avi").write_text("")
    (locked / "FileList.csv").write_text(HEADER + "a,50,50,100,112,112,50,2,TRAIN\n")
    (locked / shut).chmod(0)
    with pytest.raises((SourceError, DatasetError), match=r"^cannot .*Permission denied"):
        open_dataset(locked).clip(0)


def test_a_run_below_a_folder_that_may_not_be_entered_is_one_line(locked: Path) -> None:
    (locked / "set").mkdir()
    locked.chmod(0)
    with pytest.raises(OutputError, match=r"^cannot read the folder .*set: Permission denied"):
        simulate(SimulateConfig(patients=1), locked / "set")


@pytest.mark.parametrize("words", [["simulate", "{}/set", "--patients", "1"], ["simulate", "{}", "--patients", "1"]])
def test_a_folder_that_may_not_be_written_is_one_line(
    locked: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    locked.chmod(0o555)
    assert main([word.format(locked) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("echosynth: cannot make the folder")
    assert "Permission denied" in said


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="/proc is a file system that takes no new files from root")
def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(tmp_path / "set"), "--patients", "1", *PATIENTS[2:]]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "set"), "--sheet", "/proc/self/sheet.png"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("echosynth: cannot write /proc/self/sheet.png")
    assert said.count("\n") == 1

"""Every mistake a user can make: exit code 2, one line on stderr, nothing on stdout, nothing half-written."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from echosynth.cli import main
from echosynth.video.readers import load_video
from echosynth.video.writers import write_png
from tests.command_line import Done, Run
from tests.models import GATE

SMOKE = Path(__file__).resolve().parents[2] / "configs" / "smoke"


def assert_one_line(done: Done, *words: str) -> None:
    said = done.refusal()
    for word in words:
        assert word in said


@pytest.mark.parametrize("ef", ["0.5", "95.5", "nan", "inf", "forty", "-3"])
def test_an_ef_that_cannot_be_asked_for(echosynth: Run, phantom_video: Path, tmp_path: Path, ef: str) -> None:
    assert_one_line(echosynth("generate", phantom_video, f"--ef={ef}", "--out", tmp_path / "run", "--json"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "change",
    [
        *("--samples=0", "--max-attempts=0", "--steps=0", "--guidance=nan", "--tolerance=nan", "--frame=99"),
        *("--limit=0", "--model=no_such", "--gate=no_such", f"--judge={GATE}", "--device=abacus", "--no-such-option"),
    ],
)
def test_a_wrong_argument(echosynth: Run, phantom_video: Path, tmp_path: Path, change: str) -> None:
    assert_one_line(echosynth("generate", phantom_video, "--ef", 40, "--out", tmp_path / "run", change))
    assert not (tmp_path / "run").exists()


def test_a_source_that_cannot_be_used(echosynth: Run, noise_picture: Path, tmp_path: Path) -> None:
    (tmp_path / "text.avi").write_text("not a video")
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "missing.png", tmp_path / "text.avi", noise_picture, tmp_path / "empty"):
        assert_one_line(echosynth("generate", source, "--ef", 40, "--out", tmp_path / "run"), source.name)
        assert not (tmp_path / "run").exists()


def test_a_table_has_no_folder_to_go_to(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    assert_one_line(echosynth("measure", phantom_video, "--csv", tmp_path / "none" / "ef.csv"), "there is no folder")


def test_a_single_picture_has_no_ef(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "still.png", load_video(phantom_video).pixels[0])
    assert_one_line(echosynth("measure", tmp_path / "still.png"), "single picture")


def test_weights_whose_hash_differs(
    echosynth: Run, bundle: Path, phantom_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundle, tmp_path / "changed")
    weights = tmp_path / "changed" / GATE / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(tmp_path / "changed"))
    assert_one_line(echosynth("measure", phantom_video, "--regressor", GATE), "sha256")


@pytest.mark.heavy
def test_a_folder_that_is_not_ours(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("mine")
    assert_one_line(echosynth("generate", phantom_video, "--ef", 40, "--out", tmp_path / "thesis"), "other files")
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter1.txt"]


@pytest.mark.heavy
def test_a_full_disk(echosynth: Run, phantom_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = echosynth("generate", phantom_video, "--ef", 40, "--out", out, "--json")
    assert_one_line(done, "the disk is full")
    assert not [path for path in out.rglob("*") if path.is_file()]
    assert echosynth("generate", phantom_video, "--ef", 40, "--out", out, "--json").code == 0


def test_configs_that_say_nonsense(echosynth: Run, tmp_path: Path) -> None:
    assert_one_line(echosynth("evaluate", "configs/no_such.yaml"), "no_such.yaml")
    smoke = SMOKE / "evaluation.yaml"
    reserved = echosynth("evaluate", smoke, "--set", "test.first_seed=8999999", "--out", tmp_path / "run")
    assert_one_line(reserved, "reserved")
    assert_one_line(echosynth("evaluate", smoke, "--set", "factul=1"), "factual")
    assert_one_line(echosynth("augment", SMOKE / "augmentation.yaml", "--set", "source=/no/such"), "/no/such")


def test_the_door_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in ((["genrate"], "generate"), (["generate"], "required"), (["--nonsense"], "")):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert expected in err
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("echosynth ")
    assert main(["--help"]) == 0
    assert "generate" in capsys.readouterr().out

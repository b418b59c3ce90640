"""`echosynth probe` on a dataset in HMC-QU's layout, and one clear line where nothing can be probed."""

from pathlib import Path

import openpyxl
import pytest

from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_avi
from tests.command_line import Run
from tests.data.fake_datasets import make_fan

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def infarctions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hmc")
    (root / "A4C").mkdir()
    book = openpyxl.Workbook()
    book.active.append(["ECHO", "SEG1"])
    for k in range(8):
        book.active.append([f"ES{k:04d}_CH4_1", "MI" if k % 2 else "non-MI"])
        write_avi(root / "A4C" / f"ES{k:04d}_CH4_1.avi", EchoClip(make_fan(seed=k), 25.0))
    book.save(root / "A4C.xlsx")
    return root


def test_every_clip_is_predicted_once(echosynth: Run, infarctions: Path) -> None:
    done = echosynth("probe", infarctions, "--folds", "2", "--json")
    assert done.code == 0
    assert done.json["clips"] == 8
    for scores in done.json["scores"].values():
        assert (scores["n"], scores["positives"], scores["majority"]) == (8, 4, 0.5)
    assert len(done.json["scores"]) == 2
    assert "infarction: 4 of 8 clips" in echosynth("probe", infarctions, "--folds", "2").out


def test_fine_tuned_scores_stand_beside_those_of_the_frozen_network(echosynth: Run, infarctions: Path) -> None:
    scores = echosynth("probe", infarctions, "--folds", "2", "--fine-tune", "2", "--json").json["scores"]
    assert len(scores) == 4
    assert sum(name.endswith(", fine-tuned") for name in scores) == 2
    assert all(found["n"] == 8 for found in scores.values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fact", "age"], "it tells infarction"),
        (["--folds", "1"], "at least 2"),
        (["--folds", "9"], "as many patients"),
        (["--fine-tune", "-1"], "at least 0"),
    ],
)
def test_what_cannot_be_probed_is_one_line(echosynth: Run, infarctions: Path, words: list[str], message: str) -> None:
    done = echosynth("probe", infarctions, *words)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1

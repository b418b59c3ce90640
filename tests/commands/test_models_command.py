"""`echosynth models` and `doctor`: listed, verified, added; what is damaged or foreign is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from echosynth import installation
from echosynth.storage.model_store import find_model, user_root
from tests.command_line import Run
from tests.models import CASCADE, GATE, JUDGE, make_tiny_cascade
from tests.public_networks import uniformer_state


def test_models_are_listed_verified_and_added(echosynth: Run, bundle: Path, tmp_path: Path) -> None:
    listed = echosynth("models", "list", "--json").json["models"]
    assert {(m["name"], m["kind"]) for m in listed} >= {(CASCADE, "cascade"), (GATE, "regressor"), (JUDGE, "regressor")}
    assert echosynth("models", "verify", CASCADE, "--json").json["verified"] == [str(bundle / CASCADE)]
    mine = make_tiny_cascade(tmp_path / "mine", seed=3)
    assert echosynth("models", "add", mine, "--json").json["added"] == str(user_root() / "mine")
    assert find_model("mine") == user_root() / "mine"
    assert "there already" in echosynth("models", "add", mine).refusal()
    assert "no model folder" in echosynth("models", "add", tmp_path).refusal()
    assert "name the model" in echosynth("models", "add").refusal()
    assert "did you mean" in echosynth("models", "verify", "phantom_smal").refusal()


def test_a_changed_byte_is_found_and_never_added(
    echosynth: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(tmp_path / "bundle"))
    for folder in (tmp_path / "bundle" / CASCADE, make_tiny_cascade(tmp_path / "mine")):
        weights = next(folder.rglob("*.safetensors"))
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    assert "sha256" in echosynth("models", "verify").err
    assert "sha256" in echosynth("models", "add", tmp_path / "mine").refusal()
    assert not user_root().exists() or not list(user_root().iterdir())


@pytest.mark.heavy
def test_public_weights_are_added_and_an_encoder_does_not_measure(
    echosynth: Run, tmp_path: Path, phantom_video: Path
) -> None:
    torch.save(uniformer_state(outputs=400), tmp_path / "uniformer_small.pth")
    added = echosynth("models", "add", tmp_path / "uniformer_small.pth", "--name", "k400", "--json")
    assert added.code == 0
    folder = Path(added.json["added"])
    assert json.loads((folder / "card.json").read_text())["source"] == "UniFormer-S"
    assert echosynth("models", "verify", "k400").code == 0
    assert any(model["name"] == "k400" for model in echosynth("models", "list", "--json").json["models"])
    assert "reads no EF" in echosynth("measure", phantom_video, "--regressor", "k400").refusal()
    for words in (("--name", "a/b"), ("--name", "k400"), ("--fps", "-1")):
        assert echosynth("models", "add", tmp_path / "uniformer_small.pth", *words).code == 2
    assert sorted(path.name for path in folder.parent.iterdir()) == ["k400"]


def test_doctor_says_what_is_wrong(echosynth: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = echosynth("doctor", "--json").json
    assert result["ok"]
    assert {check["name"] for check in result["checks"]} == set(installation.CHECKS)

    def broken() -> tuple[bool, str]:
        raise ImportError("libfoo.so is missing")

    monkeypatch.setitem(installation.CHECKS, "video", broken)
    done = echosynth("doctor")
    assert done.code == 1
    failed = [line.split() for line in done.out.splitlines() if line.startswith("FAIL")]
    assert failed == [["FAIL", "video", "ImportError:", "libfoo.so", "is", "missing"]]

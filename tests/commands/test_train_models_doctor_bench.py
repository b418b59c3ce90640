"""train, models, doctor, bench and simulate as a user meets them: their objects, exit codes and refusals."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from echosynth import installation
from echosynth.cli import main
from echosynth.storage.model_store import find_model, user_root
from tests.models import CASCADE, GATE, JUDGE, make_tiny_bundle, make_tiny_cascade
from tests.public_networks import uniformer_state

SMOKE = Path(__file__).resolve().parents[2] / "configs" / "smoke"


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_tiny_bundle(tmp_path / "bundle")
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return folder


def call(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("echosynth: ")]
    assert len(said) == 1
    return said[0]


def test_models_are_listed_verified_and_added(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = call(capsys, "models", "list")["models"]
    assert {(m["name"], m["kind"]) for m in listed} >= {(CASCADE, "cascade"), (GATE, "regressor"), (JUDGE, "regressor")}
    assert call(capsys, "models", "verify", CASCADE)["verified"] == [str(bundle / CASCADE)]
    added = make_tiny_cascade(tmp_path / "mine", seed=3)
    assert call(capsys, "models", "add", str(added))["added"] == str(user_root() / "mine")
    assert find_model("mine") == user_root() / "mine"
    assert "there already" in refused(capsys, "models", "add", str(added))
    assert "no model folder" in refused(capsys, "models", "add", str(tmp_path))
    assert "name the model" in refused(capsys, "models", "add")
    assert "did you mean" in refused(capsys, "models", "verify", "phantom_smal")


def test_a_changed_byte_is_found_and_never_added(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (bundle / CASCADE, make_tiny_cascade(tmp_path / "mine")):
        weights = next(folder.rglob("*.safetensors"))
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    assert "sha256" in refused(capsys, "models", "verify")
    assert "sha256" in refused(capsys, "models", "add", str(tmp_path / "mine"))
    assert not user_root().exists() or not list(user_root().iterdir())


@pytest.mark.usefixtures("bundle")
def test_bench_counts_every_pass(capsys: pytest.CaptureFixture[str]) -> None:
    result = call(capsys, "bench", "generate", "--repeat", "1")
    assert [stage["name"] for stage in result["stages"]] == ["base", "sr1", "sr2"]
    for stage in result["stages"]:
        assert stage["passes"] == 2
        assert min(stage["parameters"], stage["tflop"], stage["seconds"], stage["peak_mb"]) > 0
    assert result["total"]["tflop"] == pytest.approx(sum(stage["tflop"] for stage in result["stages"]))
    assert result["reference"]["tflop"] == 1181
    assert "at least 1" in refused(capsys, "bench", "--repeat", "0")
    assert "no model" in refused(capsys, "bench", "--model", "none_of_ours")


def test_bench_estimates_what_a_config_would_take(capsys: pytest.CaptureFixture[str]) -> None:
    config = str(SMOKE / "cascade_tiny.yaml")
    one = call(capsys, "bench", "--estimate", config)
    two = call(capsys, "bench", "--estimate", config, "--gpus", "2", "--tflops", "50")
    assert [stage["name"] for stage in one["stages"]] == ["frame", "base", "sr1", "sr2"]
    assert one["total"]["passes"] == 2 + 2 * 2 + 2 + 1 + 1  # both steps of the base steered and guided
    assert min(stage["memory_gb"] for stage in one["stages"]) > 0
    assert two["total"]["hours"] == pytest.approx(one["total"]["hours"])
    assert "above zero" in refused(capsys, "bench", "--estimate", config, "--gpus", "0")
    assert "unknown key" in refused(capsys, "bench", "--estimate", str(SMOKE / "judge_tiny.yaml"))


@pytest.mark.usefixtures("bundle")
def test_doctor_says_what_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    result = call(capsys, "doctor")
    assert result["ok"]
    assert {check["name"] for check in result["checks"]} == set(installation.CHECKS)

    def broken() -> tuple[bool, str]:
        raise ImportError("libfoo.so is missing")

    monkeypatch.setitem(installation.CHECKS, "video", broken)
    assert main(["doctor"]) == 1
    failed = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert failed == [["FAIL", "video", "ImportError:", "libfoo.so", "is", "missing"]]


@pytest.mark.usefixtures("bundle")
def test_training_configs_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no configuration file" in refused(capsys, "train", "nothing.yaml")
    assert "one of cascade, regressor" in refused(capsys, "train", str(SMOKE / "evaluation.yaml"))
    assert "unknown key" in refused(capsys, "train", str(SMOKE / "cascade_tiny.yaml"), "--set", "sede=1")
    (tmp_path / "bare.yaml").write_text("name: x\n")
    assert "'kind' is missing" in refused(capsys, "train", "bare.yaml")
    if not torch.cuda.is_available():
        halved = ["train", str(SMOKE / "cascade_tiny.yaml"), "--set", "stages.sr1.optim.mixed_precision=fp16"]
        assert "sr1: optim.mixed_precision fp16 needs a GPU" in refused(capsys, *halved)
    for root in ("nowhere", "elsewhere"):  # a refused run leaves its folder to the mended one
        words = ["train", str(SMOKE / "cascade_tiny.yaml"), "--out", "run", "--set", f"data.root={root}"]
        assert f"no such file or folder: {root}" in refused(capsys, *words)


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("arguments.wrong=3", "no R2Plus1D can be built"),
        ("arguments.widths=[1,2]", "no R2Plus1D can be built"),
        ("arguments.fps=5", "does not divide data.fps"),
        ("arguments.fps=64", "does not divide data.fps"),
        ("arguments.frames=500", "500 frames at"),
        ("arguments.frames=0", "0 frames at"),
        ("arguments.size=30", "arguments.size 30 does not divide data's"),
        ("optim.batch_size=0", "at least 1"),
        ("optim.steps=0", "at least 1"),
        ("validation={source: phantom, patients: 0}", "validation.patients must be at least 1"),
        ("loss={contrast: {weight: 1}}", "is odd"),
        ("init=nowhere", "cannot start from nowhere: no model"),
    ],
)
def test_a_regressor_that_cannot_be_trained_is_refused_in_one_line(
    change: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Refused before a phantom is rendered. An odd batch is no fault but with a contrast.
    words = ["--set", "data={source: phantom}", "--set", "optim.batch_size=3", "--set", change]
    out = tmp_path / "run"
    assert message in refused(capsys, "train", str(SMOKE / "regressor_tiny.yaml"), "--out", str(out), *words)
    assert not out.exists()  # or the mended config would be another one than the folder's


@pytest.mark.usefixtures("bundle")
def test_training_on_acceptance_patients_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phantoms = "data={source: phantom, patients: 2, first_seed: 8999999}"
    said = refused(capsys, "train", str(SMOKE / "regressor_tiny.yaml"), "--set", phantoms)
    assert "reserved for acceptance" in said


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--patients", "0"], "--patients"),
        (["--patients", "1", "--counterfactual", "99"], "--counterfactual"),
        (["--patients", "1", "--workers", "0"], "--workers"),
        (["--patients", "1", "--frames", "5"], "more --frames"),
        (["--patients", "many"], "invalid int"),
    ],
)
def test_simulate_refuses_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, "simulate", "out", *words)
    assert not Path("out").exists()


def test_bench_regressors_counts_what_was_published(capsys):
    rows = {row["name"]: row for row in call(capsys, "bench", "regressors", "--repeat", "1")["regressors"]}
    assert rows["EchoNet-Dynamic, R(2+1)D-18"]["parameters"] == pytest.approx(31.3e6, rel=0.02)
    for row in rows.values():
        for figure, value in (row["published"] or {}).items():
            assert value is None or row[figure] == pytest.approx(value, rel=0.02), (row["name"], figure)


@pytest.mark.slow
def test_bench_data_names_its_rates(capsys: pytest.CaptureFixture[str]) -> None:
    rates = {row["name"]: row["clips_per_s"] for row in call(capsys, "bench", "data")["rates"]}
    assert len(rates) == 5
    assert all(rate > 0 for rate in rates.values())


def test_public_weights_are_added_and_an_encoder_does_not_measure(
    echosynth, tmp_path, monkeypatch, phantom_video
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    state = uniformer_state(outputs=400)
    torch.save(state, tmp_path / "uniformer_small.pth")
    added = echosynth("models", "add", tmp_path / "uniformer_small.pth", "--name", "k400", "--json")
    assert added.code == 0
    folder = Path(added.json["added"])
    assert json.loads((folder / "card.json").read_text())["source"] == "UniFormer-S"
    assert echosynth("models", "verify", "k400").code == 0
    assert any(model["name"] == "k400" for model in echosynth("models", "list", "--json").json["models"])
    refused = echosynth("measure", phantom_video, "--regressor", "k400")
    assert refused.code == 2
    assert "reads no EF" in refused.err
    for words in (("--name", "a/b"), ("--name", "k400"), ("--fps", "-1")):
        assert echosynth("models", "add", tmp_path / "uniformer_small.pth", *words).code == 2
    assert sorted(path.name for path in folder.parent.iterdir()) == ["k400"]

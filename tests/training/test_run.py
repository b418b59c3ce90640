"""Whole training runs on a fake set: resuming repeats an uninterrupted run bit for bit; processes share the batch."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from echosynth.data.layouts import open_dataset
from echosynth.errors import CheckpointError, ConfigError, MissingDependencyError, OutputError
from echosynth.storage.lock import hold
from echosynth.training import cascade, parts
from echosynth.training.cascade import CascadeConfig, train_cascade
from echosynth.training.engine import schedule
from echosynth.training.regressor import RegressorConfig, train_regressor
from tests.data.fake_datasets import write_pediatric
from tests.fake_set import write_fake_set
from tests.training_runs import OPTIM, PACE, make_config, read_log, weights


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.heavy
def test_two_processes_do_not_train_one_network(tmp_path: Path) -> None:
    config = CascadeConfig.model_validate(make_config(tmp_path / "sets") | {"only": ["base"]})
    with hold(tmp_path / "run" / "base"), pytest.raises(OutputError, match="another process is working in"):
        train_cascade(config, tmp_path / "run")
    train_cascade(config, tmp_path / "run")
    assert (tmp_path / "run" / "base" / "model").is_dir()
    (tmp_path / "plain").write_text("")
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file() and path.suffix == ".safetensors"]
    assert {path.stat().st_mode for path in files} == {(tmp_path / "plain").stat().st_mode}, "others may read them too"
    # What is damaged of a finished network is not taken for one.
    log, model = tmp_path / "run" / "base" / "log.jsonl", tmp_path / "run" / "base" / "model" / "config.json"
    for path, damage, words in (
        (log, '{"loss": 1}\n', "a line names no step"),
        (log, '{"step"\n', "line 1 is damaged"),
        (model, "{}", "damaged or was changed"),
    ):
        whole = path.read_text()
        path.write_text(damage)
        with pytest.raises((OutputError, CheckpointError), match=words):
            train_cascade(config, tmp_path / "run")
        path.write_text(whole)
    train_cascade(config, tmp_path / "run")


class Killed(BaseException):
    pass


class KillingHandler(logging.Handler):
    """Ends the process, as far as a test can, where a step's line is logged."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.words = f"step {step},"

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            raise Killed


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    logger, handler = logging.getLogger("echosynth.training"), KillingHandler(step)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.mark.heavy
def test_resumed_training_equals_uninterrupted_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = CascadeConfig.model_validate(make_config(tmp_path / "sets"))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    pipeline = train_cascade(config, whole)
    assert pipeline is not None
    assert (pipeline / "model_index.json").is_file()
    assert list((whole / "base" / "previews").glob("*.png"))

    assert (pipeline / "ef_guide").is_dir()
    assert (pipeline / "tissue_tracker").is_dir()
    for step in (3, 5):  # between checkpoints: the steps since the last one are done again
        with killed_at(step), pytest.raises(Killed):
            train_cascade(config, cut)
    train_cascade(config, cut)
    for name in config.parts:
        one, two = weights(whole, name), weights(cut, name)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name
        assert read_log(whole / name / "log.jsonl") == read_log(cut / name / "log.jsonl")
    caplog.set_level(logging.INFO, "echosynth")
    caplog.clear()
    train_cascade(config, cut)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("echosynth")]
    assert said == [f"{name}: finished, nothing to do" for name in config.parts]


@pytest.mark.heavy
def test_stages_can_be_trained_one_by_one(tmp_path: Path) -> None:
    raw = make_config(tmp_path / "sets")
    for stage in raw["stages"].values():
        stage["optim"] = OPTIM | {"steps": 1}
    for name in ("tissue_tracker", "ef_guide"):
        raw[name]["optim"] = OPTIM | {"steps": 1}
    tracked = CascadeConfig.model_validate(raw | {"only": ["sr1"]})
    with pytest.raises(ConfigError, match="train tissue_tracker before"):
        train_cascade(tracked, tmp_path / "run")
    for name in ("tissue_tracker", "sr1", "ef_guide"):
        part = CascadeConfig.model_validate(raw | {"only": [name]})
        assert train_cascade(part, tmp_path / "run") is None
    assert not (tmp_path / "run" / "base").exists()
    second = CascadeConfig.model_validate(raw | {"only": ["base"]})
    assert train_cascade(second, tmp_path / "run") == tmp_path / "run" / "pipeline"


@pytest.mark.heavy
def test_a_stage_may_learn_from_clips_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raw = make_config(tmp_path / "sets")
    own, held_out = [write_fake_set(tmp_path / "own", seed).model_dump(mode="json") for seed in (2000, 3000)]
    raw["stages"]["base"] |= {"data": own, "validation": held_out, "optim": OPTIM | {"steps": 1}}
    raw["stages"]["sr1"]["optim"] = raw["ef_guide"]["optim"] = raw["tissue_tracker"]["optim"] = OPTIM | {"steps": 1}
    drawn: dict[str, set[int]] = {}

    class Watched(parts.DiffusionTask):
        def make_batch(self, size: int, generator: torch.Generator) -> Any:
            drawn.setdefault(self.config.kind, set()).add(self.source.set.config.first_seed)
            return super().make_batch(size, generator)

    monkeypatch.setattr(parts, "DiffusionTask", Watched)
    caplog.set_level(logging.INFO, "echosynth")
    for lost in ("data", "validation"):  # what no stage of this run learns from is not even looked at
        alone = raw | {"only": ["base"], lost: raw[lost] | {"root": str(tmp_path / "nowhere")}}
        train_cascade(CascadeConfig.model_validate(alone), tmp_path / lost)
    assert not [line for line in caplog.messages if "rendered" in line]
    train_cascade(CascadeConfig.model_validate(raw), tmp_path / "run")
    assert drawn == {"base": {2000, 3000}, "both": {0, 1000}}


@pytest.mark.heavy
def test_where_motion_is_not_known_a_finished_tracker_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = make_config(tmp_path / "sets") | {"only": ["tissue_tracker"]}
    monkeypatch.setattr(cascade, "open_source", lambda *_: SimpleNamespace(fps=32.0))
    with pytest.raises(ConfigError, match="give the init"):
        train_cascade(CascadeConfig.model_validate(raw), tmp_path / "run")
    finished = CascadeConfig.model_validate(raw).tissue_tracker
    assert finished is not None
    finished.network().save_pretrained(tmp_path / "finished")
    raw["tissue_tracker"]["init"] = str(tmp_path / "finished")
    train_cascade(CascadeConfig.model_validate(raw), tmp_path / "run")
    given = load_file(next((tmp_path / "finished").glob("*.safetensors")))
    assert all(torch.equal(value, given[name]) for name, value in weights(tmp_path / "run", "tissue_tracker").items())


@pytest.mark.heavy
def test_a_tracker_gets_the_lines_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    raw = make_config(tmp_path / "sets") | {"only": ["base"], "pace": PACE | {"trackers": ["tensorboard"]}}
    config = CascadeConfig.model_validate(raw)
    train_cascade(config, tmp_path / "run")
    events = EventAccumulator(str(next((tmp_path / "run" / "base").rglob("events.*")).parent)).Reload()
    values = [event.value for event in events.Scalars("base/loss")]
    assert values == pytest.approx([line["loss"] for line in read_log(tmp_path / "run" / "base" / "log.jsonl")])
    monkeypatch.setattr(schedule.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"echosynth\[trackers\]"):
        schedule.check_trackers(config.pace)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"only": ["sr7"]}, "unknown stages"),
        ({"stages": {"first": None}}, "named base"),
        ({"ef_guide": None, "stages": {"steered": None}}, "no ef_guide"),
        ({"tissue_tracker": None}, "no tissue_tracker"),
        ({"untracked": None}, "no stage is tracked"),
    ],
)
def test_a_chain_that_is_not_whole_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    raw = make_config(tmp_path)
    if "steered" in change.get("stages", {}):
        raw["stages"]["base"]["ef_guidance_scale"] = 1.0
        change = {"ef_guide": None}
    elif "untracked" in change:
        raw["stages"]["sr1"]["tracked"] = False
        change = {}
    elif "stages" in change:
        change = {"stages": {"first": raw["stages"]["base"]}}
    with pytest.raises(ValueError, match=message):
        CascadeConfig.model_validate(raw | change)


@pytest.mark.heavy
def test_a_regressor_learns_the_fake_hearts(tmp_path: Path) -> None:
    raw = make_config(tmp_path / "sets")
    config = RegressorConfig.model_validate(
        {
            "kind": "regressor",
            "name": "tiny",
            "data": raw["data"],
            "validation": raw["validation"],
            "network": "R2Plus1D",
            "arguments": {"fps": 16, "frames": 8, "size": 16, "widths": [8] * 4, "blocks": [1] * 4, "stem_width": 8},
            "transforms": {"rotate": 0, "scale": 0, "shift": 0, "gamma": 0, "noise": 0},
            "optim": OPTIM | {"steps": 60, "batch_size": 16, "lr": 3e-3, "warmup_steps": 5},
            "pace": PACE | {"log_every": 10, "validate_every": 0, "save_every": 60},
        }
    )
    model = train_regressor(config, tmp_path / "run")
    scores = json.loads((tmp_path / "run" / "tiny" / "scores.json").read_text())["ceiling"]
    log = read_log(tmp_path / "run" / "tiny" / "log.jsonl")
    assert (model / "config.json").is_file()
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]
    assert scores["n"] == 64
    assert 0 < json.loads((model / "config.json").read_text())["error90"] < 60


@pytest.mark.heavy
def test_a_regressor_is_measured_on_the_held_out_clips_of_a_dataset(tmp_path: Path) -> None:
    root, cache = write_pediatric(tmp_path / "set", patients=20), tmp_path / "decoded"
    data = {"source": "dataset", "root": root, "view": "A4C", "num_frames": 8, "fps": 25.0, "cache": cache}
    config = RegressorConfig.model_validate(
        {
            "kind": "regressor",
            "name": "tiny",
            "data": data | {"split": "TRAIN"},
            "validation": data | {"split": "VAL"},
            "network": "MCSDR",
            "arguments": {"fps": 25, "frames": 8, "size": 56, "channels": 1, "widths": [8, 8, 16, 16]}
            | {"blocks": [1] * 4, "head_dim": 8, "dim": 16},
            "loss": {"score": {"draws": 4}},
            "optim": OPTIM | {"steps": 2, "batch_size": 4},
            "pace": PACE | {"validate_every": 0, "save_every": 2},
        }
    )
    model = train_regressor(config, tmp_path / "run")
    scores = json.loads((tmp_path / "run" / "tiny" / "scores.json").read_text())["ceiling"]
    held_out = [entry for entry in open_dataset(root, "A4C").entries if entry.split == "VAL"]
    assert scores["n"] == len(held_out) == 2
    assert scores["bias"] == pytest.approx(0, abs=1e-4)
    assert json.loads((model / "config.json").read_text())["error90"] > 0
    finished = load_file(model / "diffusion_pytorch_model.safetensors")
    ages = torch.tensor(
        [entry.attributes["age"] for entry in open_dataset(root, "A4C").entries if entry.split == "TRAIN"]
    )
    torch.testing.assert_close(finished["attributes.middle"][0], ages.mean())


@pytest.mark.slow
@pytest.mark.parametrize("micro", [None, 1])
def test_two_processes_train_as_one_does(tmp_path: Path, micro: int | None) -> None:
    raw = make_config(tmp_path / "sets") | {"tissue_tracker": None}
    for part in (*raw["stages"].values(), raw["ef_guide"]):
        part["optim"] = OPTIM | {"micro_batch": micro}
    # Untracked: a tracker that differs in the last digit would give sr1 other batches, not another way to share them.
    raw["stages"]["sr1"]["tracked"] = False
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(raw))
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = ["-m", "echosynth", "train", str(tmp_path / "tiny.yaml"), "--out"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for start, out in (([], "one"), (launch, "two")):
        done = subprocess.run(
            [sys.executable, *start, *command, str(tmp_path / out)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
    for name in ("base", "sr1", "ef_guide"):
        logs = [read_log(tmp_path / out / name / "log.jsonl") for out in ("one", "two")]
        assert len(logs[0]) == len(logs[1]) == OPTIM["steps"]
        for one, two in zip(*logs, strict=True):
            assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        one, two = (weights(tmp_path / out, name) for out in ("one", "two"))
        for key in one:
            torch.testing.assert_close(one[key], two[key], atol=2e-4, rtol=1e-2)
    assert (tmp_path / "two" / "pipeline" / "model_index.json").is_file()


@pytest.mark.slow
def test_two_processes_finish_a_regressor_as_one_does(tmp_path: Path) -> None:
    raw = make_config(tmp_path / "sets")
    config = {
        "kind": "regressor",
        "name": "tiny",
        "data": raw["data"],
        "validation": raw["validation"],
        "network": "FrameAware",
        "arguments": {"fps": 16, "frames": 8, "size": 32, "channels": 1, "width": 4, "blocks": [1] * 4}
        | {"hidden": 8, "components": 4, "patients": 30},
        "loss": {"curve": 1.0, "reduced": 0.3},
        "optim": OPTIM | {"steps": 20, "batch_size": 4},
        "pace": PACE | {"validate_every": 0, "save_every": 20},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config, default=str))))
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    values = []
    for start in ([], ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]):
        command = [*start, "-m", "echosynth", "train", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "run")]
        done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        scores = tmp_path / "run" / "tiny" / "scores.json"
        values.append((json.loads(scores.read_text())["ceiling"], weights(tmp_path / "run", "tiny")))
        scores.unlink()  # as a run that was killed after its last step leaves it
    (one, before), (two, after) = values
    assert one["n"] == two["n"] == 64
    assert two["mae"] == pytest.approx(one["mae"], abs=1e-2)
    assert bool(before["fitted"])
    assert bool(after["fitted"])
    for key in before:
        torch.testing.assert_close(after[key], before[key], atol=1e-2, rtol=1e-2)

"""A folder belongs to one run: who else comes is refused by the key that differs, what fails at once leaves it free."""

import json
import multiprocessing
from pathlib import Path

import pytest
import yaml
from pydantic import Field

from echosynth.config import StrictModel
from echosynth.errors import CheckpointError, OutputError
from echosynth.storage.lock import hold
from echosynth.storage.run_folder import RunFolder


class Optim(StrictModel):
    steps: int = 5
    lr: float = Field(default=1e-4, alias="rate")


class Config(StrictModel):
    name: str = "some"
    stages: dict[str, Optim] = Field(default={"base": Optim(), "sr1": Optim()})
    efs: tuple[float, ...] = (30.0, 65.0)
    device: str = "cpu"


def begin(out: Path, make: bool = True, command: str = "train", **changes: object) -> bool:
    """Start a run, or go on; whether it was there."""
    options = {key: changes.pop(key) for key in ("inputs", "may_change", "may_rise", "shared") if key in changes}
    with RunFolder.open(out, command, Config.model_validate(changes), **options) as run:  # type: ignore[arg-type]
        if make:
            (run.path / "made").write_text("")
        return len(json.loads((run.path / "provenance.json").read_text())) > 1


def test_the_records_are_there_before_work_starts_and_every_start_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    with RunFolder.open(out, "train", Config(name="mine"), inputs={"weights": "0123"}):
        assert len(json.loads((out / "provenance.json").read_text())) == 1
        assert yaml.safe_load((out / "config.yaml").read_text())["stages"]["sr1"] == {"steps": 5, "rate": 1e-4}
        assert json.loads((out / "run.json").read_text()) == {"command": "train", "inputs": {"weights": "0123"}}
        (out / "made").write_text("")
    assert begin(out, name="mine", inputs={"weights": "0123"})
    starts = json.loads((out / "provenance.json").read_text())
    assert len(starts) == 2
    assert {"time", "command", "versions", "git_commit"} <= set(starts[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "other"}, "name was 'some', now 'other'"),
        ({"stages": {"base": Optim(), "sr1": {"steps": 9}}}, "stages.sr1.steps was 5, now 9"),
        ({"stages": {"base": Optim()}}, "stages.sr1.steps was 5, now None"),
        ({"efs": (30,)}, "efs was [30.0, 65.0], now [30.0]"),
        ({"inputs": {"weights": "0123"}}, "weights was None, now '0123'"),
        ({"command": "augment"}, "a run of 'echosynth train'"),
    ],
)
def test_a_refusal_names_the_key_that_differs(tmp_path: Path, change: dict[str, object], words: str) -> None:
    begin(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError) as caught:
        begin(tmp_path, **change)
    assert words in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_some_keys_may_change_and_some_may_rise(tmp_path: Path) -> None:
    free = {"may_change": ["device"], "may_rise": ["stages.*.steps"]}
    begin(tmp_path, **free)
    assert begin(tmp_path, device="cuda", stages={"base": Optim(), "sr1": {"steps": 9}}, **free)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["stages"]["sr1"]["steps"] == 9
    with pytest.raises(OutputError, match=r"stages\.sr1\.steps was 9, now 5"):
        begin(tmp_path, **free)


def test_an_input_stands_for_the_key_of_its_name(tmp_path: Path) -> None:
    begin(tmp_path, name="by name", inputs={"name": ["model", "0123"]})
    assert begin(tmp_path, name="by/path", inputs={"name": ["model", "0123"]})
    with pytest.raises(OutputError, match="name was"):
        begin(tmp_path, name="by/path", inputs={"name": ["model", "4567"]})


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match="other files"):
        begin(tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        begin(tmp_path / "thesis.tex")
    with pytest.raises(OutputError, match="cannot make the folder"):
        begin(tmp_path / "thesis.tex" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("error", [CheckpointError, RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("shared", [False, True])
def test_a_run_that_fails_before_it_made_anything_leaves_nothing(
    tmp_path: Path, error: type[BaseException], shared: bool
) -> None:
    def fail(out: Path, made: str = "") -> None:
        with RunFolder.open(out, "train", Config(), shared=shared), hold(out / "base"):
            if made:
                (out / "base" / made).write_text("")
            raise error

    with pytest.raises(error):
        fail(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(error):
        fail(tmp_path / "empty")
    assert not begin(tmp_path / "empty", command="augment")
    with pytest.raises(error):
        fail(tmp_path / "run", "log.jsonl")
    assert begin(tmp_path / "run")


def test_what_a_killed_run_left_before_it_made_anything_is_taken_over(tmp_path: Path) -> None:
    begin(tmp_path, make=False)
    assert not begin(tmp_path, make=False, name="corrected")
    assert len(json.loads((tmp_path / "provenance.json").read_text())) == 1


def test_leftovers_are_removed_under_the_lock_that_guards_them(tmp_path: Path) -> None:
    begin(tmp_path)
    mine, theirs = (
        tmp_path / "Videos" / ".a.avi.6f60e52564d3.tmp",
        tmp_path / "base" / ".step-00000001.0a1b2c3d4e5f.tmp",
    )
    mine.parent.mkdir()
    mine.write_text("")
    with hold(tmp_path / "base"):
        theirs.mkdir()
        with hold(tmp_path):
            mine.write_text("")
            with pytest.raises(OutputError, match="another process is working in"):
                begin(tmp_path)
        assert begin(tmp_path, shared=True)
        assert mine.exists(), "who shares a folder spares what another process may be writing"
        assert begin(tmp_path)
        assert not mine.exists()
        assert theirs.exists()
    with hold(tmp_path / "base"):
        assert not theirs.exists()


def _work(out: Path, shared: bool, working: object, done: object) -> None:
    with RunFolder.open(out, "train", Config(), shared=shared):
        working.set()  # type: ignore[attr-defined]
        done.wait(60)  # type: ignore[attr-defined]


@pytest.mark.parametrize("shared", [False, True])
def test_one_process_at_a_time_or_the_processes_of_one_run(tmp_path: Path, shared: bool) -> None:
    context = multiprocessing.get_context("spawn")
    working, done = context.Event(), context.Event()
    process = context.Process(target=_work, args=(tmp_path / "run", shared, working, done))
    process.start()
    try:
        assert working.wait(120)
        if shared:
            assert begin(tmp_path / "run", shared=True)
            with pytest.raises(OutputError, match="name was"):
                begin(tmp_path / "run", shared=True, name="other")
        else:
            with pytest.raises(OutputError, match="another process is working in"):
                begin(tmp_path / "run")
    finally:
        done.set()
        process.join()


@pytest.mark.parametrize("name", ["config.yaml", "run.json", "provenance.json"])
@pytest.mark.parametrize("damage", ["", "{", "- 1", '{"command": "train"', "null", "é", "/"])
def test_damaged_records_are_one_line(tmp_path: Path, name: str, damage: str) -> None:
    begin(tmp_path)
    (tmp_path / name).unlink()
    if damage == "/":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(damage.encode("latin-1"))
    if name == "provenance.json" and damage == "- 1":
        (tmp_path / name).write_text("{}")
    with pytest.raises(OutputError, match=name) as caught:
        begin(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    ['"settings": []', '"settings": null', '"command": 1, "inputs": {}', '"inputs": []', '"inputs": {}, "starts": 3'],
)
def test_records_of_a_wrong_type_are_one_line(tmp_path: Path, settings: str) -> None:
    begin(tmp_path)
    (tmp_path / "run.json").write_text(f'{{"command": "train", {settings}}}')
    with pytest.raises(OutputError, match=r"run\.json cannot be read"):
        begin(tmp_path)


def test_folders_of_earlier_versions_go_on(tmp_path: Path) -> None:
    """`simulate` and `train` wrote config.yaml and provenance.json, `generate` settings and starts in run.json."""
    config = {"name": "some", "efs": [30.0, 65.0], "device": "cpu"}  # it had no stages yet
    old = tmp_path / "simulated"
    old.mkdir()
    (old / "config.yaml").write_text(yaml.safe_dump(config))
    (old / "provenance.json").write_text('[{"time": "then"}]')
    (old / "FileList.csv").write_text("")
    with pytest.raises(OutputError, match="efs was"):
        begin(old, efs=(40,), inputs={"weights": "0123"})
    assert begin(old, inputs={"weights": "0123"})
    assert json.loads((old / "provenance.json").read_text())[0] == {"time": "then"}
    with pytest.raises(OutputError, match="weights was"):
        begin(old, inputs={"weights": "4567"})

    old = tmp_path / "generated"
    old.mkdir()
    settings = config | {"name": ["some", "0123"], "frames_hash": "89ab"}
    record = {"command": "generate", "settings": settings, "starts": [{"time": "then"}]}
    (old / "run.json").write_text(json.dumps(record))
    (old / "manifest.jsonl").write_text("")
    inputs = {"name": ["some", "0123"], "frames_hash": "89ab"}
    with pytest.raises(OutputError, match="frames_hash was '89ab', now 'cdef'"):
        begin(old, command="generate", inputs=inputs | {"frames_hash": "cdef"})
    assert begin(old, command="generate", inputs=inputs)
    assert json.loads((old / "run.json").read_text()) == {"command": "generate", "inputs": inputs}
    assert len(json.loads((old / "provenance.json").read_text())) == 2

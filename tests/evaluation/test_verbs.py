"""`measure`, `explain` and `evaluate` as functions: what a command does, from Python."""

import json
from pathlib import Path

import numpy as np
import pytest

import echosynth
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import ConfigError, OutputError, SourceError
from echosynth.evaluation.cases import PhantomTest, render_pair
from echosynth.regression.frame_transformer import FrameTransformer
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.video.writers import write_avi
from tests.counted_progress import CountedTask, CountingProgress
from tests.models import make_tiny_cascade, make_tiny_regressor


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A cascade, a gate and a judge in folders of their own, and another regressor with the judge's name."""
    root = tmp_path_factory.mktemp("models")
    return {
        "cascade": str(make_tiny_cascade(root / "cascade")),
        "gate": str(make_tiny_regressor(root, "gate", R2Plus1D, seed=1)),
        "judge": str(make_tiny_regressor(root, "judge", FrameTransformer, seed=2)),
        "namesake": str(make_tiny_regressor(root / "other", "judge", FrameTransformer, seed=3)),
    }


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of unknown EF."""
    root = tmp_path_factory.mktemp("clips")
    for k in range(2):
        _, clip = render_pair(3_000_300 + k, 50.0, 50.0, 16, 32.0, 0.0)
        write_avi(root / f"clip{k}.avi", clip)
    return root


@pytest.mark.heavy
def test_every_reader_reads_every_clip_under_its_own_name(models: dict[str, str], clips: Path) -> None:
    progress = CountingProgress()
    regressors = (models["judge"], models["namesake"], models["judge"])  # the same weights twice are one reader
    result = echosynth.measure(
        echosynth.MeasureConfig(sources=(clips,), regressors=regressors, embeddings=True), progress
    )
    assert progress.tasks == [CountedTask("measuring", 2, 2)]
    names = list(dict.fromkeys(reading.regressor for reading in result.readings))
    assert len(names) == 3
    assert names[-1] == "panel"
    assert [reading.regressor for reading in result.readings] == names * 2
    assert [Path(file).name for file in result.files] == ["clip0.avi", "clip1.avi"]
    assert {name: len(vectors) for name, vectors in result.embeddings.items()} == {names[0]: 2, names[1]: 2}
    assert result.scores is None
    alone = echosynth.measure(echosynth.MeasureConfig(sources=(clips,), regressors=(models["namesake"],)))
    assert [r.answer.ef for r in alone.readings] == [r.answer.ef for r in result.readings if r.regressor == names[1]]
    assert alone.embeddings == {}


@pytest.mark.heavy
def test_a_regressor_called_panel_is_not_the_panel(models: dict[str, str], clips: Path, tmp_path: Path) -> None:
    panel = make_tiny_regressor(tmp_path, "panel", R2Plus1D, seed=5)
    result = echosynth.measure(echosynth.MeasureConfig(sources=(clips,), regressors=(str(panel), models["judge"])))
    names = [reading.regressor for reading in result.readings[:3]]
    assert len(set(names)) == 3
    assert names[0].startswith("panel@")


def test_wrong_values_are_errors_of_the_library() -> None:
    for wrong, key in (
        ({"fps": 0}, "fps"),
        ({"windows": 0}, "windows"),
        ({"windows": "some"}, "windows"),
        ({"sources": ()}, "sources"),
        ({"device": "tpu"}, "device"),
    ):
        with pytest.raises(ConfigError, match=key) as caught:
            echosynth.MeasureConfig(**{"sources": ("a.avi",), **wrong})
        assert caught.value.key == key
    with pytest.raises(ConfigError, match="leave one of them out"):
        echosynth.MeasureConfig(sources=("a.avi",), beats=True, windows=3)
    with pytest.raises(ConfigError, match="true counterfactual"):
        echosynth.EvaluateConfig(test={"kind": "dataset", "root": "x"}, paired=2)
    with pytest.raises(SourceError, match="no such file"):
        echosynth.measure(echosynth.MeasureConfig(sources=("no_such.avi",)))


@pytest.mark.heavy
def test_an_explanation_is_of_the_first_window(models: dict[str, str], clips: Path) -> None:
    progress = CountingProgress()
    config = echosynth.ExplainConfig(source=clips / "clip0.avi", regressors=(models["gate"], models["judge"]))
    result = echosynth.explain(config, progress)
    assert progress.tasks == [CountedTask("explaining", 2, 2)]
    assert [e.regressor for e in result.explanations] == ["gate", "judge"]
    for explanation in result.explanations:
        assert explanation.pixels.shape == explanation.heat.shape
        assert explanation.pixels.dtype == np.uint8
        assert 0 <= explanation.heat.min() <= explanation.heat.max() <= 1
    assert [e["ef"] for e in result.to_dict()["explained"]] == [e.ef for e in result.explanations]


def test_a_dataset_without_clips_explains_nothing(models: dict[str, str], tmp_path: Path) -> None:
    with EchoNetWriter(tmp_path / "set"):
        pass
    config = echosynth.ExplainConfig(source=tmp_path / "set", regressors=(models["gate"],))
    with pytest.raises(SourceError, match="lists no clips"):
        echosynth.explain(config)


@pytest.mark.heavy
def test_an_evaluation_gives_its_records_and_goes_on(models: dict[str, str], tmp_path: Path) -> None:
    progress = CountingProgress()
    config = echosynth.EvaluateConfig(
        test=PhantomTest(count=2),
        factual=1,
        paired=1,
        n_bootstrap=5,
        show=1,
        **{role: models[role] for role in ("cascade", "gate", "judge")},
    )
    result = echosynth.evaluate(config, tmp_path / "run", progress)
    wanted = config.num_records(0) + config.num_records(1)
    assert progress.tasks == [CountedTask(f"evaluating: {wanted} clips are missing", wanted, wanted)]
    assert [type(record).__name__ for record in result.records] == [
        *("Sample", "Sample", "Truth", "Pair"),
        *("Sample", "Truth"),
    ]
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text()) == result.to_dict()
    assert sorted(path.name for path in (tmp_path / "run" / "clips").iterdir()) == [
        f"phantom-2000000_{end}" for end in ("counterfactual.avi", "factual.avi", "frame.png", "truth.avi")
    ]
    (tmp_path / "run" / "samples.jsonl").unlink()
    journal, finished = (tmp_path / "run" / ".parts" / f"00000.{kind}" for kind in ("jsonl", "json"))
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:3]))
    finished.unlink()
    again = echosynth.evaluate(config, tmp_path / "run")
    assert again.scores == result.scores
    with pytest.raises(OutputError, match="n_bootstrap was 5, now 6"):
        echosynth.evaluate(config.model_copy(update={"n_bootstrap": 6}), tmp_path / "run")


@pytest.mark.heavy
def test_a_gate_and_a_judge_of_one_name_are_two(models: dict[str, str], tmp_path: Path) -> None:
    roles = {"cascade": models["cascade"], "gate": models["namesake"], "judge": models["judge"]}
    config = echosynth.EvaluateConfig(test=PhantomTest(count=2), factual=0, n_bootstrap=5, **roles)
    result = echosynth.evaluate(config, tmp_path / "run")
    assert result.scores.gate != result.scores.judge
    assert result.models["gate"][1] != result.models["judge"][1]
    with pytest.raises(ConfigError, match="judge must not be the gate"):
        echosynth.evaluate(config.model_copy(update={"gate": models["judge"]}), tmp_path / "other")
    assert not (tmp_path / "other").exists()

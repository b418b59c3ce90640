"""Opening models: a whole one opens, whoever wrote it; any other is refused, and never looked for on the net."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.errors import CheckpointError
from echosynth.regression.loading import load_regressor
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.storage.checksums import write_sums
from echosynth.storage.model_ref import resolve
from tests.models import make_tiny_cascade, make_tiny_regressor


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_cascade(tmp_path_factory.mktemp("models") / "cascade")


@pytest.fixture(scope="module")
def regressor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_regressor(tmp_path_factory.mktemp("models"), "regressor", R2Plus1D)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked: list[Any] = []

    def refuse(host: Any, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise OSError("no network here")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    yield
    assert not asked, "a local folder led to the net"


def same_weights(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    states = one.state_dict(), two.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


@pytest.mark.heavy
def test_what_save_pretrained_writes_opens(cascade: Path, regressor: Path, tmp_path: Path) -> None:
    pipeline, model = load_cascade(cascade), load_regressor(regressor)
    pipeline.save_pretrained(tmp_path / "cascade")
    model.save_pretrained(tmp_path / "regressor")
    assert not list(tmp_path.rglob("SHA256SUMS"))
    again = load_cascade(tmp_path / "cascade")
    assert again.stages == pipeline.stages
    assert same_weights(again.components["base_unet"], pipeline.components["base_unet"])
    assert same_weights(load_regressor(tmp_path / "regressor"), model)


def test_a_reference_opens_what_it_refers_to(cascade: Path, regressor: Path) -> None:
    assert same_weights(load_regressor(resolve(regressor)), load_regressor(regressor))
    assert load_cascade(resolve(cascade)).stages == load_cascade(cascade).stages


def test_the_wrong_kind_is_refused_by_name(cascade: Path, regressor: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="holds a cascade, which makes clips and reads no EF; a regressor is needed"
    ):
        load_regressor(cascade)
    with pytest.raises(
        CheckpointError, match="holds a regressor, which reads EF and makes no clips; a cascade is needed"
    ):
        load_cascade(resolve(regressor))
    with pytest.raises(CheckpointError, match="holds a UNet3D, not one of"):
        load_regressor(cascade / "base_unet")


def edit(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda config: config | changes


@pytest.mark.parametrize(
    "change",
    [
        *(pytest.param(lambda _, value=value: value, id=str(value)) for value in ([], None, "text")),
        *(
            pytest.param(edit(**{key: value}), id=f"{key}={value}")
            for key, value in {
                "_class_name": ["R2Plus1D"], "widths": "text", "stem_width": 10**6, "blocks": None, "size": 10**6,
                "frames": 10**9, "fps": 0,
            }.items()
        ),
        pytest.param(edit(fps=float("nan")), id="fps=nan"),
        pytest.param(edit(size=-28), id="size=-28"),
    ],
)  # fmt: skip
def test_a_regressor_whose_config_is_none_is_refused(
    change: Callable[[dict[str, Any]], Any], regressor: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(regressor, tmp_path / "regressor")
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    write_sums(folder)
    with pytest.raises(CheckpointError):
        load_regressor(folder)


@pytest.mark.parametrize("file", ["model_index.json", "base_unet/config.json", "base_scheduler/scheduler_config.json"])
@pytest.mark.parametrize("content", ["[]", "null", "{", '"text"', '{"sigma_min": "x", "widths": [true]}'])
def test_a_cascade_whose_config_is_none_is_refused(
    file: str, content: str, cascade: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(cascade, tmp_path / "cascade")
    (folder / file).write_text(content)
    write_sums(folder)
    capfd.readouterr()
    with pytest.raises(CheckpointError):
        load_cascade(folder)
    assert "Loading" not in capfd.readouterr().err, "a library draws no bars of its own accord"


@pytest.mark.parametrize("file", ["base_unet/config.json", "base_scheduler/scheduler_config.json"])
def test_a_text_for_a_config_is_no_repository_of_the_hub(file: str, cascade: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(cascade, tmp_path / "cascade")
    (folder / file).write_text('"someone/something"')
    with pytest.raises(CheckpointError, match="not a JSON object but a str"):
        EchoCascadePipeline.from_pretrained(folder)


def test_half_a_model_is_refused(cascade: Path, regressor: Path, tmp_path: Path) -> None:
    for source, load in ((cascade, load_cascade), (regressor, load_regressor)):
        folder = shutil.copytree(source, tmp_path / source.name)
        weights = next(folder.rglob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:1000])
        write_sums(folder)
        with pytest.raises(CheckpointError, match="cannot be loaded"):
            load(folder)
        weights.unlink()
        write_sums(folder)
        with pytest.raises(CheckpointError):
            load(folder)

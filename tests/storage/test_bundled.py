"""The configs and weights that come with the package, in a checkout and in a wheel."""

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from echosynth.config import StrictModel, load_config
from echosynth.errors import ConfigError
from echosynth.storage import bundled
from echosynth.storage.bundled import bundled_folder, find_config
from echosynth.storage.config_file import read_config

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "configs" / "smoke" / "regressor_tiny.yaml"


@pytest.mark.parametrize(
    "name", ["smoke/regressor_tiny", "smoke/regressor_tiny.yaml", "configs/smoke/regressor_tiny.yaml"]
)
def test_a_bundled_config_is_found_by_name_from_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == TINY
    own = tmp_path / name
    own.parent.mkdir(parents=True)
    own.write_text("mine: 1")
    assert find_config(name) == Path(name), "a file that is there is meant itself"


@pytest.mark.parametrize(
    "name", ["regressor_tiny", "/smoke/regressor_tiny", "../configs/smoke/regressor_tiny.yaml", "smoke"]
)
def test_what_is_no_bundled_config_stays_what_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == Path(name)


def test_a_config_of_ones_own_may_extend_a_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: smoke/regressor_tiny\nseed: 7\n")
    assert read_config(mine) == {**read_config(TINY), "seed": 7}
    assert read_config("smoke/regressor_tiny") == read_config(TINY)
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke" / "regressor_tiny").write_text("name: beside\n")
    assert read_config(mine) == {"name": "beside", "seed": 7}, "a file beside this one is meant first"


def test_a_misspelt_name_gets_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigError, match=r"no configuration file smoke/regresor_tiny; did you mean smoke/regressor_tiny?"
    ):
        load_config("smoke/regresor_tiny", StrictModel)
    with pytest.raises(ConfigError, match=f"bundled ones are in {ROOT / 'configs'}"):
        load_config("something/else", StrictModel)


def test_an_installed_package_looks_inside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "echosynth"
    foreign = tmp_path / "site-packages" / "checkpoints"  # of another package: never ours where our own copy is
    for folder in (package / "checkpoints", foreign):
        folder.mkdir(parents=True)
    monkeypatch.setattr(bundled, "PACKAGE", package)
    assert bundled_folder("checkpoints") == package / "checkpoints"


@pytest.mark.heavy
def test_a_wheel_holds_weights_configs_and_templates_and_no_tests(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("checkpoints", "configs", "echosynth"):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                inside = file.relative_to(ROOT).as_posix().removeprefix("echosynth/")
                assert f"echosynth/{inside}" in names
    tops = {name.split("/")[0] for name in names}
    assert sorted(top.split("-")[0] for top in tops) == ["echosynth", "echosynth"]  # the package, its metadata

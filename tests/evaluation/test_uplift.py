"""`uplift` on tiny models: the clips of every arm, the same study by several starts, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echosynth.data.echonet_format import EchoNetDataset
from echosynth.errors import ConfigError, OutputError
from echosynth.evaluation.uplift.config import ARMS, UpliftConfig
from echosynth.evaluation.uplift.runner import uplift
from echosynth.phantom.plan import SimulateConfig
from echosynth.phantom.simulate import simulate
from echosynth.report.uplift_page import uplift_tables, write_uplift_page
from echosynth.storage.checksums import write_sums
from echosynth.storage.parts import Parts
from tests.models import CASCADE, GATE, JUDGE, make_tiny_bundle

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(autouse=True)
def bundled(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(bundle))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hospital") / "set"
    simulate(SimulateConfig(patients=24, seed=6_000_000, frames=40, fps=32), out)
    return out


@pytest.fixture(scope="module")
def values(bundle: Path, hospital: Path) -> dict[str, Any]:
    arguments = {"fps": 16, "frames": 8, "size": 28, "widths": [8] * 4, "blocks": [1] * 4, "stem_width": 8}
    optim = {"steps": 2, "batch_size": 4, "lr": 1e-3, "mixed_precision": "no"}
    return {
        "name": "study",
        "real": hospital,
        "tests": {"mine": hospital},
        "sizes": [6],
        "seeds": 1,
        "training": {"network": "R2Plus1D", "arguments": arguments, "optim": optim},
        "bin_width": 20.0,
        "fill": 0.5,
        "tolerance": 25.0,
        "max_attempts": 2,
        "n_bootstrap": 50,
        "model": str(bundle / CASCADE),
        "gate": str(bundle / GATE),
    }


@pytest.fixture(scope="module")
def study(values: dict[str, Any], bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECHOSYNTH_CHECKPOINTS", str(bundle))
        uplift(UpliftConfig.model_validate(values), out)
    return out


def rows(root: Path) -> dict[str, float]:
    return {row.file_name: row.ef for row in EchoNetDataset(root).rows}


def test_every_arm_has_the_clips_that_it_names(study: Path, hospital: Path) -> None:
    sets = study / "sets" / "n6_s0"
    real = rows(sets / "real")
    assert len(real) == 6
    train = {row.file_name: row.ef for row in EchoNetDataset(hospital).rows if row.split == "TRAIN"}
    assert real.items() <= train.items()
    accepted, refused = rows(sets / "synthetic" / "dataset"), rows(sets / "synthetic" / "refused")
    assert accepted
    assert refused
    planned = rows(sets / "oracle")
    ungated = rows(sets / "ungated")
    assert len(ungated) == len(planned)
    assert {name.removesuffix("_a0"): ef for name, ef in ungated.items()} == pytest.approx(planned)
    assert accepted.items() <= planned.items()
    truth = EchoNetDataset(sets / "oracle")
    for row in truth.rows:
        assert row.ef_of_volumes == pytest.approx(row.ef, abs=1e-6)
    cells = [json.loads(line) for line in (study / "cells.jsonl").read_text().splitlines()]
    assert [(c["seed"], c["arm"]) for c in cells] == [(0, arm) for arm in ARMS]
    counts = {c["arm"]: (c["real"], c["other"]) for c in cells}
    assert counts["real"] == counts["resampled"] == counts["classical"] == (6, 0)
    assert counts["synthetic"][0] == 0
    assert counts["oracle"] == (6, len(rows(study / "sets" / "n6_s0" / "oracle")))


def test_a_study_that_was_killed_goes_on_to_the_same_scores(
    study: Path, values: dict[str, Any], tmp_path: Path
) -> None:
    config = UpliftConfig.model_validate({**values, "seeds": 2, "arms": ["real", "gated"]})
    whole = uplift(config, tmp_path / "run")
    (tmp_path / "run" / "cells.jsonl").unlink()
    parts = Parts(tmp_path / "run", 4, size=1)
    for path in (parts.journal(2), parts.journal(2).with_suffix(".json"), parts.journal(1).with_suffix(".json")):
        path.unlink()  # the one was never trained, of the other the mark is missing alone
    again = uplift(config, tmp_path / "run")
    assert len((tmp_path / "run" / "cells.jsonl").read_text().splitlines()) == 4
    assert again.scores == whole.scores
    of_study = json.loads((study / "cells.jsonl").read_text().splitlines()[0])
    assert of_study["read"] == whole.cells[0].read, "a regressor depends on its cell alone"
    with pytest.raises(OutputError, match="seeds was 2, now 3"):
        uplift(config.model_copy(update={"seeds": 3}), tmp_path / "run")


def test_the_page_shows_every_arm(study: Path, values: dict[str, Any]) -> None:
    result = uplift(UpliftConfig.model_validate(values), study)
    (table,) = uplift_tables(result)
    assert [row[0][0] for row in table.rows] == list("ABCDEFG")
    page = write_uplift_page(study, "study", result).read_text()
    assert all(text.partition(":")[0] + ":" in page for text in ARMS.values())
    assert np.isfinite([s.mae for s in result.scores[6]["mine"].values()]).all()


def test_what_would_be_no_comparison_is_refused(values: dict[str, Any], bundle: Path, tmp_path: Path) -> None:
    for role, name in (("gate", GATE), ("judge", JUDGE)):
        training = {**values["training"], "init": str(bundle / name)}
        with pytest.raises(ConfigError, match=f"starts from the {role}"):
            uplift(UpliftConfig.model_validate({**values, "training": training}), tmp_path / "run")
    card = bundle / CASCADE / "card.json"
    before = card.read_text()
    card.write_text(json.dumps({**json.loads(before), "patient_seeds": [0, 6_100_000]}))
    write_sums(bundle / CASCADE)
    try:
        with pytest.raises(ConfigError, match="has learnt from patient 60000"):
            uplift(UpliftConfig.model_validate(values), tmp_path / "run")
    finally:
        card.write_text(before)
        write_sums(bundle / CASCADE)
    with pytest.raises(ConfigError, match="TRAIN clips, 100 are asked for"):
        uplift(UpliftConfig.model_validate({**values, "sizes": [100]}), tmp_path / "run")
    assert not (tmp_path / "run" / "cells.jsonl").exists()
    with pytest.raises(ConfigError, match="clips that are learnt from"):
        UpliftConfig(**{**values, "test_split": None})
    for wrong in (
        {"arms": ["gated"]},
        {"sizes": [0]},
        {"training": {**values["training"], "seed": 3}},
        {"training": {}},
    ):
        with pytest.raises(ConfigError):
            UpliftConfig(**{**values, **wrong})

"""Weights that are sharded over processes (FSDP): trained, saved and resumed as if one process had them all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from accelerate import FullyShardedDataParallelPlugin
from accelerate.commands.config.config_args import load_config_from_file

from echosynth.diffusion.unet3d import UNet3D
from echosynth.training.engine.sharding import gather, shard_like
from tests.training_runs import make_config, read_log, weights

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs" / "accelerate").glob("*.yaml"))


def test_what_is_not_sharded_goes_through_unchanged() -> None:
    tensor = torch.arange(3.0)
    state = {"a": [tensor, {"b": 3}], "c": "text"}
    assert gather(state) == state
    assert gather(state)["a"][0] is tensor
    assert shard_like(tensor, torch.zeros(5)) is tensor


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_reads_its_configs(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert config.num_processes == 8
    assert config.mixed_precision == "no", "a training config says it, stage by stage"


def test_the_fsdp_config_shards_the_blocks_of_every_stage() -> None:
    config = load_config_from_file(str(ROOT / "configs" / "accelerate" / "fsdp.yaml"))
    assert config.distributed_type == "FSDP"
    fields = {key.removeprefix("fsdp_"): value for key, value in config.fsdp_config.items()}
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=fields["version"],
        auto_wrap_policy=fields["auto_wrap_policy"],
        transformer_cls_names_to_wrap=fields["transformer_layer_cls_to_wrap"].split(","),
        reshard_after_forward=fields["reshard_after_forward"],
    )
    model = UNet3D(widths=[32, 32], blocks=[1, 1], time_attention=[False, False], emb_dim=32)
    plugin.set_auto_wrap_policy(model)
    assert plugin.auto_wrap_policy is not None
    assert set(fields["transformer_layer_cls_to_wrap"].split(",")) == set(UNet3D._repeated_blocks)


@pytest.mark.slow
def test_sharded_weights_train_save_and_resume_as_whole_ones_do(tmp_path: Path) -> None:
    raw = make_config(tmp_path / "sets") | {"only": ["base", "ef_guide"]}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(raw))
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    ways = {"whole": ["-m", "echosynth"], "sharded": [*launch, str(Path(__file__).with_name("sharded_train.py"))]}

    def train(way: str) -> None:
        command = [sys.executable, *ways[way], "train", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / way)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]

    for way in ways:
        train(way)
    for name in ("base", "ef_guide"):
        whole, sharded = (weights(tmp_path / way, name) for way in ways)
        for key, weight in whole.items():
            torch.testing.assert_close(sharded[key], weight, atol=2e-4, rtol=1e-2)
        for one, two in zip(*(read_log(tmp_path / way / name / "log.jsonl") for way in ways), strict=True):
            assert {k: two[k] for k in one} == pytest.approx(one, rel=2e-3)
        # As a run that was killed after four of six steps leaves it.
        shutil.rmtree(tmp_path / "sharded" / name / "model")
        shutil.rmtree(tmp_path / "sharded" / name / "checkpoints" / "step-00000006")
    before = {name: weights(tmp_path / "whole", name) for name in ("base", "ef_guide")}
    train("sharded")
    for name, whole in before.items():
        for key, weight in weights(tmp_path / "sharded", name).items():
            torch.testing.assert_close(weight, whole[key], atol=2e-4, rtol=1e-2)

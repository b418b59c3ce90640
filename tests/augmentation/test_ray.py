"""The same run on a Ray cluster of two nodes on this machine, of which one is killed."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from echosynth.augmentation.augment import Augmentation, augment
from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.errors import MissingDependencyError, OutputError
from echosynth.storage.parts import Parts
from tests.shared_runs import CLIPS, PATIENCE, contents


def test_without_ray_one_line_says_so(config: AugmentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'echosynth\[ray\]'"):
        augment(config, tmp_path / "run", engine="ray")
    assert not (tmp_path / "run").exists()


def test_two_engines_in_one_folder_are_refused(config: AugmentConfig, tmp_path: Path) -> None:
    parts = Parts(tmp_path / "run", CLIPS)
    with parts.hold_alone("Ray"):
        with pytest.raises(OutputError, match="engine"):
            augment(config, tmp_path / "run")
        with pytest.raises(OutputError, match="another process"), parts.hold_alone("Ray"):
            pass
    with parts._take(1), pytest.raises(OutputError, match="another process"), parts.hold_alone("Ray"):
        pass


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_that_loses_a_node_makes_the_same_bytes(
    cluster: Any, config: AugmentConfig, alone: dict[str, bytes], tmp_path: Path
) -> None:
    node, out = cluster.add_node(num_cpus=1), tmp_path / "run"
    lost = threading.Event()

    def kill() -> None:
        """Kill the second node as soon as two parts are held, one of them by its process."""
        parts, until = Parts(out, CLIPS), time.monotonic() + PATIENCE
        while sum(map(parts.is_held, range(CLIPS))) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)
        lost.set()

    killer = threading.Thread(target=kill)
    killer.start()
    result = augment(config, out, engine="ray")
    killer.join()
    assert lost.is_set()
    assert result.planned == CLIPS
    assert contents(out) == alone
    assert Augmentation.of_folder(out).result() == result

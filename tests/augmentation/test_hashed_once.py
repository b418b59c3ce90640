"""A command reads each file of its models once, for the name, the check and the manifest together."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from echosynth.augmentation.generate import GenerateConfig, generate
from tests.models import CASCADE, GATE, JUDGE, make_tiny_bundle


@pytest.mark.heavy
def test_generate_hashes_each_file_of_its_models_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_tiny_bundle(tmp_path / "bundle")
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(bundle))
    hashed: Counter[Path] = Counter()
    digest = hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        hashed[Path(file.name)] += 1
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    generate(GenerateConfig(fictional=1, ef=(30.0,), max_attempts=1), tmp_path / "run")
    weights = [file for name in (CASCADE, GATE, JUDGE) for file in (bundle / name).rglob("*.safetensors")]
    assert len(weights) >= 6
    assert {hashed[file] for file in weights} == {1}
    assert max(hashed.values()) == 1

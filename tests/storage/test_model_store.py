"""The model registry: names, cards, and hashes that notice one flipped bit."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from echosynth.errors import CheckpointError, ConfigError
from echosynth.storage.checksums import verify, write_sums
from echosynth.storage.model_ref import refuse_judge_as_gate, resolve, resolve_all
from echosynth.storage.model_store import find_model, list_models


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return folder


def sha256(folder: Path) -> str:
    return resolve(folder).sha256


def make_model(folder: Path, **card: str) -> Path:
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "model.safetensors").write_bytes(bytes(range(256)))
    (folder / "unet" / "config.json").write_text("{}")
    content = {"name": folder.name, "kind": "regressor", "class": "echosynth.a.B", "license": "Apache-2.0", **card}
    (folder / "card.json").write_text(json.dumps(content))
    write_sums(folder)
    return folder


def test_a_whole_model_verifies_and_sha256sum_agrees(root: Path) -> None:
    model = make_model(root / "tiny")
    verify(model)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=model, check=True)


def test_one_flipped_bit_is_noticed_with_both_hashes(root: Path) -> None:
    model = make_model(root / "tiny")
    weights = model / "unet" / "model.safetensors"
    published = next(line.split()[0] for line in (model / "SHA256SUMS").read_text().splitlines() if "model.s" in line)
    damaged = bytearray(weights.read_bytes())
    damaged[100] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=rf"model.safetensors is damaged.* [0-9a-f]{{64}}, .*{published}"):
        verify(model)


def test_missing_and_unlisted_weights_are_refused(root: Path) -> None:
    model = make_model(root / "tiny")
    (model / "extra.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"extra.bin is a weight file"):
        verify(model)
    (model / "extra.bin").unlink()
    (model / "README.md").write_text("a note is no weight")
    verify(model)
    (model / "unet" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config.json is missing"):
        verify(model)


@pytest.mark.parametrize("line", ["", "abc  card.json", f"{'0' * 64}  ../secret", f"{'0' * 64}  /etc/passwd", "\nx"])
def test_a_malformed_list_is_refused(root: Path, line: str) -> None:
    model = make_model(root / "tiny")
    (model / "SHA256SUMS").write_text(line)
    with pytest.raises(CheckpointError, match="SHA256SUMS"):
        verify(model)


def test_without_a_list_nothing_is_trusted(root: Path) -> None:
    model = make_model(root / "tiny")
    (model / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError, match="no SHA256SUMS"):
        verify(model)
    with pytest.raises(CheckpointError, match="no files to hash"):
        write_sums(root / "nothing")


def test_the_hash_follows_weights_and_configs_but_not_words(root: Path) -> None:
    model = make_model(root / "tiny")
    names = ("unet/config.json", "unet/model.safetensors")
    listing = "".join(f"{hashlib.sha256((model / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    before = sha256(model)
    assert before == hashlib.sha256(listing.encode()).hexdigest()[:12]
    make_copy = make_model(root / "other", license="MIT")
    (make_copy / "README.md").write_text("words")
    write_sums(make_copy)
    assert sha256(make_copy) == before
    assert sha256(change(make_copy)) != before
    (model / "unet" / "model.safetensors").unlink()
    write_sums(model)
    with pytest.raises(CheckpointError, match="no weight file"):
        sha256(model)


def test_models_are_found_by_name_and_by_folder(root: Path, tmp_path: Path) -> None:
    named, elsewhere = make_model(root / "cascade-tiny"), make_model(tmp_path / "mine")
    assert find_model("cascade-tiny") == named
    assert find_model(elsewhere) == elsewhere
    make_model(tmp_path / "data" / "echosynth" / "checkpoints" / "added")
    assert find_model("added").parent.parent.parent == tmp_path / "data"
    with pytest.raises(CheckpointError, match=r"'cascade-tny'; did you mean 'cascade-tiny'\? Looked in .*added"):
        find_model("cascade-tny")
    with pytest.raises(CheckpointError, match="no model ''"):
        find_model("")


def test_a_root_that_is_not_there_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHOSYNTH_CHECKPOINTS", str(tmp_path / "typo"))
    with pytest.raises(CheckpointError, match="ECHOSYNTH_CHECKPOINTS"):
        list_models()


def test_cards_are_listed_and_checked(root: Path) -> None:
    make_model(root / "b", kind="cascade")
    make_model(root / "a")
    entries = [entry for entry in list_models() if entry.folder.parent == root]
    assert [(entry.name, entry.kind, entry.class_name) for entry in entries] == [
        ("a", "regressor", "echosynth.a.B"),
        ("b", "cascade", "echosynth.a.B"),
    ]
    assert entries[0].size == sum(path.stat().st_size for path in (root / "a").rglob("*") if path.is_file())
    assert entries[0].license == "Apache-2.0"
    for card, words in [("[]", "not a JSON object"), ("{", "not a JSON"), ('{"name": "a"}', "'kind' is missing")]:
        (root / "a" / "card.json").write_text(card)
        with pytest.raises(CheckpointError, match=words):
            list_models()
    (root / "a" / "card.json").write_text('{"name": "a", "kind": "toy", "class": "x", "license": "y"}')
    with pytest.raises(CheckpointError, match="cascade, regressor"):
        list_models()


def change(model: Path) -> Path:
    (model / "unet" / "config.json").write_text('{"widths": [8]}')
    write_sums(model)
    return model


def test_a_model_is_read_once_and_a_reference_never_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(root / "tiny")
    read: list[str] = []
    digest = hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        read.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    ref = resolve("tiny")
    assert sorted(read) == ["card.json", "config.json", "model.safetensors"]
    assert resolve(ref, "regressor") is ref
    assert resolve_all([ref, ref]) == [ref]
    assert len(read) == 3
    assert (ref.name, ref.folder, ref.kind, ref.sha256) == ("tiny", model, "regressor", sha256(model))


def test_a_folder_may_lack_the_list_but_a_named_model_may_not(root: Path, tmp_path: Path) -> None:
    saved, named = make_model(tmp_path / "saved"), make_model(root / "named")
    for folder in (saved, named):
        (folder / "SHA256SUMS").unlink()
    assert resolve(saved).name == "saved"
    with pytest.raises(CheckpointError, match="no SHA256SUMS"):
        resolve("named")
    damaged = make_model(tmp_path / "damaged")
    (damaged / "unet" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged or was changed"):
        resolve(damaged)


def test_what_training_leaves_is_named_after_the_folder_above(tmp_path: Path) -> None:
    for part in ("model", "pipeline"):
        assert resolve(make_model(tmp_path / "mine" / part)).name == "mine"


def test_the_kind_is_the_cards_or_read_off_the_files(root: Path, tmp_path: Path) -> None:
    make_model(root / "guide", kind="encoder")
    with pytest.raises(CheckpointError, match=r"guide holds an encoder, .*; a regressor is needed here"):
        resolve("guide", "regressor")
    saved = make_model(tmp_path / "saved")
    (saved / "card.json").unlink()
    (saved / "SHA256SUMS").unlink()
    assert resolve(saved).kind == "regressor"
    (saved / "model_index.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"saved holds a cascade, .*; a regressor is needed here"):
        resolve(saved, "regressor")


def test_different_weights_never_share_a_name_and_the_same_weights_are_one_model(root: Path, tmp_path: Path) -> None:
    make_model(root / "net")
    same = make_model(tmp_path / "copy" / "net")
    other = change(make_model(tmp_path / "other" / "net"))
    third = make_model(root / "third")
    (third / "unet" / "model.safetensors").write_bytes(b"third")
    write_sums(third)
    refs = resolve_all([other, "net", same, "third", "net"])
    assert [ref.folder for ref in refs] == [other, root / "net", third]
    assert [ref.name for ref in refs] == [f"net@{sha256(other)}", "net", "third"]
    alone = resolve_all([other])
    assert [ref.name for ref in alone] == ["net"]
    two = resolve_all([same, other])
    assert [ref.name for ref in two] == [f"net@{sha256(same)}", f"net@{sha256(other)}"]


def test_a_judge_with_the_gates_weights_is_refused_whatever_it_is_called(root: Path, tmp_path: Path) -> None:
    gate, twin = make_model(root / "gate"), make_model(tmp_path / "judge")
    with pytest.raises(ConfigError, match="'gate' and 'judge' are the same weights"):
        refuse_judge_as_gate(resolve(gate), resolve(twin))
    refuse_judge_as_gate(resolve(gate), resolve(change(twin)))

"""`echosynth generate` on tiny models: files, JSON, seeds, continuation."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from echosynth.augmentation.manifest import Manifest, ManifestEntry
from echosynth.data.clip_files import load_clip_file
from echosynth.video.readers import load_video
from tests.command_line import Generated, Run

pytestmark = pytest.mark.heavy


def pixels(run: Path, name: str) -> np.ndarray:
    return load_video(run / "clips" / f"{name}.avi").pixels


def test_one_object_on_stdout_and_every_file(generated: Generated) -> None:
    out, done = generated.out, generated.done
    assert json.loads(done.out)["run"] == str(out)
    keys = {"file", "source", "target_ef", "gate_ef", "judge_ef", "accepted", "attempts", "seed", "seconds"}
    assert [set(clip) >= keys for clip in done.json["clips"]] == [True, True]
    for name in ("patient_ef30_s0", "patient_ef60_s0"):
        assert pixels(out, name).shape == (16, 112, 112)
        assert all((out / "clips" / f"{name}.{kind}").is_file() for kind in ("avi", "mp4", "gif"))
    assert all((out / name).is_file() for name in ("run.json", "manifest.jsonl", "contact_sheet.png", "index.html"))
    assert "http" not in (out / "index.html").read_text().replace("http-equiv", "")


def test_same_seed_same_clip_other_seed_another(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        words = ("generate", phantom_video, "--ef", 40, "--out", tmp_path / name, "--seed", seed, "--max-attempts", 1)
        assert echosynth(*words).code == 0
    a, b, c = (pixels(tmp_path / name, "patient_ef40_s0") for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_the_same_command_again_does_nothing_another_is_refused(
    echosynth: Run, generated: Generated, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(generated.out, out)
    words = (*generated.words, "--out", out)
    clip = out / "clips" / "patient_ef60_s0.avi"
    before, lines = clip.stat().st_mtime_ns, (out / "manifest.jsonl").read_bytes()
    assert echosynth(*words, "--json").out == generated.done.out.replace(str(generated.out), str(out))
    assert clip.stat().st_mtime_ns == before
    assert (out / "manifest.jsonl").read_bytes() == lines
    for change in (("--seed", 3), ("--ef", 41), ("--frame", 2), ("--steps", 1)):
        other = echosynth(*words, *change)
        assert other.code == 2
        assert other.err.count("\n") == 1
        assert f"another configuration: {change[0][2:]} was" in other.err


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_continues(
    echosynth: Run, generated: Generated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = generated.words
    append = Manifest.append

    def append_then_interrupt(manifest: Manifest, entry: ManifestEntry) -> None:
        append(manifest, entry)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "append", append_then_interrupt)
        stopped = echosynth(*words, "--out", tmp_path / "run")
    assert stopped.code == 130
    assert stopped.err.strip().count("\n") == 0
    assert "interrupted" in stopped.err
    assert echosynth(*words, "--out", tmp_path / "run").code == 0
    whole, run = (Manifest(folder / "manifest.jsonl").entries for folder in (generated.out, tmp_path / "run"))
    assert [(e.sample_id, e.attempt, e.seed, e.gate_ef) for e in run] == [
        (e.sample_id, e.attempt, e.seed, e.gate_ef) for e in whole
    ]
    for name in ("patient_ef30_s0", "patient_ef60_s0"):
        assert np.array_equal(pixels(tmp_path / "run", name), pixels(generated.out, name))


def test_a_folder_gives_all_its_usable_files(
    echosynth: Run, phantom_video: Path, noise_picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("one.avi", "two.avi"):
        (folder / name).write_bytes(phantom_video.read_bytes())
    (folder / "noise.png").write_bytes(noise_picture.read_bytes())
    words = ("generate", folder, "--ef", 40, "--max-attempts", 1, "--json")
    done = echosynth(*words, "--out", tmp_path / "all")
    assert [clip["source"] for clip in done.json["clips"]] == [str(folder / "one.avi"), str(folder / "two.avi")]
    assert "passed over" in done.err
    assert len(echosynth(*words, "--out", tmp_path / "some", "--limit", 1).json["clips"]) == 1


def test_timing_is_refused_where_it_is_not_supported(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    words = ("generate", phantom_video, "--ef", 40, "--out", tmp_path / "run", "--max-attempts", 1)
    refused = echosynth(*words, "--heart-rate", 70)
    assert refused.code == 2
    assert "does not support" in refused.err
    assert "beats per minute" in echosynth(*words, "--heart-rate", 7).err
    refused = echosynth(*words, "--phase", "es")  # the folder is free: what was refused has made nothing
    assert refused.code == 2
    assert "does not support the phase; leave --phase out" in refused.err
    assert "phase must be 0 to 1 of a beat" in echosynth(*words, "--phase", 1.5).err
    assert "must be ed, es or a share of a beat, got 'mid'" in echosynth(*words, "--phase", "mid").err


def test_length_rate_and_size_are_what_was_asked_for(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    words = ("generate", phantom_video, "--ef", 40, "--max-attempts", 1)
    out = tmp_path / "run"
    assert echosynth(*words, "--out", out, "--seconds", 1.25, "--fps", 50, "--size", 128).code == 0
    made = load_video(out / "clips" / "patient_ef40_s0.avi")
    assert made.fps == 50
    assert made.pixels.shape == (61, 128, 128)  # 40 frames at 32 Hz last 39 / 32 s
    for wrong in (
        ("--seconds", 0),
        ("--seconds", 1e9),
        ("--fps", 1),
        ("--size", 8),
        ("--keep", -1),
        ("--quality", "so"),
    ):
        refused = echosynth(*words, "--out", tmp_path / "no", *wrong)
        assert refused.code == 2
        assert refused.err.splitlines()[-1].count("must be") + refused.err.count("must last") == 1
        assert not (tmp_path / "no").exists()


def test_a_clip_is_continued(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    words = ("generate", phantom_video, "--ef", 40, "--max-attempts", 1, "--frame", 2)
    assert echosynth(*words, "--keep", 0.25, "--seconds", 1, "--out", tmp_path / "run").code == 0
    made, source = pixels(tmp_path / "run", "patient_ef40_s0"), load_clip_file(phantom_video).pixels
    assert np.abs(made[:9].astype(int) - source[2:11]).max() <= 1
    assert np.abs(made[9:14].astype(int) - source[11:]).mean() > 1
    assert (
        "nothing is left to generate"
        in echosynth(*words, "--keep", 0.4, "--seconds", 0.25, "--out", tmp_path / "b").err
    )
    assert "goes on for 0.41 s after frame 2" in echosynth(*words, "--keep", 0.5, "--out", tmp_path / "c").err


def test_fictional_patients_need_no_source(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    words = ("generate", "--fictional", 2, "--ef", 30, 60, "--max-attempts", 1, "--out", tmp_path / "run")
    done = echosynth(*words, "--json")
    assert done.code == 0, done.err
    assert [clip["source"] for clip in done.json["clips"]] == ["fictional patient 1"] * 2 + ["fictional patient 2"] * 2
    one, two = (pixels(tmp_path / "run", f"fictional_{k}_ef30_s0") for k in (1, 2))
    assert not np.array_equal(one, two)
    assert echosynth(*words, "--json").json == done.json
    poor = echosynth(*words[:-1], tmp_path / "poor", "--quality", "poor", "--json")
    assert poor.json["clips"][0]["source"] == "fictional patient 1 (quality 0.15)"
    refused = echosynth(*words[:-1], tmp_path / "refused", "--heart-rate", 60)
    assert "does not support the heart rate; leave --heart-rate out" in refused.err
    moment = echosynth(*words[:-1], tmp_path / "moment", "--phase", "ed")
    assert (moment.code, (tmp_path / "moment").exists()) == (2, False)
    assert "frames are drawn of any moment of the beat: leave the phase out" in moment.err
    for wrong in (("--keep", 1), ("--frame", 1), (phantom_video,)):
        assert echosynth(*words, *wrong).code == 2
    assert "either a source or --fictional" in echosynth("generate", "--ef", 30, "--out", tmp_path / "no").err


def test_volumes_that_are_not_those_of_the_ef_are_refused(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    words = ("generate", phantom_video, "--ef", 30, "--out", tmp_path / "run", "--edv", 100)
    refused = echosynth(*words, "--esv", 40)
    assert "edv 100 and esv 40 ml make an EF of 60.0 per cent, but 30 was asked for" in refused.err
    assert "does not support the end-diastolic volume; leave --edv out" in echosynth(*words).err


@pytest.mark.slow
def test_demo_makes_its_page(echosynth: Run, tmp_path: Path) -> None:
    done = echosynth("demo", "--out", tmp_path / "demo", "--max-attempts", 1, "--json")
    assert done.code == 0, done.err
    assert len(done.json["clips"]) == 9
    assert "true counterfactual" in (tmp_path / "demo" / "index.html").read_text()

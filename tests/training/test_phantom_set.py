"""Rendered sets: where they lie depends on what they show, and each patient has one of the families asked for."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from echosynth.diffusion.conditions import CONDITIONS
from echosynth.errors import DatasetError
from echosynth.phantom.render import stack_fields
from echosynth.phantom.scanner import sample_view, view_quality
from echosynth.training.clips.phantom_set import PhantomSet, sample_facts
from echosynth.training.clips.phantom_set_config import PhantomSetConfig
from tests.fake_set import write_fake_set


def test_a_set_keeps_its_folder_while_it_shows_the_same() -> None:
    plain = PhantomSetConfig(num_frames=32, fps=16.0)
    assert plain.folder().name == "4e146a011e5b"  # sets that users have rendered stay good
    assert plain.model_copy(update={"patients": 9, "workers": 1}).folder() == plain.folder()
    assert plain.model_copy(update={"efs": (10.0, 85.0), "graded": False}).folder() == plain.folder()
    calm = PhantomSetConfig(num_frames=32, fps=16.0, bulk_motion=False)  # as it was written once
    assert calm.folder() == plain.model_copy(update={"bulk_motion": 0.0}).folder()
    assert calm.folder().name == "239424967c37"
    for change in (
        {"views": "echonet"},
        {"views": ("echonet", "camus")},
        {"first_seed": 5},
        {"efs": (7.0, 88.0)},
        {"graded": True},
        {"bulk_motion": 0.0},
        {"bulk_motion": 0.75},
        {"remodelled": 0.5},
    ):
        assert plain.model_copy(update=change).folder() != plain.folder()


def test_remodelled_patients_have_the_ventricle_of_their_clips_ef() -> None:
    plain, grown = (sample_facts(range(60), PhantomSetConfig(remodelled=share)) for share in (0.0, 1.0))
    expected = np.exp(-2 * (plain["targets"][:, 0] - 55.7) / 100)
    inside = (plain["patient.edv"] * expected > 20) & (plain["patient.edv"] * expected < 550)
    np.testing.assert_allclose((grown["patient.edv"] / plain["patient.edv"])[inside], expected[inside], rtol=1e-9)
    some = sample_facts(range(200), PhantomSetConfig(remodelled=0.5))["patient.edv"]
    assert 0.35 < float((some[:60] == plain["patient.edv"]).mean()) < 0.65


def test_a_share_of_patients_moves_without_contracting() -> None:
    facts = {share: sample_facts(range(200), PhantomSetConfig(bulk_motion=share)) for share in (0.0, 0.75, 1.0)}
    still, moving = ({k for k in range(200) if _same(facts[0.75], facts[share], k)} for share in (0.0, 1.0))
    assert still | moving == set(range(200))
    assert not still & moving
    assert 130 <= len(moving) <= 170


def _same(facts: dict[str, np.ndarray], others: dict[str, np.ndarray], patient: int) -> bool:
    return all(np.array_equal(facts[name][patient], others[name][patient]) for name in facts)


def test_a_set_has_the_efs_that_were_asked_for() -> None:
    facts = sample_facts(range(40), PhantomSetConfig(efs=(7.0, 88.0)))["targets"]
    assert facts.shape == (40, 4)
    assert 7 <= facts.min() < 10
    assert 85 < facts.max() <= 88
    with pytest.raises(ValidationError, match="88"):
        PhantomSetConfig(efs=(7.0, 89.0))


def test_what_is_known_of_patients_hangs_together(tmp_path: Path) -> None:
    known = PhantomSet.open(write_fake_set(tmp_path)).conditions()
    assert set(known) == set(CONDITIONS)
    torch.testing.assert_close(100 * (1 - known["esv"] / known["edv"]), known["ef"], atol=1e-3, rtol=0)
    for name, kind in CONDITIONS.items():
        if name != "heart_rate":  # these are no hearts
            assert bool(((known[name] >= kind.low) & (known[name] <= kind.high)).all()), name


@pytest.mark.parametrize("name", ["clips.npy", "frames.npy", "curve.npy", "facts.npz"])
@pytest.mark.parametrize("size", [None, 0, 700])
def test_a_damaged_set_is_one_line(tmp_path: Path, name: str, size: int | None) -> None:
    config = write_fake_set(tmp_path)
    path = config.folder() / "00000" / name
    data = path.read_bytes()
    path.unlink()
    if size is not None:
        path.write_bytes(data[:size])
    with pytest.raises(DatasetError, match=rf"{name} is missing or damaged"):
        PhantomSet.open(config)


def test_a_graded_set_has_pictures_of_every_quality() -> None:
    def qualities(**kind: bool) -> torch.Tensor:
        config = PhantomSetConfig(**kind)
        return view_quality(stack_fields([config.view(seed, 8.5) for seed in range(400)])).sort().values

    single, graded = qualities(), qualities(graded=True)
    assert float((single[360] - single[40]).abs()) < 0.3, "of faults drawn one by one a view has some and not others"
    assert float((graded - torch.linspace(0.04, 0.96, 400)).abs().max()) < 0.08, "uniform"


def test_a_view_has_the_quality_that_it_was_drawn_with() -> None:
    def mean(quality: str | float) -> float:
        return float(view_quality(stack_fields([sample_view(seed, quality=quality) for seed in range(200)])).mean())

    assert mean(0.5) == pytest.approx(0.5, abs=0.02)
    assert mean(0.8) == pytest.approx(0.8, abs=0.02)
    assert [mean(level) for level in ("poor", "medium", "good", "excellent")] == pytest.approx(
        [0.15, 0.425, 0.7, 0.9], abs=0.02
    )


def test_several_families_share_the_patients() -> None:
    config = PhantomSetConfig(views=("echonet", "point-of-care"))
    counts = Counter(config.family(seed) for seed in range(400))
    assert set(counts) == {"echonet", "point-of-care"}
    assert min(counts.values()) > 150
    assert config.family(7) == PhantomSetConfig(views=("echonet", "point-of-care"), patients=3).family(7)
    assert PhantomSetConfig(views="camus").family(7) == "camus"
    with pytest.raises(ValidationError):
        PhantomSetConfig(views=("echonet", "handheld"))  # type: ignore[arg-type]

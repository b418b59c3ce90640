"""Rendered sets: where they lie depends on what they show, and each patient has one of the families asked for."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from echosynth.diffusion.conditions import CONDITIONS
from echosynth.phantom.render import stack_fields
from echosynth.phantom.scanner import sample_view, view_quality
from echosynth.training.phantom_set import PhantomSet, PhantomSetConfig, sample_facts
from tests.fake_set import write_fake_set


def test_a_set_keeps_its_folder_while_it_shows_the_same() -> None:
    plain = PhantomSetConfig(num_frames=32, fps=16.0)
    assert plain.folder().name == "f7473379871b"  # sets that users have rendered stay good
    assert plain.model_copy(update={"patients": 9, "workers": 1}).folder() == plain.folder()
    assert plain.model_copy(update={"efs": (10.0, 85.0)}).folder() == plain.folder()
    for change in ({"views": "echonet"}, {"views": ("echonet", "camus")}, {"first_seed": 5}, {"efs": (7.0, 88.0)}):
        assert plain.model_copy(update=change).folder() != plain.folder()


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


def test_quality_is_the_share_of_views_that_are_worse() -> None:
    def qualities(**drawn: str) -> torch.Tensor:
        return view_quality(stack_fields([sample_view(seed, **drawn) for seed in range(300)]))

    found = qualities().sort().values
    assert float((found - torch.linspace(0, 1, 300)).abs().max()) < 0.12, "uniform"
    levels = [qualities(quality=quality).mean() for quality in ("poor", "medium", "good", "excellent")]
    assert levels == sorted(levels)
    assert levels[0] < 0.05
    assert levels[-1] > 0.95


def test_several_families_share_the_patients() -> None:
    config = PhantomSetConfig(views=("echonet", "point-of-care"))
    counts = Counter(config.family(seed) for seed in range(400))
    assert set(counts) == {"echonet", "point-of-care"}
    assert min(counts.values()) > 150
    assert config.family(7) == PhantomSetConfig(views=("echonet", "point-of-care"), patients=3).family(7)
    assert PhantomSetConfig(views="camus").family(7) == "camus"
    with pytest.raises(ValidationError):
        PhantomSetConfig(views=("echonet", "handheld"))  # type: ignore[arg-type]

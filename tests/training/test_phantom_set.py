"""Rendered sets: where they lie depends on what they show, and each patient has one of the families asked for."""

from collections import Counter

import pytest
from pydantic import ValidationError

from echosynth.training.phantom_set import PhantomSetConfig


def test_a_set_keeps_its_folder_while_it_shows_the_same() -> None:
    plain = PhantomSetConfig(num_frames=32, fps=16.0)
    assert plain.folder().name == "f7473379871b"  # sets that users have rendered stay good
    assert plain.model_copy(update={"patients": 9, "workers": 1}).folder() == plain.folder()
    for change in ({"views": "echonet"}, {"views": ("echonet", "camus")}, {"first_seed": 5}):
        assert plain.model_copy(update=change).folder() != plain.folder()


def test_several_families_share_the_patients() -> None:
    config = PhantomSetConfig(views=("echonet", "point-of-care"))
    counts = Counter(config.family(seed) for seed in range(400))
    assert set(counts) == {"echonet", "point-of-care"}
    assert min(counts.values()) > 150
    assert config.family(7) == PhantomSetConfig(views=("echonet", "point-of-care"), patients=3).family(7)
    assert PhantomSetConfig(views="camus").family(7) == "camus"
    with pytest.raises(ValidationError):
        PhantomSetConfig(views=("echonet", "handheld"))  # type: ignore[arg-type]

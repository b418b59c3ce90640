"""Random scanners: each effect does what it says, and one draw holds for all pictures of a patient."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.seeding import make_generator
from echosynth.training.clips.appearance import AppearanceConfig, randomise_appearance

NOTHING = AppearanceConfig.model_validate(dict.fromkeys(AppearanceConfig.model_fields.keys() - {"grey_map"}, 0.0))
STILL = AppearanceConfig(grain=0, clutter=0, flicker=0, noise=0)


def only(**effect: float) -> AppearanceConfig:
    return NOTHING.model_copy(update=effect)


def scene(count: int = 12, frames: int = 4, size: int = 32) -> torch.Tensor:
    """A ramp of light inside of a disc, the same in all frames."""
    axis = (torch.arange(size) + 0.5) / size - 0.5
    inside = (axis[None] ** 2 + axis[:, None] ** 2) < 0.2
    return ((axis[None] + 0.6) * 0.8 * inside).expand(count, frames, size, size).clone()


def test_without_effects_nothing_changes() -> None:
    torch.testing.assert_close(randomise_appearance(scene(), NOTHING, make_generator(0)), scene())


@given(seed=st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_light_stays_light(seed: int) -> None:
    shown = randomise_appearance(scene(4), AppearanceConfig(), make_generator(seed))
    assert shown.shape == (4, 4, 32, 32)
    assert bool(shown.isfinite().all())
    assert 0 <= float(shown.min()) <= float(shown.max()) <= 1


def test_a_machine_has_one_setting_for_all_pictures_of_a_patient() -> None:
    shown = randomise_appearance(scene(), STILL, make_generator(3))
    torch.testing.assert_close(shown, shown[:, :1].expand_as(shown), atol=1e-5, rtol=0)
    assert float((shown[0] - shown[1]).abs().mean()) > 0.01


def test_the_same_generator_gives_the_same_scanner() -> None:
    one, two, other = (randomise_appearance(scene(), AppearanceConfig(), make_generator(s)) for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_bent_greys_keep_their_order_and_both_ends() -> None:
    ramp = torch.linspace(0, 1, 64).expand(20, 1, 64, 64)
    shown = randomise_appearance(ramp, only(exponent=0.8), make_generator(1))
    assert (shown.diff(dim=-1) >= 0).all()
    torch.testing.assert_close(shown[..., -1], torch.ones(20, 1, 64))
    exponent = (shown[..., 32].log() / ramp[..., 32].log()).flatten().log()
    assert -0.8 <= float(exponent.min()) < -0.3
    assert 0.3 < float(exponent.max()) <= 0.8


def test_speckle_is_still_new_or_between() -> None:
    light = torch.full((120, 8, 24, 24), 0.5)
    shown = randomise_appearance(light, only(grain=0.4), make_generator(2)) - 0.5
    shown = shown[shown.std(dim=(1, 2, 3)) > 0.02]
    one, next_one = shown[:, 0].flatten(1), shown[:, 1].flatten(1)
    alike = np.array([float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in zip(one, next_one, strict=True)])
    assert alike.min() < 0.25
    assert alike.max() > 0.75
    assert 0 < float(shown.std(dim=(1, 2, 3)).max()) < 0.5


@pytest.mark.parametrize("effect", [{"haze": 0.45}, {"clutter": 0.1}])
def test_veils_stay_inside_of_the_sector(effect: dict[str, float]) -> None:
    dark = scene().amax(1, keepdim=True).expand(-1, 4, -1, -1) <= 0.03
    shown = randomise_appearance(scene(), only(**effect), make_generator(4))
    assert float(shown[dark].abs().max()) <= 0.03
    assert float((shown - scene()).abs().max()) > 0.05


def test_black_takes_the_darkest_greys_and_leaves_white() -> None:
    ramp = torch.linspace(0, 1, 101).expand(30, 1, 101, 101)
    shown = randomise_appearance(ramp, only(black=0.08), make_generator(5))
    torch.testing.assert_close(shown[..., -1], torch.ones(30, 1, 101))
    hidden = (shown == 0).sum(-1).flatten() - 1
    assert int(hidden.max()) in range(5, 9)


def test_brightness_flickers_over_time_and_nothing_else() -> None:
    shown = randomise_appearance(scene(20, 16), only(flicker=0.1), make_generator(6))
    middle = shown[:, :, 12:20, 12:20].mean(dim=(2, 3))
    relative = middle / middle.mean(1, keepdim=True)
    assert 0.01 < float(relative.std(1).max()) < 0.25
    ratio = shown[:, :, 16, 20] / shown[:, :, 16, 12]
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-3, rtol=0)


def test_shares_beyond_all_are_refused() -> None:
    with pytest.raises(ValueError, match="haze"):
        AppearanceConfig(haze=1.5)


def test_a_grey_map_shows_the_light_that_it_gives() -> None:
    ramp = torch.linspace(0, 1, 65).expand(2, 1, 65, 65)
    shown = randomise_appearance(ramp, NOTHING.model_copy(update={"grey_map": (0.0, 0.1, 1.0)}), make_generator(0))
    torch.testing.assert_close(shown[0, 0, 0, 32], torch.tensor(0.1))
    torch.testing.assert_close(shown[0, 0, 0, 16], torch.tensor(0.05))
    torch.testing.assert_close(shown[0, 0, 0, 48], torch.tensor(0.55))


def test_some_clips_hardly_change_and_some_change_in_everything() -> None:
    light = scene(200)
    away = (
        (randomise_appearance(light, AppearanceConfig(shadow=0), make_generator(7)) - light).abs().mean(dim=(1, 2, 3))
    )
    assert float(away.quantile(0.1)) < 0.25 * float(away.quantile(0.9))

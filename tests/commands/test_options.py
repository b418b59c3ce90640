"""What a config says of its fields, the command line says of its options."""

import pytest

from echosynth.commands.options import config_from_options, errors_name_options
from echosynth.config import VerbConfig
from echosynth.errors import ConfigError


class Config(VerbConfig):
    max_attempts: int = 1


def test_a_wrong_value_names_the_option() -> None:
    assert config_from_options(Config, max_attempts=3).max_attempts == 3
    with pytest.raises(ConfigError, match=r"^--max-attempts: Input should be a valid integer"):
        config_from_options(Config, max_attempts="x")


@pytest.mark.parametrize(
    ("key", "message", "shown"),
    [
        ("max_attempts", "max_attempts must be at least 1", "--max-attempts must be at least 1"),
        ("phase", "no use for the phase; leave phase out", "no use for the phase; leave --phase out"),
        ("frame", "frame_1 has no frame 9; give frame 0", "frame_1 has no frame 9; give --frame 0"),
        ("heart_rate", "heart rate must be above 30", "heart rate must be above 30"),
        ("", "the volumes are not those of the EF", "the volumes are not those of the EF"),
    ],
)
def test_the_field_is_named_once(key: str, message: str, shown: str) -> None:
    with pytest.raises(ConfigError) as caught, errors_name_options():
        raise ConfigError(message, key)
    assert str(caught.value) == shown

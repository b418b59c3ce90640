"""Mistakes a user can make. `cli.py` prints each as one line and exits with code 2.

A message says what was looked for, where, and what to do next. Anything that is not an `EchosynthError` is a bug of
ours and keeps its traceback (exit code 1).
"""


class EchosynthError(Exception):
    """Base class of every error that a user can cause and can mend."""


class SourceError(EchosynthError):
    """An input file or folder is missing, unreadable, or not an echocardiogram that can be used."""


class CorruptVideoError(SourceError):
    """A video, image or DICOM file cannot be decoded. Every decoder fault is mapped to this class."""


class SectorNotFoundError(SourceError):
    """No ultrasound sector was found in the picture."""


class DatasetError(EchosynthError):
    """A dataset folder is missing, incomplete or malformed."""


class CheckpointError(EchosynthError):
    """Weights are missing, unknown, damaged, or their hash is not the published one."""


class ConfigError(EchosynthError):
    """A configuration file or an argument does not say something that can be run.

    Attributes:
        key: the field of a config that is wrong, "" where it is no single one.
    """

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class OutputError(EchosynthError):
    """The output folder cannot be used: it holds another run, or the disk refused to write."""


class MissingDependencyError(EchosynthError):
    """An optional package is needed for what was asked."""

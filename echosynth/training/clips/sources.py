"""Where training clips come from: phantoms, a dataset on disk, both together, or several datasets."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from echosynth.progress import SILENT, Progress
from echosynth.training.clips.dataset_source import DatasetSource, DatasetSourceConfig
from echosynth.training.clips.mixture import MixtureSource, MixtureSourceConfig
from echosynth.training.clips.phantom_source import PhantomSource, PhantomSourceConfig, open_phantoms
from echosynth.training.clips.weighted import WeightedSource, WeightedSourceConfig, list_as_weighted

SourceConfig = PhantomSourceConfig | DatasetSourceConfig | MixtureSourceConfig | WeightedSourceConfig
SourceField = Annotated[SourceConfig, Field(discriminator="source"), BeforeValidator(list_as_weighted)]
"""The type of a config's field: told apart by the key `source`, a list is several datasets."""
Source = PhantomSource | DatasetSource | MixtureSource | WeightedSource


def open_source(config: SourceConfig, progress: Progress = SILENT) -> Source:
    """Open the source; a phantom set is rendered, a dataset decoded, if that was not done yet."""
    if isinstance(config, PhantomSourceConfig):
        return open_phantoms(config, progress)
    if isinstance(config, MixtureSourceConfig):
        return MixtureSource(config, progress)
    if isinstance(config, WeightedSourceConfig):
        return WeightedSource(config, progress)
    return DatasetSource(config, progress)

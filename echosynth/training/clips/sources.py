"""Where training clips come from: phantoms, a dataset on disk, or both together."""

from echosynth.progress import SILENT, Progress
from echosynth.training.clips.dataset_source import DatasetSource, DatasetSourceConfig
from echosynth.training.clips.mixture import MixtureSource, MixtureSourceConfig
from echosynth.training.clips.phantom_source import PhantomSource, PhantomSourceConfig, open_phantoms

SourceConfig = PhantomSourceConfig | DatasetSourceConfig | MixtureSourceConfig
Source = PhantomSource | DatasetSource | MixtureSource


def open_source(config: SourceConfig, progress: Progress = SILENT) -> Source:
    """Open the source; a phantom set is rendered, a dataset decoded, if that was not done yet."""
    if isinstance(config, PhantomSourceConfig):
        return open_phantoms(config, progress)
    if isinstance(config, MixtureSourceConfig):
        return MixtureSource(config, progress)
    return DatasetSource(config, progress)

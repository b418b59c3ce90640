"""Where a cascade is loaded from, and the file that lets diffusers' own loader open its folder.

    EchoCascadePipeline.from_pretrained(NAME or FOLDER)
    DiffusionPipeline.from_pretrained(FOLDER, custom_pipeline=FOLDER, trust_remote_code=True)

The second line works wherever the library is installed: `pipeline.py` in the folder names the class, and diffusers runs
that file, which is why it asks to be trusted.
"""

import re
from pathlib import Path
from typing import Any, Self

from diffusers import DiffusionPipeline

from echosynth.errors import CheckpointError
from echosynth.storage.atomic import write_text
from echosynth.storage.model_files import first_line, read_json_object
from echosynth.storage.model_ref import resolve
from echosynth.storage.model_store import find_model

PIPELINE_FILE = "pipeline.py"
PIPELINE_CODE = '''"""For DiffusionPipeline.from_pretrained(FOLDER, custom_pipeline=FOLDER, trust_remote_code=True)."""

from echosynth.diffusion.pipeline import EchoCascadePipeline

__all__ = ["EchoCascadePipeline"]
'''
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


class FolderPipeline(DiffusionPipeline):
    """A pipeline that is found by name, and whose folder diffusers' own loader opens too."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Load a cascade: by the name of a bundled or added model, from a saved folder, or from the Hub ("user/repo").

        The network is asked for a repository of the Hub alone, never for a name or a folder.

        Args:
            pretrained_model_name_or_path: name, folder or repository.
            kwargs: as for `DiffusionPipeline.from_pretrained`: `dtype`, components to replace or leave out, ...

        Raises:
            CheckpointError: there is no such model, or the Hub does not give it.
            ValueError: the components do not fit together.
        """
        folder = locate_cascade(pretrained_model_name_or_path)
        if folder is not None:
            for config in sorted(folder.glob("*/*config.json")):
                read_json_object(config)  # diffusers takes a text for the name of a repository, and asks the Hub for it
            return super().from_pretrained(folder, **kwargs | {"local_files_only": True})
        try:
            return super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        except OSError as error:
            raise CheckpointError(
                f"'{pretrained_model_name_or_path}' is no known model and no folder here, and the Hugging Face Hub "
                f"does not give it: {first_line(error)}"
            ) from error

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """Save as diffusers does, and beside it the file that lets `DiffusionPipeline` open the folder."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / PIPELINE_FILE, PIPELINE_CODE)
        super().save_pretrained(save_directory, *args, **kwargs)


def locate_cascade(name_or_dir: str | Path) -> Path | None:
    """Return the folder of a cascade, or None for a repository of the Hugging Face Hub ("user/repo").

    A name is looked up among the known models, whose bytes are checked, then as a folder here. A path whose first part
    is a folder here is never taken for a repository.

    Raises:
        CheckpointError: it is none of them, or a known model's bytes are not the published ones.
    """
    try:
        folder = find_model(name_or_dir)
    except CheckpointError:
        if isinstance(name_or_dir, str) and _names_repository(name_or_dir):
            return None
        raise
    found_by_name = folder != Path(name_or_dir).expanduser()
    return resolve(str(name_or_dir), "cascade").folder if found_by_name else folder


def _names_repository(name: str) -> bool:
    return _REPOSITORY.fullmatch(name) is not None and not Path(name.partition("/")[0]).is_dir()

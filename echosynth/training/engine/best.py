"""The averaged weights with which a network's validation loss was least: early stopping, decided afterwards."""

import json
import logging
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from echosynth.errors import CheckpointError
from echosynth.storage.atomic import replace_folder
from echosynth.training.engine.sharding import gather, shard_like

logger = logging.getLogger(__name__)


class BestWeights:
    """The best weights of one training so far, in a folder of their own.

    Args:
        folder: theirs.
        start: steps that the training has done; weights of a later step are of a run that was not saved after them.

    Raises:
        CheckpointError: what is there cannot be read.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.folder = folder
        self.step, self.loss = self._read(start)

    def _read(self, start: int) -> tuple[int, float]:
        try:
            found = json.loads((self.folder / "best.json").read_text())
            step, loss = int(found["step"]), float(found["loss"])
        except FileNotFoundError:
            return 0, float("inf")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.folder} cannot be read ({error}); remove it") from error
        return (step, loss) if step <= start else (0, float("inf"))

    def offer(self, model: nn.Module, step: int, loss: float, write: bool = True) -> None:
        """Keep a network's weights if no earlier ones had less loss; sharded weights need every process to ask.

        Raises:
            OutputError: the system refused.
        """
        if loss >= self.loss:
            return
        self.step, self.loss = step, loss
        weights = gather(dict(model.state_dict()))
        if write:
            with replace_folder(self.folder) as part:
                save_file({name: value.contiguous() for name, value in weights.items()}, part / "model.safetensors")
                (part / "best.json").write_text(json.dumps({"step": step, "loss": loss}))

    def give_back(self, model: nn.Module) -> None:
        """Give a network the best weights; nothing if none were kept.

        Raises:
            CheckpointError: they cannot be read.
        """
        if not self.step:
            return
        try:
            found = load_file(self.folder / "model.safetensors")
            own = model.state_dict()
            model.load_state_dict({name: shard_like(value, own[name]) for name, value in found.items()})
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise CheckpointError(f"{self.folder} cannot be read ({error}); remove it") from error
        logger.info("%s: the weights of step %d, validation %.5g", self.folder.parent.name, self.step, self.loss)

"""The noise of each stage, by the stage's name, so that one stage's sampler leaves the others' noise as it is.

    the first stage of a chain     draws from the caller's generator itself, and moves it on
    every other stage              draws from a generator of its own, seeded by derive_seed(root, stage)

The root is the number that a COPY of the caller's generator would draw next. So it is fixed before the first stage
runs, and how often that stage draws (steps, solver) does not change it; two calls with one generator differ, because
the first call moved the generator on.
"""

from collections.abc import Sequence

import torch

from echosynth.edm.noise import Generators
from echosynth.seeding import make_generator

_LARGEST = 2**63 - 1


class StageSeeds:
    """Generators for the stages of one chain.

    Args:
        generator: one for the batch, or one for each clip; None for torch's own generator on the CPU.

    Attributes:
        first: what the first stage draws from.
        roots: of the other stages' seeds, one for the batch, or one for each clip.
    """

    def __init__(self, generator: Generators | None) -> None:
        self.first: Generators = torch.default_generator if generator is None else generator
        self.roots: int | list[int]
        if isinstance(self.first, torch.Generator):
            self.roots = _root(self.first)
        elif isinstance(self.first, Sequence):
            self.roots = [_root(one) for one in self.first]
        else:
            raise ValueError(f"generator must be a torch.Generator or a list of them, got {generator!r}")

    def generators(self, stage: str, first: bool) -> Generators:
        """What a stage draws from.

        Args:
            stage: name of the stage.
            first: whether it is the first one of its chain.
        """
        if first:
            return self.first
        if isinstance(self.roots, int):
            return make_generator(self.roots, stage)
        return [make_generator(root, stage) for root in self.roots]


def _root(generator: torch.Generator) -> int:
    copy = torch.Generator(generator.device)
    copy.set_state(generator.get_state())
    return int(torch.randint(_LARGEST, (), generator=copy, device=copy.device))

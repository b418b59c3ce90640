"""The three networks of a run: a cascade that generates, a gate that accepts, a judge that only measures.

Each is resolved (found, hashed, verified) when a run begins and loaded when it is first used: a run with nothing left
to do loads nothing, and no file is hashed twice.
"""

from functools import cached_property
from pathlib import Path

from echosynth.diffusion.loading import DEFAULT_CASCADE, load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import DEFAULT_GATE, load_regressor
from echosynth.runtime import choose_device
from echosynth.storage.model_ref import ModelRef, refuse_judge_as_gate, resolve, resolve_all

Model = str | Path | ModelRef


class RunModels:
    """What generates, accepts and measures in one run.

    Args:
        cascade: name, folder or reference; None for the bundled one.
        gate: regressor that accepts or refuses; None for the bundled one.
        judge: regressor that only measures; None for no judge.
        device: "auto", "cpu" or "cuda".

    Attributes:
        cascade: which cascade.
        gate: which gate.
        judge: which judge, or None.
        device: "cpu" or "cuda".

    Raises:
        CheckpointError: there is no such model, or its bytes are not the published ones.
        ConfigError: the judge is the gate, or there is no such device.
    """

    def __init__(
        self, cascade: Model | None = None, gate: Model | None = None, judge: Model | None = None, device: str = "auto"
    ) -> None:
        self.device = choose_device(device)
        self.cascade = resolve(cascade or DEFAULT_CASCADE, "cascade")
        self.gate = resolve(gate or DEFAULT_GATE, "regressor")
        self.judge = None if judge is None else resolve(judge, "regressor")
        if self.judge is not None:
            refuse_judge_as_gate(self.gate, self.judge)
            self.gate, self.judge = resolve_all([self.gate, self.judge])  # under two names, whatever they are called

    def identities(self, cascade_key: str = "model") -> dict[str, list[str]]:
        """Name and hash of each model under the key that its config uses, for the records of a run.

        Args:
            cascade_key: the config's key of the cascade.
        """
        models = {cascade_key: self.cascade, "gate": self.gate, "judge": self.judge}
        return {key: [ref.name, ref.sha256] for key, ref in models.items() if ref is not None}

    @cached_property
    def pipeline(self) -> EchoCascadePipeline:
        """The cascade, loaded."""
        return load_cascade(self.cascade, self.device)

    @cached_property
    def gate_regressor(self) -> EFRegressor:
        """The gate, loaded."""
        return load_regressor(self.gate, self.device)

    @cached_property
    def judge_regressor(self) -> EFRegressor | None:
        """The judge, loaded, if there is one."""
        return None if self.judge is None else load_regressor(self.judge, self.device)

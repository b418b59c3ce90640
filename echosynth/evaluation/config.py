"""The configuration of an evaluation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from echosynth.config import RunName, VerbConfig
from echosynth.evaluation.cases import DatasetTest, PhantomTest


class EvaluateConfig(VerbConfig):
    """What `evaluate` does.

    Attributes:
        kind: "evaluation".
        name: of the run; the default output folder is runs/<name>.
        test: phantom patients, or a dataset in EchoNet format.
        seed: root seed of the samples.
        factual: this many patients are asked for their own EF too.
        paired: number of patients that are also generated from end-diastole on, conditioned on their timing, and
            compared with the true counterfactual frame by frame; phantoms only.
        best_of_k: attempts per patient; only the first counts for the single-sample scores.
        cascade: name or folder; None for the bundled one.
        gate: name or folder; None for the bundled one. It only says which samples it would accept.
        judge: name or folder; None for the bundled one. Not the gate.
        tolerance: of the gate, points of EF.
        num_inference_steps: of the base; None for the model's own.
        guidance_scale: of the base; None for the model's own.
        n_bootstrap: draws of every interval.
        show: patients whose clips are kept and shown on the page.
        device: "auto", "cpu" or "cuda"; a run may go on with another one.
    """

    kind: Literal["evaluation"] = "evaluation"
    name: RunName = "evaluation"
    test: Annotated[PhantomTest | DatasetTest, Field(discriminator="kind")]
    seed: int = 0
    factual: int = Field(default=25, ge=0)
    paired: int = Field(default=0, ge=0)
    best_of_k: int = Field(default=1, ge=1)
    cascade: str | None = None
    gate: str | None = None
    judge: str | None = None
    tolerance: float = Field(default=5.0, ge=0)
    num_inference_steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = Field(default=None, ge=0, lt=100)
    n_bootstrap: int = Field(default=1000, ge=1)
    show: int = Field(default=6, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _pairs_have_a_truth(self) -> "EvaluateConfig":
        if self.paired and not isinstance(self.test, PhantomTest):
            raise ValueError("paired: only phantoms have a true counterfactual; leave it out")
        return self

    def num_records(self, number: int) -> int:
        """Lines that patient `number` of the test, from 0, has when it is finished: attempts, truth, pair."""
        return self.best_of_k + 1 + (number < self.factual) + (number < self.paired)

"""Evaluating a cascade: target EF against the judge's EF, on patients that nothing was trained on.

    OUT/samples.jsonl     one line per clip, generated or true, with the judge's features
    OUT/clips/            generated and true clips of the first patients, to look at
    OUT/evaluation.json   all scores
    OUT/.parts/           what is finished of samples.jsonl, see storage/parts.py; a killed run continues here

Single-sample: attempt 0 of every patient, whatever the gate says. More attempts (best_of_k) are scored apart.
"""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.plan import check_target_ef
from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.evaluation.cases import Case, Cases, PhantomTest
from echosynth.evaluation.config import EvaluateConfig
from echosynth.evaluation.features import JudgeFeatures, plain_name
from echosynth.evaluation.pairs import measure_pair
from echosynth.evaluation.records import Record, Sample, Truth, read_evaluation, to_line
from echosynth.evaluation.result import EvaluationResult, summarise_evaluation
from echosynth.metrics.similarity import compare_clips
from echosynth.progress import SILENT, Progress, share_progress
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import DEFAULT_JUDGE
from echosynth.runtime import one_thread, process_place
from echosynth.seeding import derive_seed
from echosynth.stopping import StopRequest
from echosynth.storage.atomic import write_text
from echosynth.storage.jsonl import append_record
from echosynth.storage.parts import Parts
from echosynth.storage.run_folder import RunFolder
from echosynth.storage.shared_run import SharedRun
from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_avi, write_png

SAMPLES, SCORES, CLIPS = "samples.jsonl", "evaluation.json", "clips"

log = logging.getLogger(__name__)


def evaluate(config: EvaluateConfig, out: str | Path, progress: Progress = SILENT) -> EvaluationResult:
    """Generate what is missing, measure it and score it; the same call again goes on where it was interrupted.

    Args:
        config: which patients, which models.
        out: folder of the run.
        progress: shows every clip.

    Raises:
        CheckpointError: a model is not there or damaged.
        ConfigError: the judge is the gate.
        OutputError: the folder holds another run, or the disk refused.
    """
    models = RunModels(config.cascade, config.gate, config.judge or DEFAULT_JUDGE, config.device)
    cases, out = Cases(config.test, config.seed), Path(out)
    parts = Parts(out, len(cases))
    with (
        RunFolder.open(out, "evaluate", config, models.identities("cascade"), may_change=["device"], shared=True),
        share_progress(
            progress if process_place().is_first else SILENT,
            "evaluating: {} clips are missing",
            sum(map(config.num_records, range(len(cases)))),
            lambda: 1,
            lambda: sum(len(read_evaluation(parts.journal(part))) for part in range(parts.count)),
        ) as shown,
    ):
        evaluator: Evaluator | None = None

        def make(part: int, stop: StopRequest) -> dict[str, int]:
            nonlocal evaluator
            evaluator = evaluator or Evaluator.load(config, cases, out, models)
            records = read_evaluation(parts.journal(part))
            for number in parts.items(part):
                for record in evaluator.iter_missing(number, records):
                    append_record(parts.journal(part), to_line(record))
                    records.append(record)
                    shown.advance()
                    shown.finish()
                    if isinstance(record, Sample):
                        log.info(_describe(record))
                    stop.here_if_asked()
            return {"records": len(records)}

        SharedRun(parts, out / SAMPLES, lambda: None).finish(make, shown)
    result = summarise_evaluation(config, read_evaluation(out / SAMPLES), models.identities("cascade"), models.device)
    write_text(out / SCORES, json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")
    return result


def _describe(sample: Sample) -> str:
    word = "own" if sample.factual else "asked"
    return f"{sample.patient}: {word} {sample.target_ef:.1f}, judge {sample.judge_ef:.1f} ({sample.seconds:.1f} s)"


def _key(record: Record) -> tuple[object, ...]:
    """What tells a record from the others of its evaluation."""
    return (record.patient, *((record.factual, record.attempt) if isinstance(record, Sample) else (record.type,)))


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Makes and measures the clips of one evaluation.

    Attributes:
        config: how.
        cases: the patients.
        out: folder of the run, where the clips to look at are kept.
        cascade: generates.
        gate: says which samples it would accept.
        judge: measures.
        features: the judge's feature space.
    """

    config: EvaluateConfig
    cases: Cases
    out: Path
    cascade: EchoCascadePipeline
    gate: EFRegressor
    judge: EFRegressor
    features: JudgeFeatures

    @classmethod
    def load(cls, config: EvaluateConfig, cases: Cases, out: Path, models: RunModels) -> "Evaluator":
        """Load the three models of a run that has a judge."""
        judge = models.judge_regressor
        assert models.judge is not None
        assert judge is not None
        features = JudgeFeatures(judge, plain_name(models.judge.name))
        return cls(config, cases, out, models.pipeline, models.gate_regressor, judge, features)

    @property
    def sampling(self) -> Sampling:
        """How clips are generated."""
        steps, scale = self.config.num_inference_steps, self.config.guidance_scale
        return Sampling(num_inference_steps=steps, guidance_scale=scale, seed=self.config.seed)

    def iter_missing(self, number: int, records: Sequence[Record]) -> Iterator[Record]:
        """Yield the records of patient `number` that are not there yet."""
        config, last, test = self.config, self.cascade.stages[-1], self.config.test
        case, show = self.cases.case(number, last.frames, last.fps), number < config.show
        have = {_key(record) for record in records}
        wanted = [(False, attempt) for attempt in range(config.best_of_k)]
        wanted += [(True, 0)] if number < config.factual else []
        for factual, attempt in wanted:
            if (case.patient, factual, attempt) not in have:
                yield self.sample(case, factual, attempt, show and attempt == 0)
        if (case.patient, "truth") not in have:
            yield self.truth(case, show)
        if isinstance(test, PhantomTest) and number < config.paired and (case.patient, "pair") not in have:
            yield measure_pair(test, number, self.cascade, self.gate, self.sampling)

    def sample(self, case: Case, factual: bool, attempt: int, keep: bool) -> Sample:
        """Generate and measure one clip; `keep` writes it too."""
        started = time.perf_counter()
        target = check_target_ef(case.own_ef if factual else case.target_ef)
        name = f"{case.patient}_{'factual' if factual else 'counterfactual'}"
        seed = derive_seed(self.config.seed, name, attempt)
        clip = make_clip(self.cascade, Start(case.frame), target, seed, self.sampling, source=name)
        seconds = time.perf_counter() - started
        with one_thread():
            gate_ef = self.gate.predict([clip])[0].ef
        comparable = case.is_counterfactual and not factual and clip.pixels.shape == case.truth.pixels.shape
        if keep:
            write_avi(self.out / CLIPS / f"{name}.avi", clip, synthetic=True)
        return Sample(
            patient=case.patient,
            own_ef=case.own_ef,
            target_ef=target,
            factual=factual,
            attempt=attempt,
            seed=seed,
            gate_ef=gate_ef,
            accepted=Tolerance(self.config.tolerance).decide(target, gate_ef).accepted,
            similarity=compare_clips(clip.pixels, case.truth.pixels) if comparable else None,
            seconds=round(seconds, 3),
            **self._measure(clip),
        )

    def truth(self, case: Case, keep: bool) -> Truth:
        """Measure the clip of known EF; `keep` writes it and the frame too."""
        if keep and case.is_counterfactual:  # real clips stay where they are: only what a simulator made is copied
            write_avi(self.out / CLIPS / f"{case.patient}_truth.avi", case.truth, synthetic=True)
            write_png(self.out / CLIPS / f"{case.patient}_frame.png", case.frame, synthetic=True)
        assert case.truth.ef is not None  # see Case
        return Truth(patient=case.patient, ef=case.truth.ef, **self._measure(case.truth))

    def _measure(self, clip: EchoClip) -> dict[str, Any]:
        """The judge's EF and its features of the clip's first window, the space of the Fréchet distance."""
        window = self.judge.windows(clip)[:1].to(self.judge.device)
        with one_thread():  # the last bits must not depend on the number of processes
            return {"judge_ef": self.judge.predict([clip])[0].ef, "features": tuple(self.features(window)[0].tolist())}

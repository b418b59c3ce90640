"""`echosynth evaluate CONFIG`: target EF against the judge's, on patients that nothing was trained on.

    OUT/samples.jsonl     one line per clip, generated or true, with the judge's features; a killed run continues here
    OUT/clips/            generated and true clips of the first patients, to look at
    OUT/evaluation.json   all scores, written first
    OUT/scatter.png bland_altman.png index.html

Single-sample: attempt 0 of every patient, whatever the gate says. More attempts (best_of_k) are scored apart.
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.attempts import LoadedModel
from echosynth.augmentation.loaded import (
    DEFAULT_CASCADE,
    DEFAULT_GATE,
    DEFAULT_JUDGE,
    choose_device,
    identify,
    open_cascade,
    open_regressor,
    refuse_judge_as_gate,
)
from echosynth.augmentation.manifest import package_versions
from echosynth.augmentation.plan import check_target_ef
from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.commands.console import print_table
from echosynth.config import RunName, StrictModel, load_config
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.evaluation.cases import Case, DatasetTest, PhantomTest, iter_cases
from echosynth.evaluation.pairs import measure_pairs
from echosynth.evaluation.result import EvaluatedSample, EvaluationResult, MeasuredTruth, assemble_evaluation
from echosynth.metrics.frechet import compare_features
from echosynth.metrics.paired import PairedScores, summarise_pairs
from echosynth.metrics.similarity import ClipSimilarity, compare_clips
from echosynth.progress import Reporter
from echosynth.regression.base import EFRegressor
from echosynth.report.evaluation_page import write_report
from echosynth.report.tables import evaluation_tables
from echosynth.seeding import derive_seed
from echosynth.storage.jsonl import append_record, read_records
from echosynth.storage.provenance import save_resolved
from echosynth.storage.run_folder import claim
from echosynth.video.clip import EchoClip
from echosynth.video.files import write_avi, write_png

SAMPLES = "samples.jsonl"


class EvaluateConfig(StrictModel):
    """What `echosynth evaluate` does.

    Attributes:
        kind: "evaluation".
        name: of the run; the default output folder is runs/<name>.
        test: phantom patients, or a dataset in EchoNet format.
        seed: root seed of the samples.
        factual: this many patients are asked for their own EF too.
        paired: this many patients are also shown at end-diastole, with their timing told, and compared with the truth
            frame by frame; phantoms only.
        best_of_k: attempts per patient; only the first counts for the single-sample scores.
        cascade: name or folder; None for the bundled one.
        gate: name or folder; None for the bundled one. It only says which samples it would accept.
        judge: name or folder; None for the bundled one. Not the gate.
        tolerance: of the gate, points of EF.
        num_inference_steps: of the base; None for the model's own.
        guidance_scale: of the base; None for the model's own.
        n_bootstrap: draws of every interval.
        show: patients whose clips are kept and shown on the page.
    """

    kind: Literal["evaluation"]
    name: RunName
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

    @model_validator(mode="after")
    def _pairs_have_a_truth(self) -> "EvaluateConfig":
        if self.paired and not isinstance(self.test, PhantomTest):
            raise ValueError("paired: only phantoms have a truth that beats along; leave it out")
        return self


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("config", type=Path, help="YAML of kind 'evaluation', see configs/evaluation/")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=1", help="change one key; repeatable")
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/<name>)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Evaluate and return the object of `--json`."""
    config = load_config(args.config, EvaluateConfig, args.set)
    out = args.out or Path("runs") / config.name
    names = [config.cascade or DEFAULT_CASCADE, config.gate or DEFAULT_GATE, config.judge or DEFAULT_JUDGE]
    models = dict(zip(("cascade", "gate", "judge"), (list(identify(name)) for name in names), strict=True))
    refuse_judge_as_gate(names[1], names[2])
    device = choose_device(args.device)
    with claim(out, "evaluate", {**config.model_dump(mode="json"), **models}):
        save_resolved(config, out)
        cascade = open_cascade(names[0], device)
        gate, judge = open_regressor(names[1], device), open_regressor(names[2], device)
        records = read_records(out / SAMPLES)
        per_patient = 1 + config.best_of_k
        extra = min(config.factual, config.test.count) + min(config.paired, config.test.count)
        total = config.test.count * per_patient + extra
        with Reporter(total, "evaluating") as reporter:
            for _ in range(len(records)):
                reporter.step()
            missing = chain(
                _measure(config, out, cascade, gate, judge, records),
                _measure_pairs(config, cascade.model, gate.model, records),
            )
            for record in missing:
                append_record(out / SAMPLES, record)
                records.append(record)
                reporter.step()
                if record["type"] == "sample":
                    word = "own" if record["factual"] else "asked"
                    reporter.say(
                        f"{record['patient']}: {word} {record['target_ef']:.1f}, judge {record['judge_ef']:.1f} "
                        f"({record['seconds']:.1f} s)"
                    )
        result = {
            **_assemble(config, records, gate.name, judge.name).to_dict(),
            "models": models,
            "seconds_per_clip": float(np.median([r["seconds"] for r in records if r["type"] == "sample"])),
            "device": device,
            "versions": package_versions(),
        }
        page = write_report(out, config.name, result, records)
    if not args.json:
        print_scores(result)
        print(f"\nscores: {out / 'evaluation.json'}   page: {page}")
    return result


def _measure(
    config: EvaluateConfig,
    out: Path,
    cascade: LoadedModel[EchoCascadePipeline],
    gate: LoadedModel[EFRegressor],
    judge: LoadedModel[EFRegressor],
    records: list[dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Yield the records that are still missing, patient by patient."""
    last = cascade.model.stages[-1]
    have = {(r["type"], r["patient"], r.get("factual", False), r.get("attempt", 0)) for r in records}
    sampling = _sampling(config)
    tolerance = Tolerance(config.tolerance)
    for number, case in enumerate(iter_cases(config.test, last.frames, last.fps, config.seed)):
        show = number < config.show
        wanted = [(False, attempt) for attempt in range(config.best_of_k)]
        wanted += [(True, 0)] if number < config.factual else []
        for factual, attempt in wanted:
            if ("sample", case.patient, factual, attempt) in have:
                continue
            started = time.perf_counter()
            target = check_target_ef(case.own_ef if factual else case.target_ef)
            name = f"{case.patient}_{'factual' if factual else 'counterfactual'}"
            seed = derive_seed(config.seed, name, attempt)
            clip = make_clip(cascade.model, Start(case.frame), target, seed, sampling, source=name)
            seconds = time.perf_counter() - started
            gate_ef = gate.model.predict([clip])[0].ef
            similarity = None
            if case.is_counterfactual and not factual and clip.pixels.shape == case.truth.pixels.shape:
                similarity = asdict(compare_clips(clip.pixels, case.truth.pixels))
            if show and attempt == 0:
                write_avi(out / "clips" / f"{name}.avi", clip, synthetic=True)
            yield {
                "type": "sample",
                "patient": case.patient,
                "own_ef": case.own_ef,
                "target_ef": target,
                "factual": factual,
                "attempt": attempt,
                "seed": seed,
                "gate_ef": gate_ef,
                "accepted": tolerance.decide(target, gate_ef).accepted,
                "similarity": similarity,
                "seconds": round(seconds, 3),
                **_judge(judge.model, clip),
            }
        if ("truth", case.patient, False, 0) not in have:
            if show:
                _keep_truth(out, case)
            yield {"type": "truth", "patient": case.patient, "ef": case.truth.ef, **_judge(judge.model, case.truth)}


def _measure_pairs(
    config: EvaluateConfig, cascade: EchoCascadePipeline, gate: EFRegressor, records: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    have = {record["patient"] for record in records if record["type"] == "pair"}
    if isinstance(config.test, PhantomTest):
        yield from measure_pairs(config.test, config.paired, cascade, gate, _sampling(config), have)


def _sampling(config: EvaluateConfig) -> Sampling:
    return Sampling(
        num_inference_steps=config.num_inference_steps, guidance_scale=config.guidance_scale, seed=config.seed
    )


def _judge(judge: EFRegressor, clip: EchoClip) -> dict[str, Any]:
    """The judge's EF and its features of the clip's first window, the space of the Fréchet distance."""
    window = judge.windows(clip)[:1].to(judge.device)  # type: ignore[arg-type]
    return {"judge_ef": judge.predict([clip])[0].ef, "features": judge.features(window)[0].tolist()}


def _keep_truth(out: Path, case: Case) -> None:
    # Real clips stay where they are: only what a simulator made is copied.
    if case.is_counterfactual:
        write_avi(out / "clips" / f"{case.patient}_truth.avi", case.truth, synthetic=True)
        write_png(out / "clips" / f"{case.patient}_frame.png", case.frame, synthetic=True)


def _assemble(config: EvaluateConfig, records: list[dict[str, Any]], gate: str, judge: str) -> EvaluationResult:
    samples = [
        EvaluatedSample(
            patient=r["patient"],
            target_ef=r["target_ef"],
            factual=r["factual"],
            judge_ef=r["judge_ef"],
            attempt=r["attempt"],
            gate_ef=r["gate_ef"],
            accepted=r["accepted"],
            similarity=ClipSimilarity(**r["similarity"]) if r["similarity"] else None,
        )
        for r in records
        if r["type"] == "sample"
    ]
    truths = [r for r in records if r["type"] == "truth"]
    ceiling = [MeasuredTruth(r["patient"], r["ef"], r["judge_ef"]) for r in truths]
    first = [r for r in records if r["type"] == "sample" and not r["factual"] and r["attempt"] == 0]
    pairs = [r for r in records if r["type"] == "pair"]
    distances = []
    if len(truths) >= 4:  # two disjoint sets of two: the least that has a real-vs-real baseline
        real, made = (np.array([r["features"] for r in group]) for group in (truths, first))
        space = "judge:" + "".join(c for c in judge if c not in "[];=")
        distances.append(compare_features(real, made, space, config.seed))
    result = assemble_evaluation(
        samples,
        ceiling,
        judge=judge,
        gate=gate,
        paired=summarise_pairs(
            [PairedScores(**r["scores"]) for r in pairs],
            [r["patient"] for r in pairs],
            config.n_bootstrap,
            config.seed,
        ),
        frechet=distances,
        n_bootstrap=config.n_bootstrap,
        seed=config.seed,
    )
    return result


def print_scores(result: Mapping[str, Any]) -> None:
    """Print the table of EF scores on stdout."""
    for table in evaluation_tables(result):
        print(f"\n{table.title}")
        print_table(table)

"""`echosynth augment CONFIG`: plan, generate, gate and write a synthetic dataset; the same command again continues."""

import argparse
import hashlib
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("config", type=Path, help="YAML of kind 'augmentation', see configs/augmentation/")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=1", help="change one key; repeatable")
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/<name>)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Augment and return the object of `--json`."""
    from echosynth.augmentation.attempts import is_finished
    from echosynth.augmentation.augment import DATASET, MANIFEST, AugmentConfig, augment, plan_augmentation
    from echosynth.augmentation.loaded import (
        DEFAULT_CASCADE,
        DEFAULT_GATE,
        choose_device,
        identify,
        open_cascade,
        open_regressor,
    )
    from echosynth.augmentation.manifest import Manifest, best_entries
    from echosynth.config import load_config
    from echosynth.data.echonet_format import EchoNetDataset
    from echosynth.progress import Reporter
    from echosynth.report.figures import ef_histogram, figure_to_png
    from echosynth.storage.atomic import atomic_write
    from echosynth.storage.provenance import save_resolved
    from echosynth.storage.run_folder import claim

    config = load_config(args.config, AugmentConfig, args.set)
    out = args.out or Path("runs") / config.name
    model, gate = config.model or DEFAULT_CASCADE, config.gate or DEFAULT_GATE
    source = EchoNetDataset(config.source)
    plan = plan_augmentation(config, source)
    settings = {**config.model_dump(mode="json"), "model": list(identify(model)), "gate": list(identify(gate))}
    settings["source_hash"] = hashlib.sha256((config.source / "FileList.csv").read_bytes()).hexdigest()[:12]
    with claim(out, "augment", settings):
        save_resolved(config, out)
        history = Manifest(out / MANIFEST).entries
        done: dict[str, list[Any]] = {}
        for entry in history:
            done.setdefault(entry.sample_id, []).append(entry)
        missing = [s for s in plan if not is_finished(done.get(s.sample_id, []), config.max_attempts)]
        complete = (out / DATASET / "FileList.csv").is_file() and (out / DATASET / "README.md").is_file()
        if missing or not complete:
            device = choose_device(args.device)
            cascade = open_cascade(model, device)
            stages, asked = cascade.model.stages, config.num_inference_steps
            steps = (asked or stages[0].num_inference_steps) + sum(s.num_inference_steps for s in stages[1:])
            with Reporter(steps * len(missing), f"generating {len(missing)} clips") as reporter:
                for attempt in augment(config, out, cascade, open_regressor(gate, device), reporter.step):
                    entry = attempt.entry
                    reporter.say(
                        f"{entry.sample_id}, attempt {entry.attempt + 1}: {entry.reason} ({entry.seconds:.1f} s)"
                    )
                    if not attempt.last:
                        reporter.expect(steps)
        entries = Manifest(out / MANIFEST).entries
        dataset = EchoNetDataset(out / DATASET)
        before = [source.rows[index].ef for index in source.split("TRAIN")]
        after = before + [row.ef for row in dataset.rows]
        with atomic_write(out / "histogram.png") as temporary:
            temporary.write_bytes(figure_to_png(ef_histogram(before, after)))
    best = best_entries(entries)
    result = {
        "run": str(out),
        "dataset": str(out / DATASET),
        "planned": len(plan),
        "accepted": len(dataset),
        "refused": sum(not best[s.sample_id].accepted for s in plan),
        "attempts": len(entries),
        "seconds": round(sum(entry.seconds for entry in entries), 1),
    }
    if not args.json:
        print(f"{result['accepted']} of {result['planned']} planned clips accepted in {result['attempts']} attempts")
        print(f"dataset: {result['dataset']}   histogram: {out / 'histogram.png'}")
    return result

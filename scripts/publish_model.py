"""Copy finished weights into checkpoints/NAME in half precision, with card.json, a model card and SHA256SUMS.

    python scripts/publish_model.py phantom_fast runs/phantom_fast_high_noise/pipeline \
        --config configs/diffusion/phantom_fast_high_noise.yaml \
        --logs runs/phantom_small runs/phantom_fast runs/phantom_fast_high_noise \
        --scores runs/evaluation/evaluation.json --hardware "2 CPU cores"

Steps, hours, patients and the loss curve are read from the run folders, never typed. With --continue those that the
present card of NAME holds come first: for weights that were trained on from it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import yaml

from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.regression.base import EFRegressor
from echosynth.regression.frame_aware import FrameAware
from echosynth.regression.loading import REGRESSORS
from echosynth.report.model_card import ModelCard, TrainingRun, TrainingSession, read_card, write_card
from echosynth.storage.atomic import replace_folder
from echosynth.storage.config_file import read_config

CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"
DATA = "Simulated patients (phantoms) of the view family `{}`; EF is uniform in the range given. No patient data."
LIMITS = {
    "cascade": (
        "It has seen no patient, only phantoms; on real frames it is a demonstration, not a measurement.",
        "Speckle moves with the wall but is smoother than in true clips; mitral leaflets are faint and open too"
        " little; at the fastest moments atria and valves smear.",
        "Apical four-chamber views with the left ventricle on the right of the picture only.",
        "EF 10-85; rhythm and regional wall motion are not controlled.",
    ),
    "regressor": (
        "It has seen no patient, only phantoms: on real clips its numbers serve to compare synthetic clips only.",
        "Apical four-chamber views with the left ventricle on the right of the picture only.",
        "It was trained on two-second clips; shorter clips are played forwards and backwards.",
    ),
}


def read_run(log: Path) -> tuple[TrainingRun, float]:
    """Return what a training log says of its run, and its hours."""
    hours, before, validation = 0.0, 0, {}
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "seconds" in line:
            hours += line["seconds"] * (line["step"] - before) / 3600
            before = line["step"]
        if "validation" in line:
            validation[line["step"]] = round(line["validation"], 4)
    name = f"{log.parent.parent.name}/{log.parent.name}"
    return TrainingRun(name=name, steps=lines[-1]["step"], validation=validation), hours


def read_sessions(folder: Path, hardware: str) -> list[tuple[dict[str, Any], TrainingSession]]:
    """Return the sessions of a run folder, each with its data: parts that learnt from the same clips are one."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    parts = {**config, **config.get("stages", {})}
    groups: list[tuple[dict[str, Any], list[TrainingRun], list[float]]] = []
    for log in sorted(folder.glob("*/log.jsonl")):
        data = (parts.get(log.parent.name) or {}).get("data") or config["data"]
        if not groups or groups[-1][0] != data:
            groups.append((data, [], []))
        run, hours = read_run(log)
        groups[-1][1].append(run)
        groups[-1][2].append(hours)
    return [
        (
            data,
            TrainingSession(
                runs=tuple(runs),
                patients=data["patients"],
                ef=data["efs"],
                hours=round(sum(hours), 2),
                hardware=hardware,
            ),
        )
        for data, runs, hours in groups
    ]


def families(views: str | list[str]) -> list[str]:
    """Return the view families of a training set: a config names one or several."""
    return [views] if isinstance(views, str) else views


def copy_weights(config: dict[str, Any], folder: Path, target: Path) -> type:
    """Write the weights in half precision and return the model's class."""
    if config["kind"] == "cascade":
        pipeline = EchoCascadePipeline.from_pretrained(folder)
        pipeline.to(torch.float16).save_pretrained(target)
        return EchoCascadePipeline
    model: EFRegressor = REGRESSORS[config["network"]].from_pretrained(folder)
    model.to(torch.float16)
    if isinstance(model, FrameAware) and model.process is not None:
        # A Gaussian process is a sum of thousands of terms that nearly cancel: it stays in single precision.
        model.process = FrameAware.from_pretrained(folder).process
    model.save_pretrained(target)
    return type(model)


def forget_origin(folder: Path) -> None:
    """Take out of every config where its weights lay when they were saved: a path of the machine that trained them."""
    for file in [*folder.rglob("config.json"), *folder.glob("model_index.json")]:
        values = json.loads(file.read_text())
        if values.pop("_name_or_path", None) is not None:
            file.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def publish(args: argparse.Namespace, checkpoints: Path = CHECKPOINTS) -> Path:
    """Write checkpoints/NAME and return it."""
    text = args.config.read_text()
    config = read_config(args.config)
    target = checkpoints / args.name
    earlier = read_card(target) if args.goes_on else None
    found = [session for folder in args.logs for session in read_sessions(folder, args.hardware)]
    sessions = [session for _, session in found]
    sessions[0] = sessions[0].model_copy(update={"note": args.note})
    seeds = [seed for data, _ in found for seed in (data["first_seed"], data["first_seed"] + data["patients"] - 1)]
    seeds += earlier.patient_seeds if earlier else ()
    with replace_folder(target) as part:
        model_class = copy_weights(config, args.folder, part)
        forget_origin(part)
        what = "One A4C frame and a target LVEF in, a clip out."
        if config["kind"] == "regressor":
            what = "EF of an A4C clip. " + text.splitlines()[0].removeprefix("# ")
        card = {
            "name": args.name,
            "kind": config["kind"],
            "class": f"{model_class.__module__}.{model_class.__qualname__}",
            "license": "Apache-2.0",
            "description": what,
            "data": DATA.format(", ".join(sorted({family for data, _ in found for family in families(data["views"])}))),
            "patient_seeds": (min(seeds), max(seeds)),
            "training_seed": config["seed"],
            "training": [*(earlier.training if earlier else ()), *sessions],
            "scores": json.loads(args.scores.read_text()),
            "limits": LIMITS[config["kind"]],
        }
        write_card(part, ModelCard.model_validate(card))
    return target


def main() -> None:
    """Parse arguments and publish."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path, help="what training wrote: .../pipeline or .../model")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--logs", type=Path, nargs="+", required=True, help="run folders: config.yaml, PART/log.jsonl")
    parser.add_argument("--scores", type=Path, required=True, help="JSON of `echosynth evaluate`")
    parser.add_argument("--hardware", required=True)
    parser.add_argument("--continue", dest="goes_on", action="store_true", help="keep the history of the present card")
    parser.add_argument("--note", default="", help="what the numbers of these runs do not say, as a sentence")
    print(publish(parser.parse_args()))


if __name__ == "__main__":
    main()

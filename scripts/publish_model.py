"""Copy finished weights into checkpoints/NAME in half precision, with card.json, a model card and SHA256SUMS.

    python scripts/publish_model.py phantom_fast runs/phantom_fast_again/pipeline \
        --config configs/diffusion/phantom_fast.yaml \
        --logs runs/phantom_small runs/phantom_fast runs/phantom_fast_again \
        --scores runs/evaluation/evaluation.json --hardware "2 CPU cores"

Steps, hours and the loss curve are read from the training logs, never typed. With --continue those that the present
card of NAME holds come first: for weights that were trained on from it.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

import torch
import yaml

from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.regression.frame_aware import FrameAware
from echosynth.regression.loading import REGRESSORS
from echosynth.report.model_card import render_model_card
from echosynth.storage.model_store import CARD_FILE, write_sums
from echosynth.training.clips.phantom_set_config import PhantomSetConfig

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {
    "cascade": [
        "It has seen no patient, only phantoms; on real frames it is a demonstration, not a measurement.",
        "Speckle moves with the wall but is smoother than in true clips; mitral leaflets are faint and open too"
        " little; at the fastest moments atria and valves smear.",
        "Apical four-chamber views with the left ventricle on the right of the picture only.",
        "EF 10-85; rhythm and regional wall motion are not controlled.",
    ],
    "regressor": [
        "It has seen no patient, only phantoms: on real clips its numbers serve to compare synthetic clips only.",
        "Apical four-chamber views with the left ventricle on the right of the picture only.",
        "It was trained on two-second clips; shorter clips are played forwards and backwards.",
    ],
}


def read_logs(folders: list[Path]) -> tuple[str, float, list[str]]:
    """Steps per network, hours in all, and a validation-loss table, from every log.jsonl below some folders."""
    steps, hours, rows = [], 0.0, []
    for log in [log for folder in folders for log in sorted(folder.rglob("log.jsonl"))]:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        name, before = f"{log.parent.parent.name}/{log.parent.name}", 0
        for line in lines:
            if "seconds" in line:
                hours += line["seconds"] * (line["step"] - before) / 3600
                before = line["step"]
            if "validation" in line:
                rows.append(f"| {name} | {line['step']:,} | {line['validation']:.4f} |")
        steps.append(f"{name} {lines[-1]['step']:,}")
    return ", ".join(steps), hours, rows


def read_card(card: Path) -> tuple[str, float, list[str]]:
    """The same, as an earlier card has it."""
    text = card.read_text()
    steps, hours = (re.findall(rf"^- \*\*{key}\*\*: (.+)$", text, re.MULTILINE)[0] for key in ("Steps", "Hours"))
    rows = text.split("| network | step | loss on held-out phantoms |\n|---|---|---|\n")[1].splitlines()
    return steps, float(hours), rows


def publish(args: argparse.Namespace) -> Path:
    """Write checkpoints/NAME and return it."""
    config = yaml.safe_load(args.config.read_text())
    target = ROOT / "checkpoints" / args.name
    earlier = read_card(target / "README.md") if args.goes_on else None
    shutil.rmtree(target, ignore_errors=True)
    if config["kind"] == "cascade":
        pipeline = EchoCascadePipeline.from_pretrained(args.folder)
        pipeline.to(torch.float16).save_pretrained(target)
        class_name = "echosynth.diffusion.pipeline.EchoCascadePipeline"
        what = "One A4C frame and a target LVEF in, a clip out."
    else:
        model = REGRESSORS[config["network"]].from_pretrained(args.folder)
        model.to(torch.float16)  # type: ignore[arg-type]
        if isinstance(model, FrameAware) and model.process is not None:
            # A Gaussian process is a sum of thousands of terms that nearly cancel: it stays in single precision.
            model.process = REGRESSORS[config["network"]].from_pretrained(args.folder).process  # type: ignore[assignment]
        model.save_pretrained(target)
        class_name = f"{type(model).__module__}.{type(model).__name__}"
        what = "EF of an A4C clip. " + args.config.read_text().splitlines()[0].removeprefix("# ")
    steps, hours, curve = read_logs(args.logs)
    if earlier is not None:
        steps, hours, curve = ", ".join(filter(None, (earlier[0], steps))), earlier[1] + hours, earlier[2] + curve
    data, first = config["data"], config["data"]["first_seed"]
    low, high = data.get("efs", PhantomSetConfig.model_fields["efs"].default)
    card = render_model_card(
        {
            "name": args.name,
            "what": what,
            "data": f"{data['patients']:,} phantom patients, EF uniform {low:g}-{high:g}, wide views; no patient data",
            "seeds": f"patients {first}-{first + data['patients'] - 1}, training {config['seed']}",
            "steps": steps,
            "hardware": args.hardware,
            "hours": round(hours, 2),
            "scores": json.loads(args.scores.read_text()),
            "limits": LIMITS[config["kind"]],
            "licence": "Apache-2.0",
        }
    )
    table = ["", "## Validation loss", "", "| network | step | loss on held-out phantoms |", "|---|---|---|", *curve]
    (target / "README.md").write_text(card + "\n".join([*table, ""]))
    facts = {"name": args.name, "kind": config["kind"], "class": class_name, "license": "Apache-2.0"}
    (target / CARD_FILE).write_text(json.dumps(facts, indent=2) + "\n")
    write_sums(target)
    return target


def main() -> None:
    """Parse arguments and publish."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path, help="what training wrote: .../pipeline or .../model")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--logs", type=Path, nargs="+", required=True, help="folders with the log.jsonl files")
    parser.add_argument("--scores", type=Path, required=True, help="JSON of `echosynth evaluate`")
    parser.add_argument("--hardware", required=True)
    parser.add_argument("--continue", dest="goes_on", action="store_true", help="keep the history of the present card")
    print(publish(parser.parse_args()))


if __name__ == "__main__":
    main()

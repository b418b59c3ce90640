"""`echosynth probe DATASET --fact infarction`: what embeddings know of a fact, frozen and fine-tuned."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echosynth.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from echosynth.data.dataset import ClipDataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("dataset", type=Path, help="dataset folder, e.g. HMC-QU")
    parser.add_argument(
        "--fact", default="infarction", help='what is to be told, "yes" or "no" in its tables (default: %(default)s)'
    )
    parser.add_argument("--view", choices=("A4C", "A2C", "PSAX"), help="of a dataset that has several (default: A4C)")
    parser.add_argument(
        "--regressor", action="extend", nargs="+", help="names or folders (default: the bundled gate and judge)"
    )
    parser.add_argument("--folds", type=int, default=5, help="parts of the cross-validation (default: %(default)s)")
    parser.add_argument(
        "--fine-tune",
        type=int,
        default=0,
        metavar="STEPS",
        help="then train the whole network, per part (default: 0)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Embed, cross-validate, and return the object of `--json`."""
    import numpy as np

    from echosynth.augmentation.loaded import DEFAULT_GATE, DEFAULT_JUDGE, choose_device, open_regressor
    from echosynth.data.layouts import open_dataset
    from echosynth.evaluation.fine_tune import fine_tune
    from echosynth.evaluation.probe import probe
    from echosynth.progress import Reporter

    if args.folds < 2:
        raise ConfigError(f"--folds must be at least 2, got {args.folds}")
    if args.fine_tune < 0:
        raise ConfigError(f"--fine-tune must be at least 0, got {args.fine_tune}")
    dataset = open_dataset(args.dataset, args.view)
    rows, labels = find_fact(dataset, args.fact)
    device = choose_device(args.device)
    names = list(dict.fromkeys(args.regressor or [DEFAULT_GATE, DEFAULT_JUDGE]))
    regressors = [open_regressor(name, device) for name in names]
    embeddings: list[list[np.ndarray]] = [[] for _ in regressors]
    with Reporter(len(rows), "embedding clips") as reporter:
        for row in rows:
            clip = dataset.clip(row)
            for found, regressor in zip(embeddings, regressors, strict=True):
                found.append(regressor.model.embed_clip(clip))
            reporter.step()
    patients, scores = [dataset.entries[row].patient for row in rows], {}
    for regressor, found in zip(regressors, embeddings, strict=True):
        try:
            scores[regressor.name] = probe(np.stack(found), labels, patients, args.folds)
        except ValueError as error:
            raise DatasetError(f"{args.dataset}: {error}") from error
        if args.fine_tune:
            windows = [regressor.model.windows(dataset.clip(row)) for row in rows]
            with Reporter(args.folds * args.fine_tune, f"fine-tuning {regressor.name}") as reporter:
                scores[f"{regressor.name}, fine-tuned"] = fine_tune(
                    regressor.model, windows, labels, patients, args.folds, args.fine_tune, on_step=reporter.step
                )
    if not args.json:
        _print(args.fact, scores)
    return {"fact": args.fact, "clips": len(rows), "scores": scores}


def find_fact(dataset: "ClipDataset", fact: str) -> tuple[list[int], list[bool]]:
    """Clips of which a fact is known, and whether it holds.

    Raises:
        DatasetError: of no clip; the facts that there are stand in the message.
    """
    told = [(k, entry.facts.get(fact, "").lower()) for k, entry in enumerate(dataset.entries)]
    rows = [k for k, value in told if value in ("yes", "no")]
    if not rows:
        names = sorted({n for entry in dataset.entries for n, v in entry.facts.items() if v.lower() in ("yes", "no")})
        others = f"; it tells {', '.join(names)}" if names else " nor of any other fact"
        raise DatasetError(f"{dataset.root} says neither yes nor no of {fact!r}{others}")
    return rows, [told[k][1] == "yes" for k in rows]


def _print(fact: str, scores: dict[str, dict[str, Any]]) -> None:
    from echosynth.commands.console import print_table
    from echosynth.report.tables import Table

    columns = ("accuracy", "majority", "recall", "specificity", "precision", "f1", "auroc")
    rows = [
        [name, *("–" if found[c] is None else f"{found[c]:.2f}" for c in columns)] for name, found in scores.items()
    ]
    n, positives = next((found["n"], found["positives"]) for found in scores.values())
    print(f"{fact}: {positives} of {n} clips")
    print_table(Table(fact, ("regressor", *columns), rows))

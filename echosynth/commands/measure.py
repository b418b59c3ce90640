"""`echosynth measure SOURCE ...`: the EF that a regressor sees, with its 90 % interval, as a table, CSV or JSON."""

import argparse
import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from echosynth.errors import ConfigError, SourceError

PANEL = "panel"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source", type=Path, nargs="+", help="video, DICOM cine, .npy, EchoNet folder, or folder of files"
    )
    parser.add_argument(
        "--regressor",
        action="extend",
        nargs="+",
        help="names or folders; several are a panel too (default: the bundled judge)",
    )
    parser.add_argument("--fps", type=float, help="frame rate to use instead of the file's, Hz")
    parser.add_argument("--csv", type=Path, help="write the table to this file too")
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="draw scatter and Bland-Altman here, if the truth is known"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def require_rate(fps: float | None) -> None:
    """Raise ConfigError unless it is a frame rate, or none."""
    if fps is not None and not 0 < fps <= 1000:
        raise ConfigError(f"--fps must be above 0 and at most 1000 Hz, got {fps:g}")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and return the object of `--json`; scores are there if the truth of every clip is known."""
    from echosynth.commands.gallery import print_table
    from echosynth.commands.loaded import DEFAULT_JUDGE, choose_device, open_regressor
    from echosynth.commands.progress import Reporter
    from echosynth.commands.sources import iter_clips
    from echosynth.config import write_atomic
    from echosynth.evaluation.clinical import clinical_scores
    from echosynth.evaluation.ef_metrics import compute_ef_scores
    from echosynth.regression.panel import read_as_panel
    from echosynth.report.figures import bland_altman, ef_scatter, figure_to_png
    from echosynth.report.tables import Table
    from echosynth.video.atomic import atomic_write

    require_rate(args.fps)
    names = list(dict.fromkeys(args.regressor or [DEFAULT_JUDGE]))
    device = choose_device(args.device)
    regressors = [open_regressor(name, device) for name in names]
    clips: list[dict[str, Any]] = []
    reporter = Reporter(0, "measuring")
    for path in args.source:
        for name, clip in iter_clips(path, args.fps, reporter.say):
            if clip.num_frames < 2:
                raise SourceError(f"{name} is a single picture; an EF needs a video of at least one beat")
            answers = [regressor.model.predict([clip])[0] for regressor in regressors]
            for regressor, answer in zip(regressors, answers, strict=True):
                said = asdict(answer) | {"windows": list(answer.windows)}
                clips.append({"file": name, "regressor": regressor.name, **said, "true_ef": clip.ef})
            if len(answers) > 1:
                clips.append({"file": name, "regressor": PANEL, **asdict(read_as_panel(answers)), "true_ef": clip.ef})
    result: dict[str, Any] = {"clips": clips}
    if clips and all(clip["true_ef"] is not None for clip in clips):
        result["scores"] = {}
        for reader in dict.fromkeys(clip["regressor"] for clip in clips):
            mine = [clip for clip in clips if clip["regressor"] == reader]
            truth, measured = [clip["true_ef"] for clip in mine], [clip["ef"] for clip in mine]
            scores = compute_ef_scores(truth, measured, [clip["file"] for clip in mine]).to_dict()
            inside = [clip["low"] <= clip["true_ef"] <= clip["high"] for clip in mine]
            result["scores"][reader] = (
                scores | clinical_scores(truth, measured) | {"coverage": sum(inside) / len(inside)}
            )
            if args.plots is not None:
                for kind, draw in (("scatter", ef_scatter), ("bland_altman", bland_altman)):
                    figure = draw(truth, measured, f"{Path(reader).name}: true and measured EF")
                    with atomic_write(args.plots / f"{Path(reader).name}_{kind}.png") as part:
                        part.write_bytes(figure_to_png(figure))
    elif args.plots is not None:
        raise ConfigError("--plots needs clips whose EF is known")
    columns = ["file", "regressor", "ef", "low", "high", "true_ef"]
    if args.csv is not None:
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([clip[column] for column in columns] for clip in clips)
        write_atomic(args.csv, buffer.getvalue())
    if not args.json:
        rows = []
        for c in clips:
            known = "–" if c["true_ef"] is None else f"{c['true_ef']:.1f}"
            who = c["regressor"] if c.get("agreed", True) else f"{c['regressor']} (parted by {c['spread']:.0f})"
            rows.append([c["file"], who, f"{c['ef']:.1f}", f"{c['low']:.1f}", f"{c['high']:.1f}", known])
        print_table(Table("EF (%)", columns, rows))
        for name, scores in result.get("scores", {}).items():
            r2 = "–" if scores["r2"] is None else f"{scores['r2']:.3f}"
            print(
                f"{name}: n {scores['n']}, R2 {r2}, MAE {scores['mae']:.2f}, RMSE {scores['rmse']:.2f} (EF points), "
                f"{scores['coverage']:.0%} of true EFs in the 90 % intervals"
            )
    return result

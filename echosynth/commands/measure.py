"""`echosynth measure SOURCE ...`: the EF that a regressor sees, with its 90 % interval, as a table, CSV or JSON."""

import argparse
import csv
import io
from pathlib import Path
from typing import Any

from echosynth.errors import ConfigError, SourceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source", type=Path, nargs="+", help="video, DICOM cine, .npy, EchoNet folder, or folder of files"
    )
    parser.add_argument("--regressor", action="append", help="name or folder; repeatable (default: the bundled judge)")
    parser.add_argument("--fps", type=float, help="frame rate to use instead of the file's, Hz")
    parser.add_argument("--csv", type=Path, help="write the table to this file too")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and return the object of `--json`; scores are there if the truth of every clip is known."""
    from echosynth.commands.gallery import print_table
    from echosynth.commands.loaded import DEFAULT_JUDGE, choose_device, open_regressor
    from echosynth.commands.progress import Reporter
    from echosynth.commands.sources import iter_clips
    from echosynth.config import write_atomic
    from echosynth.evaluation.ef_metrics import compute_ef_scores
    from echosynth.report.tables import Table

    if args.fps is not None and not 0 < args.fps <= 1000:
        raise ConfigError(f"--fps must be above 0 and at most 1000 Hz, got {args.fps:g}")
    names = list(dict.fromkeys(args.regressor or [DEFAULT_JUDGE]))
    device = choose_device(args.device)
    regressors = [open_regressor(name, device) for name in names]
    clips: list[dict[str, Any]] = []
    reporter = Reporter(0, "measuring")
    for path in args.source:
        for name, clip in iter_clips(path, args.fps, reporter.say):
            if clip.num_frames < 2:
                raise SourceError(f"{name} is a single picture; an EF needs a video of at least one beat")
            for regressor in regressors:
                answer = regressor.model.predict([clip])[0]
                clips.append(
                    {
                        "file": name,
                        "regressor": regressor.name,
                        "ef": answer.ef,
                        "low": answer.low,
                        "high": answer.high,
                        "windows": list(answer.windows),
                        "true_ef": clip.ef,
                    }
                )
    result: dict[str, Any] = {"clips": clips}
    if clips and all(clip["true_ef"] is not None for clip in clips):
        result["scores"] = {
            regressor.name: compute_ef_scores(
                [c["true_ef"] for c in clips if c["regressor"] == regressor.name],
                [c["ef"] for c in clips if c["regressor"] == regressor.name],
                [c["file"] for c in clips if c["regressor"] == regressor.name],
            ).to_dict()
            for regressor in regressors
        }
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
            truth = "–" if c["true_ef"] is None else f"{c['true_ef']:.1f}"
            rows.append([c["file"], c["regressor"], f"{c['ef']:.1f}", f"{c['low']:.1f}", f"{c['high']:.1f}", truth])
        print_table(Table("EF (%)", columns, rows))
        for name, scores in result.get("scores", {}).items():
            r2 = "–" if scores["r2"] is None else f"{scores['r2']:.3f}"
            print(f"{name}: n {scores['n']}, R2 {r2}, MAE {scores['mae']:.2f}, RMSE {scores['rmse']:.2f} (EF points)")
    return result

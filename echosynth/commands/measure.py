"""`echosynth measure SOURCE ...`: the EF that regressors read in clips, as a table, CSV or JSON."""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_device, add_json, add_split, config_from_options
from echosynth.errors import ConfigError, OutputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source", type=Path, nargs="+", help="video, DICOM cine, .npy, EchoNet folder, or folder of files"
    )
    parser.add_argument(
        "--regressor",
        action="extend",
        nargs="+",
        help="names or folders; several are a panel too (default: the bundled panel)",
    )
    parser.add_argument("--fps", type=float, help="frame rate to use instead of the file's, Hz")
    add_split(parser)
    parser.add_argument(
        "--beats", action="store_true", help="beat by beat: windows around the end-systoles that the judge finds"
    )
    parser.add_argument(
        "--windows",
        metavar="N|all",
        help="so many windows, spread over the clip, or all that there are (default: half a length apart)",
    )
    parser.add_argument("--csv", type=Path, help="write the table to this file too")
    parser.add_argument("--embeddings", type=Path, metavar="FILE", help="keep what EF is read from, per clip, as .npz")
    parser.add_argument(
        "--plots",
        type=Path,
        metavar="DIR",
        help="draw scatter, Bland-Altman and a map of the embeddings here, if the truth is known",
    )
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and return the object of `--json`; scores are there if the truth of every clip is known."""
    import numpy as np

    from echosynth.commands.console import TerminalProgress, configure_logging, print_table
    from echosynth.evaluation.measure import MeasureConfig, measure
    from echosynth.report.measurement import describe_beats, reading_table, score_table, to_csv, write_plots
    from echosynth.storage.atomic import write_text
    from echosynth.video.writers import write_npz

    chosen = {"regressors": args.regressor} if args.regressor else {}
    config = config_from_options(
        MeasureConfig,
        sources=args.source,
        fps=args.fps,
        split=args.split,
        beats=args.beats,
        windows=args.windows,
        embeddings=args.embeddings is not None or args.plots is not None,
        device=args.device,
        **chosen,
    )
    if args.csv is not None and not args.csv.parent.is_dir():
        raise OutputError(f"--csv: there is no folder {args.csv.parent} to write {args.csv.name} into")
    result = measure(config, TerminalProgress(configure_logging()))
    if args.plots is not None:
        if result.scores is None:
            raise ConfigError("--plots needs clips whose EF is known")
        write_plots(args.plots, result)
    if args.embeddings is not None:
        write_npz(args.embeddings, files=np.array(result.files), **result.embeddings)
    if args.csv is not None:
        write_text(args.csv, to_csv(result))
    if not args.json:
        print_table(reading_table(result))
        for line in describe_beats(result):
            print(line)
        if result.scores is not None:
            scores = score_table(result)
            print()
            print_table(scores)
            print(scores.note)
    return result.to_dict()

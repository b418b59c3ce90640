"""`echosynth explain CLIP --regressor NAME ... --out DIR`: what each regressor finds in one clip, as pictures."""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_device, add_json, config_from_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("source", type=Path, help="video, DICOM cine or .npy; of a folder the first clip is taken")
    parser.add_argument(
        "--regressor", action="extend", nargs="+", help="names or folders (default: the bundled gate and judge)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--fps", type=float, help="frame rate to use instead of the file's, Hz")
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Draw and return the object of `--json`; the clip's first window is explained."""
    from echosynth.commands.console import TerminalProgress, configure_logging
    from echosynth.evaluation.explain import ExplainConfig, explain
    from echosynth.report.explanation import write_explanations

    chosen = {"regressors": args.regressor} if args.regressor else {}
    config = config_from_options(ExplainConfig, source=args.source, fps=args.fps, device=args.device, **chosen)
    result = explain(config, TerminalProgress(configure_logging()))
    written = write_explanations(args.out, result)
    content = result.to_dict()
    for entry, (figure, animation) in zip(content["explained"], written, strict=True):
        entry |= {"figure": str(figure), "animation": str(animation)}
        if not args.json:
            print(f"{entry['regressor']}: EF {entry['ef']:.1f} %; {figure}, {animation}")
    return content

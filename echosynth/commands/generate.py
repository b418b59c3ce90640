"""`echosynth generate SOURCE --ef 30 --ef 65 --out DIR`: one frame and target EFs in, checked clips out.

Without a source, `--fictional N` starts from N fictional patients.
"""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import (
    add_device,
    add_json,
    add_models,
    add_split,
    config_from_options,
    errors_name_options,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments; each is a field of `GenerateConfig`."""
    add = parser.add_argument
    add("source", type=Path, nargs="?", help="picture, video, DICOM, .npy, EchoNet folder, or folder of such files")
    add("--fictional", type=int, metavar="N", help="instead of a source: N patients who do not exist")
    add("--ef", type=float, action="extend", nargs="+", required=True, help="target EFs, per cent, 1-95")
    add("--out", type=Path, required=True, help="folder of the run; the same command again continues it")
    add("--samples", type=int, default=1, help="clips per source and EF (default 1)")
    add(
        "--frame",
        default=0,
        metavar="N|ed|es",
        help="which frame of a cine to start from, or the one that is traced at end-diastole or -systole (default 0)",
    )
    add_split(parser)
    add("--limit", type=int, help="at most this many clips of a folder")
    add("--max-attempts", type=int, default=3, help="attempts per clip until the gate accepts (default 3)")
    add("--tolerance", type=float, default=5.0, help="the gate accepts within this many points (default 5)")
    add("--steps", type=int, help="solver steps of the base stage (default: the model's own)")
    add("--guidance", type=float, help="guidance scale of the base stage (default: the model's own)")
    add("--heart-rate", type=float, metavar="BPM", help="beats per minute (default: the model's choice)")
    add(
        "--phase",
        metavar="ed|es|SHARE",
        help="moment of the frame: ed, es, or share of a beat since end-diastole (default: the model looks)",
    )
    add(
        "--quality",
        metavar="poor|medium|good|NUMBER",
        help="of the pictures, by name or from 0 (worst) to 1; the bundled model knows it of fictional patients",
    )
    add("--edv", type=float, metavar="ML", help="end-diastolic volume")
    add("--esv", type=float, metavar="ML", help="end-systolic volume, for a single EF")
    add("--seconds", type=float, help="length of the clips (default: the model's own)")
    add("--fps", type=float, help="frame rate of the clips (default: the model's own)")
    add("--size", type=int, help="side of the clips, pixels (default: the model's own)")
    add(
        "--keep", type=float, metavar="SECONDS", help="keep the source's first seconds from the frame on, continue them"
    )
    add("--seed", type=int, default=0, help="root seed (default 0)")
    add_models(parser)
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Generate and return the object of `--json`."""
    from echosynth.augmentation.generate import GenerateConfig, generate
    from echosynth.commands.console import TerminalProgress, configure_logging, print_table
    from echosynth.report.gallery import sample_table, write_gallery
    from echosynth.runtime import process_place

    options = {name: getattr(args, name) for name in GenerateConfig.model_fields}
    config = config_from_options(GenerateConfig, **options)
    with errors_name_options():
        result = generate(config, args.out, TerminalProgress(configure_logging()))
    if not process_place().is_first:
        return 0
    source = args.source.name if args.source else f"{args.fictional} fictional patients"
    intro = f"{len(result.clips)} clips from {source}. Frame 0 of each shows the moment of the conditioning frame."
    page = write_gallery(result, intro=intro)
    if not args.json:
        print_table(sample_table(result))
        print(f"\nclips: {result.run / 'clips'}   page: {page}")
    return result.to_dict()

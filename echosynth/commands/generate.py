"""`echosynth generate SOURCE --ef 30 --ef 65 --out DIR`: one frame and target EFs in, checked clips out.

Without a source, `--fictional N` starts from N patients that nobody has seen.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echosynth.errors import ConfigError

if TYPE_CHECKING:
    from echosynth.augmentation.conditioning import ConditioningFrame
    from echosynth.augmentation.sampling import Sampling
    from echosynth.augmentation.session import FinishedSample, GenerationJob


PHASES = {"ed": 0.0, "es": 0.4}  # end-systole at 70 beats a minute


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source", type=Path, nargs="?", help="picture, video, DICOM, .npy, EchoNet folder, or folder of such files"
    )
    parser.add_argument("--fictional", type=int, metavar="N", help="instead of a source: N patients who do not exist")
    parser.add_argument(
        "--ef", type=float, action="extend", nargs="+", required=True, help="target EFs, per cent, 1-95"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run; the same command again continues it"
    )
    parser.add_argument("--samples", type=int, default=1, help="clips per source and EF (default 1)")
    parser.add_argument("--frame", type=int, default=0, help="which frame of a cine to start from (default 0)")
    parser.add_argument("--limit", type=int, help="at most this many clips of a folder")
    parser.add_argument(
        "--max-attempts", type=int, default=3, help="attempts per clip until the gate accepts (default 3)"
    )
    parser.add_argument(
        "--tolerance", type=float, default=5.0, help="the gate accepts within this many points (default 5)"
    )
    parser.add_argument("--steps", type=int, help="solver steps of the base stage (default: the model's own)")
    parser.add_argument("--guidance", type=float, help="guidance scale of the base stage (default: the model's own)")
    parser.add_argument(
        "--heart-rate", type=float, metavar="BPM", help="beats per minute (default: the model's choice)"
    )
    parser.add_argument(
        "--phase",
        type=parse_phase,
        metavar="ed|es|SHARE",
        help="moment of the frame: ed, es, or share of a beat since end-diastole (default: the model looks)",
    )
    parser.add_argument(
        "--quality",
        type=parse_quality,
        metavar="poor|medium|good|NUMBER",
        help="of the pictures, by name or from 0 (worst) to 1; the bundled model knows it of fictional patients",
    )
    parser.add_argument("--edv", type=float, metavar="ML", help="end-diastolic volume")
    parser.add_argument("--esv", type=float, metavar="ML", help="end-systolic volume, for a single EF")
    parser.add_argument("--seconds", type=float, help="length of the clips (default: the model's own)")
    parser.add_argument("--fps", type=float, help="frame rate of the clips (default: the model's own)")
    parser.add_argument("--size", type=int, help="side of the clips, pixels (default: the model's own)")
    parser.add_argument(
        "--keep", type=float, metavar="SECONDS", help="keep the source's first seconds from the frame on, continue them"
    )
    parser.add_argument("--seed", type=int, default=0, help="root seed (default 0)")
    parser.add_argument("--model", help="cascade, a name or folder (default: the bundled one)")
    parser.add_argument("--gate", help="regressor that accepts or refuses (default: the bundled one)")
    parser.add_argument("--judge", help="regressor that only measures, not the gate (default: the bundled one)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def parse_phase(text: str) -> float:
    """A moment of the beat by name or as a share of it."""
    try:
        return PHASES[text] if text in PHASES else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be ed, es or a share of a beat, got {text!r}") from None


def parse_quality(text: str) -> float:
    """A quality by name or from 0 to 1."""
    from echosynth.diffusion.conditions import QUALITY_WORDS

    try:
        return QUALITY_WORDS[text] if text in QUALITY_WORDS else float(text)
    except ValueError:
        words = ", ".join(QUALITY_WORDS)
        raise argparse.ArgumentTypeError(f"must be {words} or a number from 0 to 1, got {text!r}") from None


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Generate and return the object of `--json`."""
    from echosynth.augmentation.acceptance import Tolerance
    from echosynth.augmentation.conditioning import load_conditioning_frames
    from echosynth.augmentation.loaded import DEFAULT_CASCADE, DEFAULT_GATE, DEFAULT_JUDGE
    from echosynth.augmentation.plan import check_target_ef
    from echosynth.augmentation.sampling import Sampling
    from echosynth.augmentation.session import GenerationJob, run_generation
    from echosynth.commands.console import configure_logging, print_table
    from echosynth.diffusion.conditions import CONDITIONS, read_conditions
    from echosynth.report.gallery import sample_table, write_gallery

    configure_logging()
    if (args.source is None) == (args.fictional is None):
        raise ConfigError("give either a SOURCE or --fictional N")
    if args.fictional is not None and (args.fictional < 1 or args.keep is not None or args.frame):
        raise ConfigError("--fictional takes a number of at least 1, and neither --keep nor --frame")
    if args.keep is not None and not args.keep > 0:
        raise ConfigError(f"--keep must be a number of seconds above 0, got {args.keep:g}")
    efs = list(dict.fromkeys(check_target_ef(ef) for ef in args.ef))
    if not args.tolerance >= 0:
        raise ConfigError(f"--tolerance must be a number of at least 0, got {args.tolerance:g}")
    if args.samples < 1 or (args.limit is not None and args.limit < 1):
        raise ConfigError("--samples and --limit must be at least 1")
    told = {name: getattr(args, name) for name in CONDITIONS if name != "ef"}
    sampling = Sampling(
        seed=args.seed,
        max_attempts=args.max_attempts,
        tolerance=Tolerance(args.tolerance),
        num_inference_steps=args.steps,
        guidance_scale=args.guidance,
        conditions={name: value for name, value in told.items() if value is not None},
        seconds=args.seconds,
        fps=args.fps,
        size=args.size,
    )
    try:  # what the pipeline would refuse is refused before the folder is claimed
        read_conditions({"ef": efs, **sampling.conditions}, len(efs), "cpu")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    cascade = args.model or DEFAULT_CASCADE
    if args.source is None:
        frames, sampling = sample_fictional_frames(args.fictional, efs[0], sampling, cascade, args.device)
    else:
        frames = load_conditioning_frames(args.source, args.frame, args.limit, args.keep or 0.0)
    job = GenerationJob(
        command="generate",
        frames=frames,
        efs=efs,
        samples=args.samples,
        out=args.out,
        cascade=cascade,
        gate=args.gate or DEFAULT_GATE,
        judge=args.judge or DEFAULT_JUDGE,
        sampling=sampling,
        device=args.device,
    )
    products = run_generation(job)
    source = args.source.name if args.source else f"{args.fictional} fictional patients"
    intro = f"{len(products)} clips from {source}. Frame 0 of each shows the moment of the conditioning frame."
    page = write_gallery(job, products, "Generated echocardiograms", intro)
    if not args.json:
        print_table(sample_table(products))
        print(f"\nclips: {args.out / 'clips'}   page: {page}")
    return product_json(job, products)


def sample_fictional_frames(
    count: int, ef: float, sampling: "Sampling", cascade: str, device: str
) -> "tuple[list[ConditioningFrame], Sampling]":
    """A frame each of patients that nobody has seen, and what is still to be said of their clips.

    Who they are depends on the seed, their number and the conditions that frames are drawn by; the EF is one only
    where no stage of its own draws them.
    """
    from echosynth.augmentation.conditioning import ConditioningFrame
    from echosynth.augmentation.loaded import choose_device, open_cascade
    from echosynth.augmentation.sampling import sample_frame
    from echosynth.diffusion.conditions import CONDITIONS
    from echosynth.progress import Reporter
    from echosynth.seeding import derive_seed

    model = open_cascade(cascade, choose_device(device)).model
    told = sampling.conditions
    spent = [name for name in told if name in model.frame_conditions and name not in model.supported_conditions]
    remark = ", ".join(f"{CONDITIONS[name].title} {told[name]:g}" for name in spent)
    made = []
    with Reporter(count, "drawing frames") as reporter:
        for k in range(1, count + 1):
            try:
                pixels = sample_frame(model, derive_seed(sampling.seed, "fictional", k), {"ef": ef, **told})
            except ValueError as error:
                raise ConfigError(str(error)) from None
            source = f"fictional patient {k}" + (f" ({remark})" if remark else "")
            made.append(ConditioningFrame(f"fictional_{k}", source, 0, pixels))
            reporter.step()
    return made, replace(sampling, conditions={name: told[name] for name in told if name not in spent})


def product_json(job: "GenerationJob", products: "Sequence[FinishedSample]") -> dict[str, Any]:
    """Return the object that `--json` prints for finished samples."""
    sources = [frame.source for frame in job.frames]
    return {
        "run": str(job.out),
        "clips": [
            {
                "file": str(job.out / "clips" / f"{p.sample.sample_id}.avi"),
                "source": sources[p.sample.source_index],
                "target_ef": p.entry.target_ef,
                "gate_ef": p.entry.gate_ef,
                "judge_ef": p.entry.judge_ef,
                "accepted": p.entry.accepted,
                "attempts": p.attempts,
                "seed": p.entry.seed,
                "seconds": p.seconds,
            }
            for p in products
        ],
    }

"""`echosynth demo`: a real scanner's A4C frame and two phantom patients, each at EF 25, 45 and 65; one page to look at.

The real clip is pydicom's `ybr_color` example, read from the installed package at run time and never copied. For the
phantoms the TRUE counterfactual, rendered by the simulator, stands beside the generated clip.
"""

import argparse
from pathlib import Path
from typing import Any

EFS = (25.0, 45.0, 65.0)
PHANTOM_SEEDS = (3_000_001, 3_000_009)  # of the first, two with a picture as clinics see it: four chambers, all walls
PHANTOM_EFS = (58.0, 35.0)
PHANTOM_PHASE = 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the run (default runs/demo)")
    parser.add_argument("--seed", type=int, default=0, help="root seed (default 0)")
    parser.add_argument("--model", help="cascade, a name or folder (default: the bundled one)")
    parser.add_argument("--gate", help="regressor that accepts or refuses (default: the bundled one)")
    parser.add_argument("--judge", help="regressor that only measures (default: the bundled one)")
    parser.add_argument("--max-attempts", type=int, default=4, help="attempts per clip (default 4)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Make the demo's clips and page; return the object of `--json`, with the keys of `generate`."""
    from echosynth.augmentation.conditioning import ConditioningFrame
    from echosynth.augmentation.loaded import DEFAULT_CASCADE, DEFAULT_GATE, DEFAULT_JUDGE
    from echosynth.augmentation.sampling import Sampling
    from echosynth.augmentation.session import GenerationJob, load_clip, run_generation
    from echosynth.commands.console import print_table
    from echosynth.commands.generate import product_json
    from echosynth.evaluation.cases import render_pair
    from echosynth.report.gallery import sample_table, write_gallery

    real = read_real_frame()
    phantoms = []
    for number, (seed, ef) in enumerate(zip(PHANTOM_SEEDS, PHANTOM_EFS, strict=True), start=1):
        picture, _ = render_pair(seed, ef, ef, 1, 32.0, PHANTOM_PHASE)
        phantoms.append(ConditioningFrame(f"phantom_{number}", f"phantom patient {seed}", 0, picture, ef))
    job = GenerationJob(
        command="demo",
        frames=[real, *phantoms],
        efs=EFS,
        samples=1,
        out=args.out,
        cascade=args.model or DEFAULT_CASCADE,
        gate=args.gate or DEFAULT_GATE,
        judge=args.judge or DEFAULT_JUDGE,
        sampling=Sampling(args.seed, args.max_attempts),
        device=args.device,
    )
    products = run_generation(job)
    truths = {}
    for product in products:
        if product.sample.source_index > 0:
            number = product.sample.source_index - 1
            clip = load_clip(args.out, product.sample)
            _, truth = render_pair(
                PHANTOM_SEEDS[number],
                PHANTOM_EFS[number],
                product.sample.target_ef,
                clip.num_frames,
                clip.fps,
                PHANTOM_PHASE,
                clip.pixels.shape[-1],
            )
            truths[product.sample.sample_id] = truth
    notes = {real.name: "A real apical four-chamber picture: pydicom's example file 'ybr_color', frame 0, cropped."}
    for frame in phantoms:
        notes[frame.name] = f"A simulated patient with EF {frame.ef:g}. Second row: the same patient as simulated."
    intro = "One frame in, the clip that this heart would show at EF 25, 45 and 65 % out. Each was measured twice."
    page = write_gallery(job, products, "echosynth demo", intro, truths, notes)
    if not args.json:
        print_table(sample_table(products))
        print(f"\nopen {page.resolve()}")
    return product_json(job, products) | {"page": str(page)}


def read_real_frame() -> Any:
    """Return frame 0 of pydicom's A4C example, cropped to the ultrasound sector, as a `ConditioningFrame`.

    Raises:
        SourceError: the installed pydicom lacks the file.
    """
    from pydicom import examples

    from echosynth.augmentation.conditioning import ConditioningFrame
    from echosynth.data.clip_files import load_clip_file
    from echosynth.errors import SourceError

    try:
        path = examples.get_path("ybr_color")
    except (FileNotFoundError, AttributeError, ValueError) as error:
        raise SourceError(f"the installed pydicom has no example 'ybr_color' ({error}); reinstall pydicom") from None
    clip = load_clip_file(path)
    return ConditioningFrame("real_a4c", "pydicom ybr_color", 0, clip.pixels[0])

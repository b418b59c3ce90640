"""`echosynth explain CLIP --regressor NAME ... --out DIR`: what each regressor goes by in one clip, as pictures."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from echosynth.regression.base import EFRegressor
    from echosynth.report.explanation import Explanation
    from echosynth.video.clip import EchoClip

SAMPLES = 500  # of a posterior
SIDE = 112  # pixels, of the pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("source", type=Path, help="video, DICOM cine or .npy; of a folder the first clip is taken")
    parser.add_argument(
        "--regressor", action="extend", nargs="+", help="names or folders (default: the bundled gate and judge)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--fps", type=float, help="frame rate to use instead of the file's, Hz")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Draw and return the object of `--json`; the clip's first window is explained."""
    from echosynth.augmentation.loaded import DEFAULT_GATE, DEFAULT_JUDGE, choose_device, open_regressor
    from echosynth.commands.measure import format_warnings, require_rate
    from echosynth.data.layouts import iter_clips, require_video
    from echosynth.report.explanation import animate_heat, draw_explanation
    from echosynth.report.figures import figure_to_png
    from echosynth.storage.atomic import atomic_write
    from echosynth.video.files import write_colour_gif

    require_rate(args.fps)
    names = list(dict.fromkeys(args.regressor or [DEFAULT_GATE, DEFAULT_JUDGE]))
    device = choose_device(args.device)
    regressors = [open_regressor(name, device) for name in names]
    file, clip = next(iter(iter_clips(args.source, args.fps)))
    require_video(file, clip)
    told = []
    for regressor in regressors:
        seen = look_into(regressor.model, clip, f"{Path(regressor.name).name} on {Path(file).name}")
        figure, animation = (args.out / f"{Path(regressor.name).name}{end}" for end in (".png", "_heat.gif"))
        with atomic_write(figure) as part:
            part.write_bytes(figure_to_png(draw_explanation(seen), dpi=110))
        write_colour_gif(animation, animate_heat(seen), seen.fps)
        warnings = regressor.model.contract_violations(clip)
        for line in format_warnings([{"file": file, "regressor": regressor.name, "warnings": warnings}]):
            print(line, file=sys.stderr)
        told.append(
            {
                "regressor": regressor.name,
                "ef": seen.ef,
                "figure": str(figure),
                "animation": str(animation),
                "warnings": warnings,
            }
        )
        if not args.json:
            print(f"{regressor.name}: EF {seen.ef:.1f} %; {figure}, {animation}")
    return {"file": file, "true_ef": clip.ef, "explained": told}


def look_into(model: "EFRegressor", clip: "EchoClip", title: str) -> "Explanation":
    """Everything that a regressor knows of a clip's first window."""
    import torch

    from echosynth.regression.grad_cam import grad_cam
    from echosynth.report.explanation import Explanation
    from echosynth.seeding import make_generator
    from echosynth.video.clip import from_network

    window = model.windows(clip)[:1].to(model.device)
    with torch.no_grad():
        said = model(window, details=True)
        paths = model.sample_posterior(window, SAMPLES, make_generator(0, "explain"))
        ef = float(model.predict_windows(window))
    phases = None if said.phases is None else said.phases[0].tolist()
    curve, landmarks = (None if part is None else part[0].cpu().numpy() for part in (said.curve, said.landmarks))
    return Explanation(
        title,
        from_network(model.windows(clip, SIDE)[0, 0]),
        model.contract.fps,
        None if phases is None else (phases[0], phases[1]),
        grad_cam(model, window, SIDE)[0].cpu().numpy(),
        landmarks,
        None if curve is None else curve / curve.max(),
        None if paths is None else paths[:, 0].cpu().numpy(),
        ef,
        clip.ef,
    )

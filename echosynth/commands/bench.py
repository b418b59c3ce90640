"""`echosynth bench generate`: counted work, measured time and memory of one clip, per stage.

`bench data` measures clips rendered and read, `bench regressors` the size, work and latency of every regressor,
`bench --estimate CONFIG` counts what training a cascade will take.

Work is counted, not estimated: torch's counter watches every network call of one clip, so guidance counts as the two
passes it is; the EF guide's readings and gradients, and the tissue tracker, count with the stage that they serve (2
operations per multiply-add). Time is the fastest of the repeats after one warm-up, for all clips of a batch together.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from echosynth.diffusion.pipeline import EchoCascadePipeline

REFERENCE = {
    "name": "EchoDiffusion, four stages (Reynaud et al. 2023), 64 frames of 112x112",
    "tflop": 1181.0,
    "passes": 632,
    "seconds": 279.0,
    "device": "NVIDIA A100",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "what", nargs="?", choices=("generate", "data", "regressors"), default="generate", help="what to measure"
    )
    parser.add_argument("--estimate", metavar="CONFIG", help="instead: what training this cascade will take")
    parser.add_argument("--gpus", type=int, default=1, metavar="N", help="of --estimate: share a batch (default 1)")
    parser.add_argument(
        "--tflops", type=float, default=100.0, metavar="X", help="of --estimate: what one GPU achieves (default 100)"
    )
    parser.add_argument("--model", metavar="NAME|DIR", help="cascade (default: the bundled one)")
    parser.add_argument(
        "--reference", type=Path, metavar="CONFIG", help="also time a cascade of this config, a pass of each stage"
    )
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="timed runs (default 3)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="clips made at once (default 1)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and print a table."""
    from echosynth.augmentation.loaded import DEFAULT_CASCADE, choose_device
    from echosynth.benchmark.data import measure_data
    from echosynth.benchmark.reference import time_reference
    from echosynth.benchmark.regressors import measure_regressors
    from echosynth.commands.bench_estimate import estimate
    from echosynth.diffusion.loading import load_cascade
    from echosynth.errors import ConfigError

    if args.estimate:
        return estimate(Path(args.estimate), args.gpus, args.tflops)
    for option in ("repeat", "batch"):
        if getattr(args, option) < 1:
            raise ConfigError(f"--{option}: must be at least 1, got {getattr(args, option)}")
    if args.what == "data":
        found = measure_data(choose_device(args.device))
        for row in found["rates"]:
            print(f"{row['name']:40} {row['clips_per_s']:10.1f} clips/s")
        for codec in found["codecs"]:
            loss = "lossless" if codec["psnr_db"] is None else f"PSNR {codec['psnr_db']:.1f} dB"
            print(f"{codec['name']:40} {codec['kilobytes']:10.0f} kB a clip, {loss}")
        print(f"clips of 64 frames of 112x112; one process, {found['threads']} threads, {found['device']}")
        return found
    if args.what == "regressors":
        rows = measure_regressors(choose_device(args.device), args.repeat)
        print(f"{'regressor':32} {'M weights':>10} {'published':>10} {'GFLOP':>8} {'published':>10} {'seconds':>8}")
        for row in rows:
            known = row["published"] or {"parameters": None, "gflop": None}
            weights = "–" if known["parameters"] is None else f"{known['parameters'] / 1e6:.2f}"
            work = "–" if known["gflop"] is None else f"{known['gflop']:.2f}"
            ours = "–" if row["gflop"] is None else f"{row['gflop']:.2f}"
            seconds = "–" if row["seconds"] is None else f"{row['seconds']:.3f}"
            print(f"{row['name']:32} {row['parameters'] / 1e6:10.2f} {weights:>10} {ours:>8} {work:>10} {seconds:>8}")
        return {"regressors": rows}
    name = args.model or DEFAULT_CASCADE
    pipeline = load_cascade(name, choose_device(args.device))
    result = {"model": str(name)} | measure(pipeline, args.repeat, args.batch)
    line = "{:8} {:>12} {:>7} {:>9} {:>9} {:>9}"
    print(line.format("stage", "parameters", "passes", "TFLOP", "seconds", "peak MB"))
    for stage in [*result["stages"], result["total"] | {"name": "total"}]:
        numbers = f"{stage['tflop']:.4f}", f"{stage['seconds']:.3f}", f"{stage['peak_mb']:.0f}"
        print(line.format(stage["name"], stage["parameters"], stage["passes"], *numbers))
    known = REFERENCE
    print(f"{args.batch / result['total']['seconds']:.1f} clips/s, {args.batch} at once")
    print(f"on {result['device']}; published for comparison, {known['name']}:")
    print(f"{known['tflop']:.0f} TFLOP, {known['passes']} passes, {known['seconds']:.0f} s on an {known['device']}")
    if args.reference is not None:
        result["measured_reference"] = timed = time_reference(args.reference, pipeline.device.type)
        timed["times_slower"] = timed["seconds"] / (result["total"]["seconds"] / args.batch)
        print(
            f"{timed['name']} here, float32: {timed['tflop']:.0f} TFLOP, {timed['passes']} passes, "
            f"{timed['seconds']:.0f} s a clip by one pass of each stage: {timed['times_slower']:.0f} times as long"
        )
    return result


def measure(pipeline: "EchoCascadePipeline", repeat: int = 3, batch: int = 1) -> dict[str, Any]:
    """Make one clip under the counter, and `batch` at once `repeat` times against the clock.

    Returns:
        {"stages": [{"name", "parameters", "passes", "tflop", "seconds", "peak_mb"}], "total", "device", "reference"}.
    """
    import torch

    work, passes = _count(pipeline)
    runs: list[dict[str, tuple[float, float]]] = []
    for _ in range(repeat + 1):
        with _watch_stages(pipeline) as seen:
            _make_clip(pipeline, batch)
        runs.append(dict(seen))
    timed = min(runs[1:], key=lambda run: sum(seconds for seconds, _ in run.values()))

    def parameters(part: str) -> int:
        network = getattr(pipeline, part)
        return 0 if network is None else sum(p.numel() for p in network.parameters())

    stages: list[dict[str, Any]] = [
        {
            "name": spec.name,
            "parameters": parameters(f"{spec.name}_unet")
            + (parameters("ef_guide") if spec.ef_guidance_scale or spec.correction else 0)
            + (parameters("tissue_tracker") if spec.tracked else 0),
            "passes": passes[spec.name],
            "tflop": work[spec.name] / 1e12,
            "seconds": timed[spec.name][0],
            "peak_mb": max(run[spec.name][1] for run in runs),
        }
        for spec in pipeline.stages
    ]
    total: dict[str, Any] = {
        key: sum(stage[key] for stage in stages) for key in ("parameters", "passes", "tflop", "seconds")
    }
    total["peak_mb"] = max(stage["peak_mb"] for stage in stages)
    device = pipeline.device
    on = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    return {"stages": stages, "total": total, "device": on, "reference": REFERENCE}


def _make_clip(pipeline: "EchoCascadePipeline", batch: int = 1) -> None:
    import torch

    unet: Any = pipeline.base_unet
    side = pipeline.stages[0].size * unet.config.frame_patch // unet.config.patch
    pipeline.set_progress_bar_config(disable=True)
    pipeline(torch.zeros(batch, 1, side, side), 50.0, generator=torch.Generator().manual_seed(0), output_type="pt")


def _count(pipeline: "EchoCascadePipeline") -> tuple[dict[str, int], dict[str, int]]:
    """Operations and network passes (a batched pair counts twice) of one clip, per stage."""
    from torch.utils.flop_counter import FlopCounterMode

    work: dict[str, int] = {}
    passes: dict[str, int] = {spec.name: 0 for spec in pipeline.stages}
    handles: list[Any] = []
    running: list[str] = []

    def count_helper(module: Any, given: tuple[Any, ...]) -> None:
        passes[running[-1]] += len(given[0])

    for name in passes:

        def count(module: Any, given: tuple[Any, ...], stage: str = name) -> None:
            passes[stage] += len(given[0])

        handles.append(getattr(pipeline, f"{name}_unet").register_forward_pre_hook(count))
    helpers: list[Any] = [part for part in (pipeline.ef_guide, pipeline.tissue_tracker) if part is not None]
    handles += [part.register_forward_pre_hook(count_helper) for part in helpers]
    original = pipeline._run_stage

    def counted(spec: Any, *rest: Any) -> Any:
        running.append(spec.name)
        with FlopCounterMode(display=False) as counter:
            made = original(spec, *rest)
        work[spec.name] = counter.get_total_flops()
        return made

    try:
        with _replaced(pipeline, counted):
            _make_clip(pipeline)
    finally:
        for handle in handles:
            handle.remove()
    return work, passes


@contextmanager
def _watch_stages(pipeline: "EchoCascadePipeline") -> Iterator[dict[str, tuple[float, float]]]:
    """Collect seconds and peak memory in MB of every stage that runs inside the block."""
    seen: dict[str, tuple[float, float]] = {}
    original = pipeline._run_stage
    memory = _PeakMemory(pipeline.device.type)

    def watched(spec: Any, *rest: Any) -> Any:
        memory.reset()
        began = time.perf_counter()
        made = original(spec, *rest)
        made.sum().item()  # a GPU answers before it has finished
        seen[spec.name] = (time.perf_counter() - began, memory.read())
        return made

    with _replaced(pipeline, watched):
        yield seen


@contextmanager
def _replaced(pipeline: "EchoCascadePipeline", stage: Callable[..., Any]) -> Iterator[None]:
    """Let the pipeline run its stages through `stage` inside the block."""
    setattr(pipeline, "_run_stage", stage)  # noqa: B010
    try:
        yield
    finally:
        delattr(pipeline, "_run_stage")


class _PeakMemory:
    """Most memory in use since `reset`, MB: of the GPU, or of the whole process on CPU.

    Where the system cannot reset its mark (not Linux) it is the peak since the process began.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def reset(self) -> None:
        if self.device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            pass

    def read(self) -> float:
        if self.device == "cuda":
            import torch

            return torch.cuda.max_memory_allocated() / 1e6
        try:
            status = Path("/proc/self/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
        except (OSError, IndexError):
            unit = 1 if sys.platform == "darwin" else 1024
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

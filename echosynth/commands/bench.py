"""`echosynth bench`: counted work, measured time and memory of cascades, clips, regressors and training.

`bench generate` measures one clip, stage by stage; `bench data` clips rendered and read; `bench regressors` the size,
work and latency of every regressor; `bench --estimate CONFIG` counts what a training will take.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from echosynth.commands.console import print_table
from echosynth.commands.options import add_device, add_json, config_from_options
from echosynth.report.tables import Table, format_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("what", nargs="?", choices=tuple(BENCHMARKS), default="generate", help="what to measure")
    parser.add_argument("--estimate", metavar="CONFIG", help="instead: what this training will take")
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
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and print a table."""
    return _estimate_training(args) if args.estimate else BENCHMARKS[args.what](args)


def _measure_cascade(args: argparse.Namespace) -> dict[str, Any]:
    from echosynth.benchmark.cascade import benchmark_cascade
    from echosynth.benchmark.reference import PUBLISHED
    from echosynth.benchmark.settings import CascadeBenchmarkConfig

    named = {} if args.model is None else {"model": args.model}
    options = {name: getattr(args, name) for name in ("repeat", "batch", "device", "reference")}
    result = benchmark_cascade(config_from_options(CascadeBenchmarkConfig, **named, **options))
    total = result.cost.total
    rows = [
        (s.name, s.parameters, s.passes, f"{s.tflop:.4f}", f"{s.seconds:.3f}", f"{s.peak_mb:.0f}")
        for s in [*result.cost.stages, total]
    ]
    _print_rows(("stage", "parameters", "passes", "TFLOP", "seconds", "peak MB"), rows)
    print(f"{args.batch / total.seconds:.1f} clips/s, {args.batch} at once")
    print(f"on {result.cost.device}; published for comparison, {PUBLISHED['name']}:")
    print("{tflop:.0f} TFLOP, {passes} passes, {seconds:.0f} s on an {device}".format(**PUBLISHED))
    if (timed := result.reference) is not None:
        print(
            f"{timed.name} here, float32: {timed.tflop:.0f} TFLOP, {timed.passes} passes, {timed.seconds:.0f} s a clip "
            f"by one pass of each stage: {result.times_slower:.0f} times as long"
        )
    return result.to_dict()


def _measure_data(args: argparse.Namespace) -> dict[str, Any]:
    from echosynth.benchmark.data import benchmark_data
    from echosynth.benchmark.settings import DataBenchmarkConfig

    result = benchmark_data(DataBenchmarkConfig(device=args.device))
    _print_rows(("data", "clips/s"), [(name, f"{rate:.1f}") for name, rate in result.rates.items()])
    codecs = [
        (c.name, f"{c.kilobytes:.0f}", "lossless" if c.psnr_db is None else f"{c.psnr_db:.1f}") for c in result.codecs
    ]
    _print_rows(("codec", "kB a clip", "PSNR, dB"), codecs)
    print(f"clips of 64 frames of 112x112; one process, {result.threads} threads, {result.device}")
    return result.to_dict()


def _measure_regressors(args: argparse.Namespace) -> dict[str, Any]:
    from echosynth.benchmark.regressors import benchmark_regressors
    from echosynth.benchmark.settings import RegressorBenchmarkConfig

    result = benchmark_regressors(config_from_options(RegressorBenchmarkConfig, device=args.device, repeat=args.repeat))
    rows = []
    for row in result.regressors:
        weights, work = ((row.published or {}).get(key) for key in ("parameters", "gflop"))
        millions = [None if count is None else count / 1e6 for count in (row.parameters, weights)]
        numbers = [*map(format_number, (*millions, row.gflop, work)), format_number(row.seconds, 3)]
        rows.append((row.name, *numbers))
    _print_rows(("regressor", "M weights", "published", "GFLOP", "published", "seconds"), rows)
    return result.to_dict()


def _estimate_training(args: argparse.Namespace) -> dict[str, Any]:
    import torch

    from echosynth.benchmark.settings import TrainingCostConfig
    from echosynth.benchmark.training_cost import estimate_training

    config = config_from_options(TrainingCostConfig, config=args.estimate, gpus=args.gpus, tflops=args.tflops)
    result = estimate_training(config).to_dict()
    rows = []
    for s in [*result["stages"], result["total"] | {"name": "total"}]:
        step = "" if s["step_tflop"] is None else f"{s['step_tflop']:.2f}"
        hours = f"{s['hours']:.2g}", format_number(s["cpu_hours"])
        work = f"{s['clip_tflop']:.2g}", step, f"{s['memory_gb']:.1f}", *hours
        rows.append((s["name"], s["parameters"], s["passes"], *work))
    _print_rows(
        ("stage", "parameters", "passes/clip", "TFLOP/clip", "TFLOP/step", "GB/GPU", "GPU hours", "CPU hours"), rows
    )
    print(f"work and memory are counted; {args.gpus} GPUs (--gpus) of {args.tflops:g} TFLOP/s each (--tflops)")
    print(f"CPU: {torch.get_num_threads()} threads here, by one timed sample; drawing and changing clips comes on top")
    return result


def _print_rows(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    print_table(Table("", columns, rows))


BENCHMARKS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "generate": _measure_cascade,
    "data": _measure_data,
    "regressors": _measure_regressors,
}

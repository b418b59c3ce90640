"""`echosynth doctor`: is this installation fit to work? One line per check; exit code 1 if one fails."""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from typing import Any

MIN_FREE_GIB = 1.0
Check = tuple[str, bool, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), f"{platform.python_version()} ({sys.executable})"


def _torch() -> tuple[bool, str]:
    import torch

    total = float(torch.ones(64, 64).matmul(torch.ones(64, 64)).sum())
    return total == 64.0**3, f"{torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"


def _device() -> tuple[bool, str]:
    import torch

    if not torch.cuda.is_available():
        return True, "cpu (no CUDA device)"
    name, memory = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
    return True, f"cuda: {name}, {memory / 2**30:.0f} GiB"


def _video() -> tuple[bool, str]:
    import av

    missing = [codec for codec in ("ffv1", "mjpeg", "libx264") if codec not in av.codecs_available]
    return not missing, f"PyAV {av.__version__}" + (f"; codecs missing: {', '.join(missing)}" if missing else "")


def _xformers() -> tuple[bool, str]:
    there = importlib.util.find_spec("xformers") is not None
    return True, "installed" if there else "not installed (optional: pip install 'echosynth[xformers]')"


def _models() -> tuple[bool, str]:
    from echosynth.storage.model_store import list_models, verify

    entries = list_models()
    for entry in entries:
        verify(entry.folder)
    if not entries:
        return False, "no models found; run in a checkout, or `echosynth models add DIR`"
    return True, f"verified: {', '.join(entry.name for entry in entries)}"


def _disk() -> tuple[bool, str]:
    free = shutil.disk_usage(os.getcwd()).free / 2**30
    return free >= MIN_FREE_GIB, f"{free:.1f} GiB free here"


CHECKS: dict[str, Callable[[], tuple[bool, str]]] = {
    "python": _python,
    "torch": _torch,
    "device": _device,
    "video": _video,
    "xformers": _xformers,
    "models": _models,
    "disk": _disk,
}


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Run every check, whatever the others say."""
    checks: list[Check] = []
    for name, check in CHECKS.items():
        try:
            good, words = check()
        except Exception as error:  # a broken library may raise anything, and the other checks still count
            good, words = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
        checks.append((name, good, words))
        print(f"{'ok  ' if good else 'FAIL'} {name:9} {words}")
    good = all(check[1] for check in checks)
    result = {"ok": good, "checks": [{"name": n, "ok": g, "detail": d} for n, g, d in checks]}
    if good:
        return result
    if args.json:  # the object belongs to stdout, and so does the exit code to a failure
        print(json.dumps(result, indent=2), file=sys.__stdout__)
    return 1

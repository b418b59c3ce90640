"""Is this installation fit to work? Each check imports what it looks at, so that a broken library fails one of them."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

MIN_FREE_GIB = 1.0


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: what was looked at.
        ok: whether it is fit.
        detail: versions, devices, folders, or what is wrong.
    """

    name: str
    ok: bool
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """The entry of `doctor --json`."""
        return asdict(self)


def check_installation() -> list[Check]:
    """Run every check, whatever the others say."""
    found = []
    for name, check in CHECKS.items():
        try:
            ok, detail = check()
        except Exception as error:  # a broken library may raise anything, and the other checks still count
            ok, detail = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
        found.append(Check(name, ok, detail))
    return found


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
    from echosynth.storage.checksums import verify
    from echosynth.storage.model_store import list_models

    entries = list_models()
    for entry in entries:
        verify(entry.folder)
    if not entries:
        return False, "no models found; install echosynth again, or `echosynth models add DIR`"
    return True, f"verified: {', '.join(entry.name for entry in entries)}"


def _configs() -> tuple[bool, str]:
    from echosynth.storage.bundled import bundled_folder

    folder = bundled_folder("configs")
    count = len(list(folder.rglob("*.yaml")))
    return count > 0, f"{count} in {folder}" if count else f"none in {folder}; install echosynth again"


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
    "configs": _configs,
    "disk": _disk,
}

"""The most memory that a piece of work used."""

import resource
import sys
from pathlib import Path

import torch


class PeakMemory:
    """Most memory in use since `reset`, MB: of the GPU, or of the whole process on CPU.

    Where the system cannot reset its mark (not Linux) it is the peak since the process began.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def reset(self) -> None:
        """Forget the peak so far."""
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            pass

    def read(self) -> float:
        """The peak since `reset`."""
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated() / 1e6
        try:
            status = Path("/proc/self/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
        except (OSError, IndexError):
            unit = 1 if sys.platform == "darwin" else 1024
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

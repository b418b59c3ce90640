"""Clips of 64 frames of 112x112 rendered, decoded and cut to windows in a second.

Beside the rates: what the two codecs of datasets cost in bytes and in likeness.
"""

import functools
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from echosynth.benchmark.settings import DataBenchmarkConfig
from echosynth.data.clips import build_store
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.metrics.similarity import compare_clips
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.runtime import choose_device
from echosynth.video.clip import EchoClip
from echosynth.video.readers import load_video
from echosynth.video.writers import write_avi

RATE, FRAMES, CLIPS = 50.0, 176, 8  # of the clips that are read: EchoNet-Dynamic's middle


@dataclass(frozen=True)
class CodecCost:
    """What a codec costs: PSNR in dB, None where nothing is lost, and kilobytes a clip."""

    name: str
    psnr_db: float | None
    kilobytes: float


@dataclass(frozen=True)
class DataBenchmark:
    """Result of `benchmark_data`.

    Attributes:
        rates: clips a second of one process, by what is done.
        codecs: of datasets.
        device: that renders.
        threads: of the processor.
    """

    rates: dict[str, float]
    codecs: list[CodecCost]
    device: str
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """The object of `bench data --json`."""
        rates = [{"name": name, "clips_per_s": rate} for name, rate in self.rates.items()]
        return asdict(self) | {"rates": rates}


def benchmark_data(config: DataBenchmarkConfig) -> DataBenchmark:
    """Measure each for about `config.seconds`, in this process alone.

    Raises:
        ConfigError: the device is not there.
    """
    device = choose_device(config.device)
    render, rendered = _renderer(device)
    rates = {"render a phantom": _rate(render, config.seconds)}
    clip = EchoClip(rendered[0], RATE, 50.0, 100.0, 50.0)
    codecs = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, lossless in (("FFV1", True), ("MJPG", False)):
            path = root / f"{name}.avi"
            write_avi(path, clip, lossless)
            rates[f"decode {name}"] = _rate(functools.partial(_decode, path), config.seconds)
            likeness = compare_clips(load_video(path).pixels, clip.pixels).psnr
            codecs.append(CodecCost(name, likeness if math.isfinite(likeness) else None, path.stat().st_size / 1000))
        for name, read in _readers(root, clip):
            rates[name] = _rate(read, config.seconds)
    return DataBenchmark(rates, codecs, device, torch.get_num_threads())


def _renderer(device: str) -> tuple[Callable[[], int], list[np.ndarray]]:
    """What renders a batch of phantoms, and the list that holds the first clip of the last batch."""
    batch = 1 if device == "cpu" else 16
    patients = [sample_patient(seed) for seed in range(batch)]
    views = [sample_view(seed, p.long_axis) for seed, p in enumerate(patients)]
    rendered: list[np.ndarray] = []

    def render() -> int:
        pixels, _ = Phantom(patients, views, range(batch), device=device).render([50.0] * batch)
        rendered[:] = [pixels[0].cpu().numpy()]  # a GPU answers before it has finished
        return batch

    return render, rendered


def _readers(root: Path, clip: EchoClip) -> Iterator[tuple[str, Callable[[], int]]]:
    """What cuts windows out of the decoded store of a dataset of clips like this one, with and without resampling."""
    dataset = _write_dataset(root / "set", clip.replace(pixels=np.resize(clip.pixels, (FRAMES, 112, 112))))
    store = build_store(EchoNetDataset(dataset), root / "store")
    generator = torch.Generator().manual_seed(0)

    def read(fps: float) -> int:
        picks = torch.randint(CLIPS, (16,), generator=generator).tolist()
        store.windows(picks, torch.rand(16, generator=generator).tolist(), 64, fps)
        return 16

    yield "windows from the store, 50 Hz", functools.partial(read, 50.0)
    yield "windows from the store, 50 Hz to 32 Hz", functools.partial(read, 32.0)


def _rate(work: Callable[[], int], seconds: float) -> float:
    """Clips per second of `work`, which returns how many it made; once unmeasured, then for `seconds`."""
    work()
    began, made = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        made += work()
    return made / (time.perf_counter() - began)


def _decode(path: Path) -> int:
    load_video(path)
    return 1


def _write_dataset(root: Path, clip: EchoClip) -> Path:
    with EchoNetWriter(root, lossless=True) as writer:
        for k in range(CLIPS):
            writer.add(f"clip{k}", clip, "TRAIN")
    return root

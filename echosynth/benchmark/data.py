"""`echosynth bench data`: clips of 64 frames of 112x112 rendered, decoded and cut to windows in a second.

Beside the rates: what the two codecs of datasets cost in bytes and in likeness.
"""

import functools
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RATE, FRAMES, CLIPS = 50.0, 176, 8  # of the clips that are read: EchoNet-Dynamic's middle


def measure_data(device: str, seconds: float = 3.0) -> dict[str, Any]:
    """Measure each for about `seconds`, in this process alone.

    Returns:
        {"rates": [{"name", "clips_per_s"}], "codecs": [{"name", "psnr_db", "kilobytes"}], "device", "threads"};
        psnr_db is None where nothing is lost.
    """
    import numpy as np
    import torch

    from echosynth.data.clips import build_store
    from echosynth.data.echonet_format import EchoNetDataset
    from echosynth.metrics.similarity import compare_clips
    from echosynth.phantom.population import sample_patient
    from echosynth.phantom.render import Phantom
    from echosynth.phantom.scanner import sample_view
    from echosynth.video.clip import EchoClip
    from echosynth.video.files import load_video, write_avi

    batch = 1 if device == "cpu" else 16
    patients = [sample_patient(seed) for seed in range(batch)]
    views = [sample_view(seed, p.long_axis) for seed, p in enumerate(patients)]

    rendered: list[np.ndarray] = []

    def render() -> int:
        pixels, _ = Phantom(patients, views, range(batch), device=device).render([50.0] * batch)
        rendered[:] = [pixels[0].cpu().numpy()]  # a GPU answers before it has finished
        return batch

    rates = {"render a phantom": _rate(render, seconds)}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        short = EchoClip(rendered[0], RATE, 50.0, 100.0, 50.0)
        codecs: list[dict[str, Any]] = []
        for name, lossless in (("FFV1", True), ("MJPG", False)):
            path = root / f"{name}.avi"
            write_avi(path, short, lossless)
            rates[f"decode {name}"] = _rate(functools.partial(_decode, path), seconds)
            likeness = compare_clips(load_video(path).pixels, short.pixels).psnr
            psnr = likeness if math.isfinite(likeness) else None
            codecs.append({"name": name, "psnr_db": psnr, "kilobytes": path.stat().st_size / 1000})
        dataset = _write_dataset(root / "set", short.replace(pixels=np.resize(short.pixels, (FRAMES, 112, 112))))
        store = build_store(EchoNetDataset(dataset), root / "store")
        generator = torch.Generator().manual_seed(0)

        def read(fps: float) -> Callable[[], int]:
            def draw() -> int:
                picks = torch.randint(CLIPS, (16,), generator=generator).tolist()
                store.windows(picks, torch.rand(16, generator=generator).tolist(), 64, fps)
                return 16

            return draw

        rates["windows from the store, 50 Hz"] = _rate(read(50.0), seconds)
        rates["windows from the store, 50 Hz to 32 Hz"] = _rate(read(32.0), seconds)
    rows = [{"name": name, "clips_per_s": rate} for name, rate in rates.items()]
    return {"rates": rows, "codecs": codecs, "device": device, "threads": torch.get_num_threads()}


def _rate(work: Callable[[], int], seconds: float) -> float:
    """Clips per second of `work`, which returns how many it made; once unmeasured, then for `seconds`."""
    work()
    began, made = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        made += work()
    return made / (time.perf_counter() - began)


def _decode(path: Path) -> int:
    from echosynth.video.files import load_video

    load_video(path)
    return 1


def _write_dataset(root: Path, clip: Any) -> Path:
    from echosynth.data.echonet_format import EchoNetWriter

    with EchoNetWriter(root, lossless=True) as writer:
        for k in range(CLIPS):
            writer.add(f"clip{k}", clip, "TRAIN")
    return root

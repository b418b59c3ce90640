"""Phantom patients as a dataset in EchoNet format, with exact labels and exact counterfactuals.

    OUT/Videos/P0000007.avi         patient 7 at an EF drawn for it (the factual)
    OUT/Videos/P0000007_ef30.avi    the same patient, view, noise and phase at EF 30 %
    OUT/Masks/P0000007.npz          on request: `labels` uint8 (T, S, S), 1 cavity, 2 myocardium, 3 left atrium
    OUT/Motion/P0000007.npz         on request: `displacement` float16 (T, 2, S, S), pixels, from where tissue is to
                                    where it is in the ED frame, NaN outside of the sector; `volume` float32 (T,), ml
    OUT/FileList.csv, OUT/VolumeTracings.csv, OUT/Phantom.csv, OUT/README.md, OUT/config.yaml, OUT/provenance.json

The 20-disc method on the written tracings gives back the EF that was asked for. A patient's clips share one split.
"""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from echosynth.data.echonet_format import EchoNetWriter
from echosynth.data.echonet_tables import Tracing, write_table
from echosynth.errors import OutputError
from echosynth.phantom.contours import trace_contours
from echosynth.phantom.maps import displace_pixels, label_pixels
from echosynth.phantom.plan import PhantomRow, SimulateConfig, make_patient, make_view, plan_patient
from echosynth.phantom.render import Phantom, Truth
from echosynth.storage.atomic import write_text
from echosynth.storage.provenance import save_resolved
from echosynth.video.clip import EchoClip
from echosynth.video.files import write_npz


def trace(phantom: Phantom, truth: Truth, item: int, frame: int) -> Tracing:
    """The exact tracing of one frame, as EchoNet's tables hold it."""
    axis, chords = (v[item, 0].cpu().numpy() for v in trace_contours(phantom, truth.at(frame)))
    return Tracing(frame, axis, chords.reshape(-1, 4))


def traced_ef(ed: Tracing, es: Tracing) -> float:
    """EF by the method of discs from two tracings, per cent; the unit of length cancels."""
    return 100.0 * (1.0 - es.volume / ed.volume)


@dataclass(frozen=True, eq=False)
class Rendered:
    """One clip: its row, uint8 (T, S, S), the tracings of its ED and ES frame, and by folder the arrays asked for."""

    row: PhantomRow
    pixels: np.ndarray
    traced: list[Tracing]
    extras: dict[str, dict[str, np.ndarray]]


def render_rows(config: SimulateConfig, rows: list[PhantomRow]) -> list[Rendered]:
    """Render clips of one patient.

    Raises:
        RuntimeError: the tracings do not hold the EF asked for: a bug of ours, and no label is better than a wrong one.
    """
    seed = rows[0].patient_seed
    phantom = Phantom([make_patient(config, seed)], [make_view(config, seed)], [seed], config.size)
    made: list[Rendered] = []
    for row in rows:
        pixels, truth = phantom.render([row.ef], row.frames, row.fps, [row.start_phase])
        traced = [trace(phantom, truth, 0, frame) for frame in (row.ed_frame, row.es_frame)]
        if abs((found := traced_ef(*traced)) - row.ef) > 1e-4:
            raise RuntimeError(f"{row.file}: traced EF {found:.5f} % is not the EF asked for, {row.ef:.5f} %")
        extras: dict[str, dict[str, np.ndarray]] = {}
        if config.masks:
            extras["Masks"] = {"labels": label_pixels(phantom, truth)[0].numpy()}
        if config.motion:
            moved = displace_pixels(phantom, truth, truth.at(row.ed_frame))[0].half()
            extras["Motion"] = {"displacement": moved.numpy(), "volume": truth.motion.volume[0].float().numpy()}
        made.append(Rendered(row, pixels[0].numpy(), traced, extras))
    return made


def _render_job(job: tuple[SimulateConfig, list[PhantomRow]]) -> list[Rendered]:
    torch.set_num_threads(1)
    return render_rows(*job)


def _render_all(config: SimulateConfig, jobs: list[list[PhantomRow]], workers: int) -> Iterator[list[Rendered]]:
    """Render the patients in order, here or by several processes."""
    if workers <= 1 or len(jobs) < 2:
        yield from (render_rows(config, rows) for rows in jobs)
        return
    # spawn: forking a process that has used torch's threads can hang.
    with multiprocessing.get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        yield from pool.imap(_render_job, [(config, rows) for rows in jobs])


def simulate(
    config: SimulateConfig, out: Path, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Write the dataset; running it again with the same config continues a run that was interrupted.

    Args:
        config: what.
        out: folder, made if missing.
        workers: processes that render; the dataset does not depend on it.
        progress: called as progress(clips done, clips in all).

    Returns:
        {"run", "patients", "clips", "rendered", "splits"}; "rendered" counts what this call added.

    Raises:
        OutputError: the folder holds something else, or the disk refused.
        DatasetError: the clips are too short to be labelled.
    """
    out = Path(out)
    if (out / "FileList.csv").exists() and not (out / "config.yaml").exists():
        raise OutputError(f"{out} holds a dataset that `simulate` did not write; choose another folder")
    patients = [plan_patient(config, seed) for seed in range(config.seed, config.seed + config.patients)]
    save_resolved(config, out)
    rows = [row for patient in patients for row in patient]
    with EchoNetWriter(out, lossless=config.lossless, synthetic=True) as writer:
        jobs = [left for patient in patients if (left := [row for row in patient if row.file not in writer])]
        rendered = sum(len(job) for job in jobs)
        done = len(rows) - rendered
        for clips in _render_all(config, jobs, workers):
            for made in clips:
                row = made.row
                for folder, arrays in made.extras.items():  # before the clip, whose entry says that all of it is there
                    write_npz(out / folder / f"{row.file}.npz", **arrays)
                pixels, ed, es = made.pixels, row.ed_frame, row.es_frame
                clip = EchoClip(pixels, row.fps, row.ef, row.edv, row.esv, ed, es, row.file)
                writer.add(row.file, clip, row.split, made.traced)
                done += 1
                if progress:
                    progress(done, len(rows))
    header = [field.name for field in fields(PhantomRow)]
    write_table(out / "Phantom.csv", header, (asdict(row).values() for row in rows))
    write_text(out / "README.md", describe(config, rows))
    splits = Counter(row.split for row in rows)
    return {
        "run": str(out),
        "patients": config.patients,
        "clips": len(rows),
        "rendered": rendered,
        "splits": {name: splits[name] for name in ("TRAIN", "VAL", "TEST")},
    }


_MASKS_ROW = "| `Masks/NAME.npz` | `labels` of every pixel: 1 left-ventricular cavity, 2 myocardium, 3 left atrium |\n"
_MOTION_ROW = "| `Motion/NAME.npz` | `displacement` of tissue to the ED frame, pixels; `volume` of every frame, ml |\n"


def describe(config: SimulateConfig, rows: list[PhantomRow]) -> str:
    """The dataset card."""
    factual = [row.ef for row in rows if row.file == row.factual]
    frames, rates = [row.frames for row in rows], [row.fps for row in rows]
    codec = "lossless (FFV1)" if config.lossless else "motion JPEG at its best quality"
    last = config.seed + config.patients - 1
    extras = _MASKS_ROW * config.masks + _MOTION_ROW * config.motion
    asked = ", ".join(f"{ef:g} %" for ef in config.counterfactual) or "none"
    return f"""# Simulated echocardiograms (SYNTHETIC)

**Everything here is SYNTHETIC: a kinematic phantom made by echosynth. It shows no patient. Research only, not for
diagnosis.**

- {len(rows)} clips of {config.patients} simulated patients (seeds {config.seed} to {last}), apical four-chamber view,
  scanners of the kind "{config.views}", picture quality {config.quality or "of every level"}
- {min(frames)}-{max(frames)} frames at {min(rates):g}-{max(rates):g} Hz, {config.size}x{config.size} pixels, {codec}
- LVEF of the factual clips: {min(factual):.1f}-{max(factual):.1f} %, drawn from "{config.ef_distribution}"
- counterfactual EF: {asked}. `NAME_efXX` is patient NAME with the same view, noise and phase at another EF;
  its end-diastolic frame is the factual one, bit for bit
- splits are by patient: a patient and all its counterfactuals share one

| file | what |
|---|---|
| `FileList.csv`, `VolumeTracings.csv`, `Videos/` | EchoNet-Dynamic's layout; end-systolic rows come first |
| `Phantom.csv` | seeds, volumes (ml), pixel pitch (cm), phase, heart rate, traced frames, frame rate |
{extras}| `config.yaml`, `provenance.json` | how it was made |

Labels are exact: the 20-disc method on the tracings gives the EF of `FileList.csv` to 1e-4.
"""

"""The clips of a plan, rendered: pixels, tracings, and on request masks and motion. Here or by several processes."""

import multiprocessing
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch

from echosynth.data.echonet_tables import Tracing
from echosynth.phantom.contours import trace_contours
from echosynth.phantom.maps import displace_pixels, label_pixels
from echosynth.phantom.plan import PhantomRow, SimulateConfig, make_patient, make_view
from echosynth.phantom.render import Phantom, Truth


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


def render_patients(config: SimulateConfig, jobs: list[list[PhantomRow]], workers: int) -> Generator[list[Rendered]]:
    """Render patients in order, here or by several processes, which end with the iteration.

    Args:
        config: of the simulation.
        jobs: the clips of each patient.
        workers: processes.
    """
    if workers <= 1 or len(jobs) < 2:
        yield from (render_rows(config, rows) for rows in jobs)
        return
    # spawn: forking a process that has used torch's threads can hang.
    with multiprocessing.get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        yield from pool.imap(_render_job, [(config, rows) for rows in jobs])

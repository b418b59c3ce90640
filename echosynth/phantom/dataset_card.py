"""The README.md of a simulated dataset: what it holds and how it was made."""

from echosynth.phantom.plan import PhantomRow, SimulateConfig

_MASKS_ROW = "| `Masks/NAME.npz` | `labels` of every pixel: 1 left-ventricular cavity, 2 myocardium, 3 left atrium |\n"
_MOTION_ROW = "| `Motion/NAME.npz` | `displacement` of tissue to the ED frame, pixels; `volume` of every frame, ml |\n"


def describe_dataset(config: SimulateConfig, rows: list[PhantomRow]) -> str:
    """The text of the card."""
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
{extras}| `config.yaml`, `run.json`, `provenance.json` | how it was made |
| `SHA256SUMS` | what every clip's files must be: `sha256sum -c SHA256SUMS` |

Labels are exact: the 20-disc method on the tracings gives the EF of `FileList.csv` to 1e-4.
"""

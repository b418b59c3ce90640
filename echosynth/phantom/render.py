"""Patients seen through views: clips and their exact truth.

    atlas (end-diastole) --backward map(EF, t)--> echoes on the polar grid --machine--> grey --scan conversion-->
    uint8 (B, T, S, S)

Every term that depends on EF is multiplied by the contraction c(t), so a patient's end-diastolic frame is the same,
bit for bit, at every EF.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F

from echosynth.cardiac.ejection_fraction import HIGHEST_TARGET_EF
from echosynth.phantom.acoustics import NUM_BEAMS, NUM_RANGES, Machine
from echosynth.phantom.atlas import build_atlas
from echosynth.phantom.motion import Cycle, Fields, Motion, compute_cycle, compute_motion
from echosynth.phantom.noise import counter_normal, smooth_field
from echosynth.phantom.patient import Patient
from echosynth.phantom.pose import Pose, compute_pose, to_lv_frame
from echosynth.phantom.scan_conversion import scan_grid, scanner_marks
from echosynth.phantom.scanner import View
from echosynth.phantom.valves import draw_valves
from echosynth.phantom.warp import atlas_grid

NOISE_CODEC = 4
FRAME_CHUNK = 8  # frames rendered at once; what a core's cache holds, and bounded memory; changes no pixel


def stack_fields(items: Sequence[Patient] | Sequence[View] | Fields, device: torch.device | str = "cpu") -> Fields:
    """Columns of equal dataclasses as (B,) tensors: int64 for seeds, float64 otherwise; what is stacked stays so."""
    if isinstance(items, dict):
        return {name: column.to(device) for name, column in items.items()}
    rows = [asdict(item) for item in items]
    return {
        name: torch.tensor(
            [row[name] for row in rows], dtype=torch.int64 if name == "seed" else torch.float64, device=device
        )
        for name in rows[0]
    }


@dataclass(frozen=True)
class Truth:
    """What is known exactly of rendered clips.

    Attributes:
        cycle: timing, (B, T).
        motion: volumes and shape, (B, T).
        pose: where the LV is carried, (B, T).
    """

    cycle: Cycle
    motion: Motion
    pose: Pose

    def cut(self, frames: slice) -> "Truth":
        """The truth of some frames."""

        def shorten(part: Any) -> Any:
            return replace(part, **{name: v[:, frames] for name, v in vars(part).items() if v.ndim > 1})

        return Truth(shorten(self.cycle), shorten(self.motion), shorten(self.pose))

    def at(self, frame: int) -> "Truth":
        """The truth of one frame, (B, 1)."""
        return self.cut(slice(frame, frame + 1))

    def ed_frame(self, item: int) -> int:
        """First frame of the fullest ventricle."""
        return int(self.cycle.contraction[item].argmin())

    def es_frame(self, item: int) -> int:
        """First frame of the emptiest ventricle after `ed_frame`, or before it if the clip ends too soon."""
        c = self.cycle.contraction[item].clone()
        after = c[self.ed_frame(item) :]
        if float(after.max()) > float(c.max()) - 1e-6:
            return self.ed_frame(item) + int(after.argmax())
        return int(c.argmax())


class Phantom:
    """Patients and their views; renders clips at any EF and any time.

    Args:
        patients: the patients, or their stacked fields.
        views: one per patient; or their stacked fields.
        noise_seeds: electronic noise, one per patient.
        size: side of the square picture, pixels.
        device: where to render; the picture is the same within 1/255 on every device.
    """

    def __init__(
        self,
        patients: Sequence[Patient] | Fields,
        views: Sequence[View] | Fields,
        noise_seeds: Sequence[int] | torch.Tensor,
        size: int = 112,
        device: torch.device | str = "cpu",
    ) -> None:
        self.patient, self.view = stack_fields(patients, device), stack_fields(views, device)
        if not len(self.patient["seed"]) == len(self.view["seed"]) == len(noise_seeds):
            raise ValueError("patients, views and noise_seeds must be equally many")
        self.noise_seeds = torch.as_tensor(noise_seeds, dtype=torch.int64, device=device)
        self.size = size
        self.columns = {k: v.float()[:, None, None] for k, v in self.view.items() if k != "seed"}
        self.grid, self.mask = scan_grid(self.columns, size)

    # Made for the first picture: the truth of many patients is asked for without pictures.

    @cached_property
    def atlas(self) -> torch.Tensor:
        """End-diastolic echoes, see `build_atlas`."""
        return build_atlas(self.patient)

    @cached_property
    def machine(self) -> Machine:
        """The machines."""
        return Machine(self.view, self.noise_seeds)

    @cached_property
    def marks(self) -> torch.Tensor:
        """Marks of the machine beside the sector, (B, S, S)."""
        return scanner_marks(self.columns, self.size) * (1 - self.mask)

    @cached_property
    def turning(self) -> torch.Tensor:
        """How much the scatterers change from place to place as the heart turns, (B, R, A), mean 1."""
        return 1 + 0.4 * smooth_field(self.view["seed"], 401, (NUM_RANGES, NUM_BEAMS), (36, 26))

    @cached_property
    def valve_texture(self) -> torch.Tensor:
        """Scatterers of the leaflets, (B, 4, 1, R, A)."""
        return 0.5 + 0.9 * counter_normal(self.view["seed"], 400, (4, 1, NUM_RANGES, NUM_BEAMS))

    @torch.no_grad()
    def render(
        self,
        ef: Sequence[float] | torch.Tensor,
        num_frames: int = 64,
        fps: float = 32.0,
        start_phase: Sequence[float] | torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Truth]:
        """Render one clip per patient.

        Args:
            ef: (B,), per cent, 0 < EF < 95.
            num_frames: frames T.
            fps: Hz.
            start_phase: (B,), share of a beat that has passed at the first frame; 0 starts at end-diastole.

        Returns:
            uint8 (B, T, S, S), and the truth.

        Raises:
            ValueError: an EF is out of range or cannot be reached by this heart.
        """
        truth = self.move(ef, num_frames, fps, start_phase)
        persistence = self.columns["persistence"][:, None]
        polar: list[torch.Tensor] = []
        last: torch.Tensor | None = None
        for begin in range(0, num_frames, FRAME_CHUNK):
            frames = slice(begin, min(begin + FRAME_CHUNK, num_frames))
            grey = self._polar(truth.cut(frames), frames)
            before = torch.cat([grey[:, :1] if last is None else last, grey[:, :-1]], dim=1)
            last = grey[:, -1:]
            polar.append(self._scan_convert((1 - persistence) * grey + persistence * before, frames))
        return torch.cat(polar, dim=1), truth

    @torch.no_grad()
    def move(
        self,
        ef: Sequence[float] | torch.Tensor,
        num_frames: int = 64,
        fps: float = 32.0,
        start_phase: Sequence[float] | torch.Tensor | None = None,
    ) -> Truth:
        """The truth of the clips that `render` would make, without the pictures; see there."""
        device = self.mask.device
        ef = torch.as_tensor(ef, dtype=torch.float64, device=device)
        if bool((ef <= 0).any()) or bool((ef >= HIGHEST_TARGET_EF).any()):
            raise ValueError(f"EF is in per cent, above 0 and below {HIGHEST_TARGET_EF:g}, got {ef.tolist()}")
        begin = torch.zeros_like(ef) if start_phase is None else start_phase
        phase = torch.as_tensor(begin, dtype=torch.float64, device=device)
        time = torch.arange(num_frames, device=device, dtype=torch.float64) / fps
        cycle = compute_cycle(self.patient, time, phase)
        motion = compute_motion(self.patient, cycle, ef)
        return Truth(cycle, motion, compute_pose(self.patient, self.view, cycle, motion))

    def _polar(self, truth: Truth, frames: slice) -> torch.Tensor:
        """Grey levels on the polar grid of some frames, whose truth is given, (B, T, R, A)."""
        cycle, motion, pose = truth.cycle, truth.motion, truth.pose
        grid = self._atlas_places(cycle, motion, pose)
        batch, num, ranges, beams, _ = grid.shape
        tissue = F.grid_sample(
            self.atlas, grid.reshape(batch, num * ranges, beams, 2), align_corners=False, padding_mode="border"
        ).reshape(batch, 4, num, ranges, beams)
        # Through-plane motion: other scatterers come into the plane as the heart contracts, and leave it again; more
        # here than there, because the heart also turns.
        turn = self.patient["decorrelation"].float()[:, None] * cycle.contraction.float()
        breath = self.patient["drift"].float()[:, None] * torch.sin(2 * math.pi * 0.25 * cycle.time.float())
        turn = (turn + breath)[:, None, :, None, None] * self.turning[:, None, None]
        one, two, sine = tissue[:, :2], tissue[:, 2:], torch.sin(turn)
        echoes = tissue * torch.cos(turn)
        echoes[:, :2].addcmul_(two, sine)
        echoes[:, 2:].addcmul_(one, sine, value=-1)
        lv = to_lv_frame(self.machine.x[:, None], self.machine.z[:, None], pose)
        for valve, (rows, columns) in draw_valves(self.patient, lv, cycle, motion):
            echoes[..., rows, columns] += valve[:, None] * self.valve_texture[..., rows, columns]
        return self.machine.to_grey(self.machine.blur_echoes(echoes), frames, cycle.time[0])

    def _atlas_places(self, cycle: Cycle, motion: Motion, pose: Pose) -> torch.Tensor:
        """Where in the atlas each point of the polar grid comes from, (B, T, R, A, 2), see `to_atlas`.

        The map is linear but for bends at the borders of the heart's layers, and no bend at all at end-diastole: half
        as many points each way carry it, and straight lines between them, to half a millimetre in 999 of 1,000 points.
        """
        x, z = self.machine.places(NUM_RANGES // 2, NUM_BEAMS // 2)
        places = atlas_grid(self.patient, to_lv_frame(x[:, None], z[:, None], pose), cycle, motion)
        batch, num = places.shape[:2]
        fine = F.interpolate(
            places.flatten(0, 1).permute(0, 3, 1, 2), (NUM_RANGES, NUM_BEAMS), mode="bilinear", align_corners=True
        )
        return fine.permute(0, 2, 3, 1).unflatten(0, (batch, num))

    @cached_property
    def codec(self) -> torch.Tensor:
        """What compression adds, grey levels, one picture for every `NOISE_CODEC`-th frame: (B, 4, S, S)."""
        fields = counter_normal(self.noise_seeds, 500, (NOISE_CODEC, self.size, self.size))
        return fields * self.columns["codec_noise"][:, None]

    def _scan_convert(self, polar: torch.Tensor, frames: slice) -> torch.Tensor:
        """Polar grey (B, T, R, A) to uint8 pictures (B, T, S, S), with the crop's kernel, marks and codec noise."""
        picture = F.grid_sample(polar, self.grid, align_corners=False, padding_mode="border") * self.mask[:, None]
        k = self.columns["blur"][:, None]
        k = torch.where(k.abs() < 0.05, 0.0, k)
        picture = F.pad(picture, (1, 1, 1, 1), mode="replicate")
        picture = picture + k / 2 * (0.5 * (picture.roll(1, -1) + picture.roll(-1, -1)) - picture)
        picture = picture + k / 2 * (0.5 * (picture.roll(1, -2) + picture.roll(-1, -2)) - picture)
        picture = torch.maximum(picture[..., 1:-1, 1:-1], 0.8 * self.marks[:, None])
        codec = torch.stack([self.codec[:, k % NOISE_CODEC] for k in range(frames.start, frames.stop)], 1)
        near = F.max_pool2d(self.mask, 5, 1, 2)[:, None]  # blocks of the codec leak a little beyond the sector's edge
        return (picture * 255 + codec * near).round().clamp(0, 255).to(torch.uint8)

"""From complex echoes on the polar grid to grey levels: point spread, gain, clutter, noise, log compression.

    sigma_theta(r) = sigma_0 (1 + .55 (2.2 / r)^1.5 + .25 (r / depth)^2)      the near field does not focus
    y = grey((20 log10 |z| + DR) / (DR + 4))                                  clipped to [0, 1]

What is fixed to the machine (gain, shadows, haze, arcs) is computed once per view; echoes are (B, 4, T, R, A): two
complex looks.
"""

import math

import torch
import torch.nn.functional as F

from echosynth.phantom.amplitude import decay, from_decibel, raised
from echosynth.phantom.motion import Fields, smoothstep
from echosynth.phantom.noise import counter_normal, counter_uniform_pair, smooth_field

NUM_RANGES, NUM_BEAMS = 192, 128
NOISE_TILES = 8


def _power(echoes: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts (B, 2, T, R, A) to their squares' sum (B, T, R, A)."""
    return (echoes[:, 0] * echoes[:, 0]).addcmul_(echoes[:, 1], echoes[:, 1])


class Machine:
    """One scanner setting per batch entry, with everything that does not change from frame to frame.

    Args:
        view: fields of `View` as (B,) tensors.
        noise_seeds: int64 (B,), electronic noise.
    """

    def __init__(self, view: Fields, noise_seeds: torch.Tensor) -> None:
        self.v = {k: f.float()[:, None, None] for k, f in view.items() if k != "seed"}
        v, seeds, device = self.v, view["seed"], noise_seeds.device
        shape = (NUM_RANGES, NUM_BEAMS)
        share = (torch.arange(NUM_RANGES, device=device) + 0.5) / NUM_RANGES
        self.range = share[None, :, None] * v["depth"]  # (B, R, 1), cm
        half = torch.deg2rad(v["half_angle"])
        beam = (torch.arange(NUM_BEAMS, device=device) + 0.5) / NUM_BEAMS
        self.angle = (2 * beam - 1)[None, None] * half  # (B, 1, A)
        self.x, self.z = self.places(NUM_RANGES, NUM_BEAMS)
        self.kernel = self._lateral_kernel(half)
        self.gain = from_decibel(self._gain_db(seeds, shape) + v["gain"])
        self.clutter = self._clutter(seeds, shape)
        wide = counter_normal(seeds, 320, (4, *shape))
        wide = F.avg_pool2d(wide, (3, 5), 1, (1, 2)) * math.sqrt(15)
        fade = torch.exp(0.35 * smooth_field(seeds, 321, shape, (40, 30)))
        self.haze = wide * (from_decibel(v["haze_db"]) * fade)[:, None]
        level = from_decibel(v["noise_db"] + 8 * (self.range / v["depth"]) ** 1.5)
        tiles = counter_normal(noise_seeds, 330, (NOISE_TILES, 2, *shape))
        self.noise = tiles * level[:, None, None]
        self.noise_seeds = noise_seeds

    def places(self, ranges: int, beams: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates x and z, cm, of a net as wide as the polar grid: (B, ranges, beams) each."""
        down, along = (torch.linspace(0, 1, count, device=self.range.device) for count in (ranges, beams))
        depth = torch.lerp(self.range[:, :1], self.range[:, -1:], down[None, :, None])
        angle = torch.lerp(self.angle[:, :, :1], self.angle[:, :, -1:], along[None, None])
        return depth * torch.sin(angle), depth * torch.cos(angle)

    def _lateral_kernel(self, half: torch.Tensor, reach: int = 6) -> torch.Tensor:
        """(B, R, 2 reach + 1) taps of unit energy."""
        step = 2 * half / NUM_BEAMS
        spread = 1 + 0.55 * (2.2 / self.range.clamp_min(0.5)) ** 1.5 + 0.25 * (self.range / self.v["depth"]) ** 2
        sigma = torch.deg2rad(self.v["lateral_fwhm"]) / 2.355 * spread / step
        taps = decay(0.5 * (torch.arange(-reach, reach + 1, device=half.device) / sigma) ** 2)
        return taps / (taps**2).sum(-1, keepdim=True).sqrt()

    def _gain_db(self, seeds: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """Everything that weakens or strengthens echoes by place: (B, R, A), dB."""
        v, r, angle = self.v, self.range, torch.rad2deg(self.angle)
        beams = smooth_field(seeds, 300, (1, NUM_BEAMS), (1, 14))
        gain = v["gain_spread"] * beams + 1.6 * smooth_field(seeds, 301, shape, (30, 24))
        near_wall = decay(((r - v["drop_depth"]) / 3.2) ** 2)
        for name in ("drop_angle", "drop_angle_2"):
            gain = gain - v["wall_drop_db"] * decay(((angle - v[name]) / v["drop_width"]) ** 2) * near_wall
        shadow = decay(((angle - v["shadow_angle"]) / v["shadow_width"]) ** 2)
        gain = gain - v["shadow_db"] * shadow * smoothstep((r - 2.0) / 2.0)
        half = v["half_angle"]
        gain = gain - v["edge_left_db"] * smoothstep((v["edge_width"] - half - angle) / v["edge_width"])
        gain = gain - v["edge_right_db"] * smoothstep((v["edge_width"] - half + angle) / v["edge_width"])
        gain = gain - v["near_db"] * (1 - smoothstep(r / 1.8))
        return gain - v["far_db"] * smoothstep((r / v["depth"] - 0.6) / 0.4)

    def _clutter(self, seeds: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """Static haze, ring-down and reverberation arcs: complex (B, 2, R, A)."""
        v, r = self.v, self.range
        speckle = F.avg_pool2d(counter_normal(seeds, 310, (2, *shape)), (1, 5), 1, (0, 2)) * 2.2
        patches = 6 * smooth_field(seeds, 311, shape, (40, 34)) + 3 * smooth_field(seeds, 312, shape, (8, 10))
        level = from_decibel(v["clutter_db"] + patches) * decay(((r - 1.2) / v["clutter_decay"]).clamp_min(0))
        level = level + 10 ** (-16 / 20) * decay((r / 0.5) ** 2)
        wave = 1 + 0.5 * smooth_field(seeds, 313, shape, (60, 20))
        for order in (1.0, 2.0, 3.0):
            arc = decay(((r - order * v["reverb_depth"] - 0.1 * (wave - 1)) / 0.12) ** 2)
            level = level + from_decibel(v["reverb_db"] - 6 * order) * arc * wave.clamp(0, 2)
        return speckle * level[:, None]

    def blur_echoes(self, z: torch.Tensor) -> torch.Tensor:
        """Point-spread function: depth-dependent along the arc, three taps in range. (B, 4, T, R, A) -> the same."""
        batch, looks, frames, ranges, beams = z.shape
        reach = self.kernel.shape[-1] // 2
        flat = z.permute(1, 2, 0, 3, 4).reshape(looks * frames, batch * ranges, beams)
        flat = F.pad(flat, (reach, reach), mode="replicate")
        with torch.backends.cudnn.flags(enabled=False):  # which would round to ten bits
            flat = F.conv1d(flat, self.kernel.reshape(batch * ranges, 1, -1), groups=batch * ranges)
        z = flat.reshape(looks, frames, batch, ranges, beams).permute(2, 0, 1, 3, 4)
        side = self.v["axial_blur"][:, None, None]
        centre = (1 - 2 * side * side).clamp_min(0.1).sqrt()
        padded = torch.cat([z[..., :1, :], z, z[..., -1:, :]], dim=-2)
        return side * (padded[..., :-2, :] + padded[..., 2:, :]) + centre * z

    def add_second_trip(self, z: torch.Tensor) -> torch.Tensor:
        """Reverberation: echoes that went to the tissue and back twice show again, fainter, at twice their range."""
        half_way = torch.arange(z.shape[-2], device=z.device) // 2
        level = from_decibel(self.v["second_trip_db"]) * smoothstep((self.range - 2.0) / 2.0)
        return torch.addcmul(z, z[..., half_way, :], level[:, None, None])

    def frame_noise(self, frames: slice) -> torch.Tensor:
        """Electronic noise of some frames, (B, 2, T, R, A): a tile, rolled by a hash of the frame's index.

        Rolled along the arc only: its level depends on range.
        """
        hashes = counter_uniform_pair(self.noise_seeds + 1, 331, frames.stop)
        shift, pick = ((u[:, frames] * n).long() for u, n in zip(hashes, (NUM_BEAMS, NOISE_TILES), strict=True))
        tiles = self.noise[torch.arange(len(pick), device=pick.device)[:, None], pick]  # (B, T, 2, R, A)
        beams = (torch.arange(NUM_BEAMS, device=pick.device) - shift[..., None]) % NUM_BEAMS
        return tiles.gather(-1, beams[:, :, None, None].expand_as(tiles)).transpose(1, 2)

    def to_grey(self, z: torch.Tensor, frames: slice, time: torch.Tensor) -> torch.Tensor:
        """Echoes (B, 4, T, R, A) to grey levels (B, T, R, A) in [0, 1] on the polar grid."""
        v = {k: f[:, None] for k, f in self.v.items()}
        swirl = 2 * math.pi * 0.7 * time.float()[None, None, :, None, None]
        z = self.add_second_trip(z).mul_(self.gain[:, None, None])
        haze = self.haze[:, :2, None] * torch.cos(swirl) + self.haze[:, 2:, None] * torch.sin(swirl)
        first = (z[:, :2] + haze).add_(self.clutter[:, :, None]).add_(self.frame_noise(frames))
        look = v["second_look"]
        power = _power(first) * (1 - look) + (_power(z[:, 2:]) + _power(haze)) * look + 1e-9
        y = ((10 * torch.log10(power) + v["dynamic_range"]) / (v["dynamic_range"] + 4)).clamp(0, 1)
        soft = raised(y, v["gamma"])
        y = soft + v["s_curve"] * (raised(smoothstep(y), v["gamma"] / 1.5) - soft)
        k = v["speckle_reduction"]
        n = k / 3  # far less along the beam, where the pulse is already sharp
        y = torch.cat([y[:, :, :1], (1 - n) * y[:, :, 1:-1] + n / 2 * (y[:, :, 2:] + y[:, :, :-2]), y[:, :, -1:]], 2)
        return torch.cat([y[..., :1], (1 - k) * y[..., 1:-1] + k / 2 * (y[..., 2:] + y[..., :-2]), y[..., -1:]], -1)

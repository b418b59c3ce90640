"""Three ways to make a sampled clip have the target EF.

    classifier-free guidance   D = D_uncond + w (D_cond - D_uncond)                     Ho & Salimans 2022
    EF guidance                D + w sigma^2 grad_x log N(EF; mu(x), s(x)^2)            Dhariwal & Nichol 2021
    correction                 D(x; EF + w (EF - mu(D(x; EF))))                         two evaluations

mu and s are the EFGuide's reading (ef_guide.py). The first two act only in an interval of noise levels (Kynkaanniemi et
al. 2024).

Classifier-free guidance strengthens a condition. Both of its evaluations run as one batch. Only EF is dropped: both see
the same frame and the same timing, so guidance strengthens EF and does not change the patient. A stage that draws
frames has no EF condition; there guidance strengthens their quality.

EF guidance is classifier guidance. It lowers an EF that is too high and raises one that is too low. It reads EF from
the noisy clip.

Correction is for one-step consistency sampling, where one evaluation makes the whole clip. It reads EF from the
denoised clip, which shows EF far better than the noisy clip does, and evaluates the network again at the same noise
with a corrected EF. The noise changes EF in the same way both times, so the second evaluation removes that error.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from echosynth.diffusion.calibration import HIGHEST_CALIBRATED_EF, LOWEST_CALIBRATED_EF
from echosynth.edm.preconditioning import EDMPreconditioning

GUIDED = ("ef", "quality")  # the first of these that a network is conditioned on
READ_AT = 0.05  # noise level that is left on a clip for the guide, which has seen no clip without noise
FURTHEST = 3.0  # standard deviations; a reading further off than this pulls no harder, as it is likely to be wrong
Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
ReadEF = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
"""EF, its standard deviation and the borders, of (c_in x, c_noise, reference); see `EFGuide.forward`."""


@dataclass(frozen=True)
class Interval:
    """How strongly to guide, and at which noise levels.

    Attributes:
        scale: w.
        low: guide at sigma >= low.
        high: guide at sigma <= high.
    """

    scale: float
    low: float = 0.0
    high: float = math.inf

    def __contains__(self, sigma: torch.Tensor | float) -> bool:
        return self.low <= float(sigma) <= self.high


def guided_scalar(names: Iterable[str]) -> str | None:
    """Which of the scalars that a network is conditioned on guidance strengthens; None for none."""
    return next((name for name in GUIDED if name in names), None)


def guided_denoiser(
    network: Callable[..., torch.Tensor],
    preconditioning: EDMPreconditioning,
    scalars: Mapping[str, torch.Tensor],
    conditions: Mapping[str, torch.Tensor],
    guidance: Interval = Interval(1.0),
) -> Denoise:
    """Classifier-free guidance: close over everything but the noisy sample and its level.

    Args:
        network: a UNet3D, or anything with its signature.
        preconditioning: of the stage.
        scalars: name -> (B,).
        conditions: the network's other tensors, batch first.
        guidance: where and how strongly; scale 1 means one evaluation, no guidance.

    Returns:
        D(x, sigma) with x (B, 1, T, H, W) and sigma of shape ().
    """
    guided = guided_scalar(scalars)
    if guided is not None and bool(scalars[guided].isnan().all()):
        guided = None  # no condition is given that guidance could strengthen

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        if guidance.scale == 1.0 or guided is None or sigma not in guidance:
            return preconditioning.denoise(network, x, sigma, scalars=scalars, **conditions)
        without = dict(scalars) | {guided: torch.full_like(scalars[guided], math.nan)}
        both = {name: torch.cat([value, without[name]]) for name, value in scalars.items()}
        twice = {name: torch.cat([value, value]) for name, value in conditions.items()}
        out = preconditioning.denoise(network, torch.cat([x, x]), sigma, scalars=both, **twice)
        cond, uncond = out.chunk(2)
        return uncond + guidance.scale * (cond - uncond)

    return denoise


def ef_guided_denoiser(
    denoise: Denoise,
    guide: ReadEF,
    preconditioning: EDMPreconditioning,
    reference: torch.Tensor,
    calibrated_ef: torch.Tensor,
    guidance: Interval = Interval(1.0),
) -> Denoise:
    """EF guidance: move a denoiser's output towards an EF.

    Args:
        denoise: D(x, sigma).
        guide: reads EF.
        preconditioning: of the stage.
        reference: what the stage's clips differ from, (B, 1, T, H, W).
        calibrated_ef: that the networks are conditioned on, (B,), per cent.
        guidance: where and how strongly; scale 0 means no guidance.

    Returns:
        D(x, sigma) with x (B, 1, T, H, W) and sigma of shape ().
    """

    def guided(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        plain = denoise(x, sigma)
        if guidance.scale == 0 or sigma not in guidance:
            return plain
        with torch.enable_grad():
            probe = x.detach().float().requires_grad_()
            c_noise = preconditioning.c_noise(sigma).reshape(-1).expand(len(x))
            read, std, _ = guide(preconditioning.c_in(sigma) * probe, c_noise, reference)
            off, width = (calibrated_ef - read), std.detach()
            pull = (off.detach() / width).clamp(-FURTHEST, FURTHEST) / width
            # d/dx of -(off^2) / (2 s^2) with s held constant: a larger s must not lower the loss.
            (gradient,) = torch.autograd.grad((pull * read).sum(), probe)
        return plain + guidance.scale * sigma**2 * gradient

    return guided


def corrected_denoiser(
    conditioned: Callable[[torch.Tensor], Denoise],
    guide: ReadEF,
    preconditioning: EDMPreconditioning,
    reference: torch.Tensor,
    calibrated_ef: torch.Tensor,
    correction: float = 1.0,
) -> Denoise:
    """Correction: evaluate again with an EF shifted by the error of the first output, read as it is and mirrored.

    Args:
        conditioned: EF (B,) -> D(x, sigma) of a network under this EF.
        guide: reads EF.
        preconditioning: of the stage.
        reference: what the stage's clips differ from, (B, 1, T, H, W).
        calibrated_ef: of the first evaluation, (B,), per cent.
        correction: w, share of the error to take back, relative to how much the output's EF changes with the
            condition; 0 means no second evaluation.

    Returns:
        D(x, sigma) with x (B, 1, T, H, W) and sigma of shape ().
    """
    first = conditioned(calibrated_ef)

    def corrected(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        answer = first(x, sigma)
        if correction == 0:
            return answer
        level = torch.minimum(sigma, torch.as_tensor(READ_AT).to(sigma))
        left = answer + (x - answer) * (level / sigma)  # a little of the noise that is in x
        # Guides are trained on mirrored hearts too, and their errors on them differ; the mean has a smaller error.
        both, still = (torch.cat([clip, clip.flip(-1)]) for clip in (left, reference))
        c_noise = preconditioning.c_noise(level).reshape(-1).expand(len(both))
        read = guide(preconditioning.c_in(level) * both, c_noise, still)[0].reshape(-1, len(x)).mean(0)
        corrected_ef = calibrated_ef + correction * (calibrated_ef - read)
        return conditioned(corrected_ef.clamp(LOWEST_CALIBRATED_EF, HIGHEST_CALIBRATED_EF))(x, sigma)

    return corrected

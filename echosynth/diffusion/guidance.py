"""Three ways to hold a sampler to the EF that was asked for, the first two in a limited interval of noise levels.

    classifier-free guidance   D = D_uncond + w (D_cond - D_uncond)       Ho & Salimans 2022; interval: Kynkaanniemi
                                                                         et al. 2024
    steering by an EFGuide     D + w sigma^2 grad_x log N(EF; mu(x), s(x)^2)       Dhariwal & Nichol 2021
    correction by an EFGuide   D(x; EF + w (EF - mu(D(x; EF))))                    ask, read the answer, ask again

Both evaluations of the first run as one batch. Only EF is dropped: both see the same frame and the same timing, so
guidance strengthens EF and leaves the patient alone. A stage that draws frames knows no EF; there it is their quality.
It makes a network overdo its condition; steering pulls a clip back that is on its way to too high an EF as well as one
that is too low. Steering has to read a clip that is still noise; where a jump decides the whole clip, correction reads
its answer, which shows EF far better, and makes the same jump again: what the noise did to EF the first time it does
the second time, too, and is then known.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import torch

from echosynth.diffusion.calibration import HIGHEST_TOLD, LOWEST_TOLD
from echosynth.diffusion.ef_guide import EFGuide
from echosynth.edm.preconditioning import EDMPreconditioning

GUIDED = ("ef", "quality")  # the first of these that a network listens to
READ_AT = 0.05  # noise level that is left on a clip for the guide, which has seen no clip without noise
FURTHEST = 3.0  # standard deviations; a reading further off than this pulls no harder, as it is likely to be wrong
Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def guided_scalar(names: Iterable[str]) -> str | None:
    """Which of the scalars that a network listens to guidance strengthens; None for none."""
    return next((name for name in GUIDED if name in names), None)


def guided_denoiser(
    network: Callable[..., torch.Tensor],
    preconditioning: EDMPreconditioning,
    scalars: Mapping[str, torch.Tensor],
    conditions: Mapping[str, torch.Tensor],
    guidance_scale: float = 1.0,
    low: float = 0.0,
    high: float = math.inf,
) -> Denoise:
    """Close over everything but the noisy sample and its level.

    Args:
        network: a UNet3D, or anything with its signature.
        preconditioning: of the stage.
        scalars: name -> (B,).
        conditions: the network's other tensors, batch first.
        guidance_scale: w; 1 means one evaluation, no guidance.
        low: guide at sigma >= low.
        high: guide at sigma <= high.

    Returns:
        D(x, sigma) with x (B, 1, T, H, W) and sigma of shape ().
    """
    guided = guided_scalar(scalars)
    if guided is not None and bool(scalars[guided].isnan().all()):
        guided = None  # nobody has asked for anything that could be strengthened

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        if guidance_scale == 1.0 or guided is None or not low <= float(sigma) <= high:
            return preconditioning.denoise(network, x, sigma, scalars=scalars, **conditions)
        without = dict(scalars) | {guided: torch.full_like(scalars[guided], math.nan)}
        both = {name: torch.cat([value, without[name]]) for name, value in scalars.items()}
        twice = {name: torch.cat([value, value]) for name, value in conditions.items()}
        out = preconditioning.denoise(network, torch.cat([x, x]), sigma, scalars=both, **twice)
        cond, uncond = out.chunk(2)
        return uncond + guidance_scale * (cond - uncond)

    return denoise


def steered_denoiser(
    denoise: Denoise,
    guide: EFGuide | Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
    preconditioning: EDMPreconditioning,
    reference: torch.Tensor,
    ef: torch.Tensor,
    ef_guidance_scale: float = 1.0,
    low: float = 0.0,
    high: float = math.inf,
) -> Denoise:
    """Pull a denoiser's answers towards an EF.

    Args:
        denoise: D(x, sigma).
        guide: reads EF, its standard deviation and the borders from (c_in x, c_noise, reference).
        preconditioning: of the stage.
        reference: what the stage's clips differ from, (B, 1, T, H, W).
        ef: wanted, (B,), per cent.
        ef_guidance_scale: w; 0 means no steering.
        low: steer at sigma >= low.
        high: steer at sigma <= high.

    Returns:
        D(x, sigma) with x (B, 1, T, H, W) and sigma of shape ().
    """

    def steered(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        plain = denoise(x, sigma)
        if ef_guidance_scale == 0 or not low <= float(sigma) <= high:
            return plain
        with torch.enable_grad():
            probe = x.detach().float().requires_grad_()
            c_noise = preconditioning.c_noise(sigma).reshape(-1).expand(len(x))
            read, std, _ = guide(preconditioning.c_in(sigma) * probe, c_noise, reference)
            off, width = (ef - read), std.detach()
            pull = (off.detach() / width).clamp(-FURTHEST, FURTHEST) / width
            # d/dx of -(off^2) / (2 s^2) with s held still: making the guide unsure would be no way out.
            (gradient,) = torch.autograd.grad((pull * read).sum(), probe)
        return plain + ef_guidance_scale * sigma**2 * gradient

    return steered


def corrected_denoiser(
    told: Callable[[torch.Tensor], Denoise],
    guide: EFGuide | Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
    preconditioning: EDMPreconditioning,
    reference: torch.Tensor,
    ef: torch.Tensor,
    correction: float = 1.0,
) -> Denoise:
    """Ask a denoiser a second time, for as much more EF as its first answer fell short, as it is and in the mirror.

    Args:
        told: EF (B,) -> D(x, sigma) of a network that is told it.
        guide: reads EF, its standard deviation and the borders from (c_in x, c_noise, reference).
        preconditioning: of the stage.
        reference: what the stage's clips differ from, (B, 1, T, H, W).
        ef: wanted, (B,), per cent.
        correction: w, share of the error to take back, relative to how far the answer follows what is told; 0 means
            no second question.

    Returns:
        D(x, sigma) with x (B, 1, T, H, W) and sigma of shape ().
    """
    first = told(ef)

    def corrected(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        answer = first(x, sigma)
        if correction == 0:
            return answer
        level = torch.minimum(sigma, torch.as_tensor(READ_AT).to(sigma))
        left = answer + (x - answer) * (level / sigma)  # a little of the noise that is in x
        # Guides learn of mirrored hearts, too, and go astray with them in other ways.
        both, still = (torch.cat([clip, clip.flip(-1)]) for clip in (left, reference))
        c_noise = preconditioning.c_noise(level).reshape(-1).expand(len(both))
        read = guide(preconditioning.c_in(level) * both, c_noise, still)[0].reshape(-1, len(x)).mean(0)
        return told((ef + correction * (ef - read)).clamp(LOWEST_TOLD, HIGHEST_TOLD))(x, sigma)

    return corrected

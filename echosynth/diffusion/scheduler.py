"""EDMScheduler: the ladder and the solver of one stage, as a diffusers component.

    Karras et al. 2022: ladder Eq. 5, Algorithm 2 (solver "heun", or "euler" without the correction)
    Lu et al. 2022:     DPM-Solver++(2M) (solver "dpmpp_2m")
    Song et al. 2023:   multistep consistency sampling (solver "consistency"), for stages that were tuned to it

diffusers has no stochastic EDM-Heun scheduler, and a step-by-step `step()` does not suit a two-stage solver; so this
one runs the whole chain in `sample`. The mixins must be names of this module, or diffusers saves but cannot load it.
"""

from typing import Any

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config

from echosynth.edm.consistency import sample_consistency
from echosynth.edm.heun import Denoiser, StepCallback, euler_step, heun_step, sample_heun
from echosynth.edm.multistep import sample_dpmpp_2m
from echosynth.edm.noise import Generators, karras_sigmas
from echosynth.edm.preconditioning import EDMPreconditioning

SOLVERS = ("dpmpp_2m", "heun", "euler", "consistency")


class EDMScheduler(SchedulerMixin, ConfigMixin):
    """The noise ladder and solver of one stage; everything in `scheduler_config.json`.

    Args:
        sigma_min: last noise level above zero, > 0.
        sigma_max: first noise level, > sigma_min.
        sigma_data: standard deviation of the stage's data, > 0.
        rho: bend of the ladder, > 0.
        solver: "dpmpp_2m", "heun", "euler" or "consistency".
        S_churn: total churn, >= 0; 0 is deterministic. Only "heun" and "euler" can churn.
        S_min: churn only at sigma >= S_min.
        S_max: churn only at sigma <= S_max.
        S_noise: standard deviation of the churn's noise.

    Attributes:
        sigmas: float32 (N + 1,), decreasing to 0; set by `set_timesteps`.
        timesteps: float32 (N,), c_noise = ln(sigma) / 4 of the levels above zero.

    Raises:
        ValueError: the solver is unknown, noise levels are not in order, or S_churn is negative or given to a solver
            that cannot churn.
    """

    order = 1

    @register_to_config
    def __init__(
        self,
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        sigma_data: float = 0.5,
        rho: float = 7.0,
        solver: str = "dpmpp_2m",
        S_churn: float = 0.0,
        S_min: float = 0.05,
        S_max: float = 50.0,
        S_noise: float = 1.003,
    ) -> None:
        if solver not in SOLVERS:
            raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
        if S_churn < 0 or (S_churn > 0 and solver not in ("heun", "euler")):
            raise ValueError(f"S_churn must be >= 0, and 0 but for heun and euler; got {S_churn} with {solver}")
        if not (0 < sigma_min <= sigma_max and sigma_data > 0):
            raise ValueError(
                f"need 0 < sigma_min <= sigma_max and sigma_data > 0, got {sigma_min}, {sigma_max}, {sigma_data}"
            )
        self.sigmas = torch.empty(0)
        self.timesteps = torch.empty(0)
        self.preconditioning = EDMPreconditioning(sigma_data)

    @property
    def _settings(self) -> Any:
        """The frozen config; diffusers types it as a plain dict, which has no attributes."""
        return self.config

    @property
    def init_noise_sigma(self) -> float:
        """What unit noise is multiplied by to start a chain: sigma_max."""
        return self._settings.sigma_max

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Build the ladder of `num_inference_steps` steps (>= 1) on `device`."""
        config = self._settings
        self.sigmas = karras_sigmas(num_inference_steps, config.sigma_min, config.sigma_max, config.rho).to(device)
        self.timesteps = self.preconditioning.c_noise(self.sigmas[:-1])

    def passes(self, num_inference_steps: int) -> int:
        """Return how many network evaluations a chain costs: 2N - 1 for Heun, N for the others."""
        return 2 * num_inference_steps - 1 if self._settings.solver == "heun" else num_inference_steps

    def sample(
        self,
        denoise: Denoiser,
        x: torch.Tensor,
        generator: Generators | None = None,
        on_step: StepCallback | None = None,
    ) -> torch.Tensor:
        """Run the chosen solver down the ladder, with the state in float32.

        Args:
            denoise: D(x, sigma) with x float32 (B, *) and sigma of shape (); gives (B, *) of any float type.
            x: start at level sigma_max: `init_noise_sigma` * unit noise, (B, *).
            generator: of noise that is added on the way, by churn or between steps of consistency sampling; one for the
                batch or one for each sample.
            on_step: called as `on_step(i, sigma, x)` after step i, with the level and sample reached.

        Returns:
            The clean sample, float32 (B, *).

        Raises:
            ValueError: `set_timesteps` was not called.
        """
        if len(self.sigmas) < 2:
            raise ValueError("call set_timesteps(num_inference_steps) before sample()")
        x = x.float()

        def denoise_float(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return denoise(x, sigma).float()

        config = self._settings
        if config.solver == "dpmpp_2m":
            return sample_dpmpp_2m(denoise_float, x, self.sigmas, on_step)
        if config.solver == "consistency":
            return sample_consistency(denoise_float, x, self.sigmas, generator, on_step)
        step = euler_step if config.solver == "euler" else heun_step
        return sample_heun(
            denoise_float,
            x,
            self.sigmas,
            config.S_churn,
            config.S_min,
            config.S_max,
            config.S_noise,
            generator,
            on_step,
            step,
        )

"""Base class of all EF regressors: input contract, methods and predictions.

The input contract (frame rate, frames, size) is part of the saved config; clips are resampled to it here. Each window
is normalised to zero mean and unit standard deviation before the network sees it. Of all image-level measures this
helped most on scanners that the training never saw.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from torch import nn

from echosynth.regression.windows import Coverage, choose_around, choose_starts, find_violations, fit_pixels
from echosynth.seeding import make_generator
from echosynth.video.clip import EchoClip, to_network

EF_MIDDLE, EF_UNIT = 50.0, 20.0  # per cent: heads predict (EF - middle) / unit, so untrained guesses are sensible
POSTERIOR_SAMPLES = 200  # that a standard deviation is measured on
WINDOWS_AT_ONCE = 8  # in one forward pass: bounds the memory of a long clip


@dataclass(frozen=True)
class EFPrediction:
    """EF of one clip, per cent.

    Attributes:
        ef: mean over the clip's windows.
        low: lower end of the 90 % interval; 0 where the regressor's error was never measured, as of public weights.
        high: upper end; 100 where it was not.
        windows: EF of each window.
        deviation: standard deviation that the regressor itself states, EF points; None where it states none.
        reduced_ef_probability: of an EF of at most 40 %, by a classifier of its own, 0-1; None where it has none.
        warnings: what the contract asks for and the clip cannot give, see `EFRegressor.contract_violations`.
    """

    ef: float
    low: float
    high: float
    windows: tuple[float, ...]
    deviation: float | None = None
    reduced_ef_probability: float | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The prediction as it is written to JSON, where `reduced_ef_probability` is called `reduced`."""
        content = {"reduced" if k == "reduced_ef_probability" else k: v for k, v in asdict(self).items()}
        return content | {"windows": list(self.windows), "warnings": list(self.warnings)}


@dataclass(frozen=True)
class EFDetails:
    """All outputs of a regressor for a batch of windows; None for those that it does not have.

    Attributes:
        ef: (B,), per cent.
        curve: (B, T), volume of every frame as a share of EDV.
        phases: (B, 2), frames of end-diastole and end-systole.
        landmarks: (B, 2, 1 or 2, 21, 2, 2), at end-diastole and end-systole the endocardium, and the epicardium behind
            it where the regressor finds it too; see cardiac/landmarks.py.
        embedding: (B, D), ordered by EF.
        denoised: (B, M), estimates of the standardised EFs that were given with noise.
        reduced_ef_logit: (B,), logit of the probability of an EF of at most 40 %.
    """

    ef: torch.Tensor
    curve: torch.Tensor | None = None
    phases: torch.Tensor | None = None
    landmarks: torch.Tensor | None = None
    embedding: torch.Tensor | None = None
    denoised: torch.Tensor | None = None
    reduced_ef_logit: torch.Tensor | None = None


def normalise(x: torch.Tensor, statistics: Sequence[float] | None = None) -> torch.Tensor:
    """Zero mean and unit standard deviation: (B, 1, T, H, W) in [-1, 1] -> the same shape.

    Args:
        x: clips.
        statistics: mean and standard deviation of a data set's pixels, 0-255; None for those of every clip.
    """
    if statistics is not None:
        return ((x + 1) * 127.5 - statistics[0]) / statistics[1]
    mean = x.mean(dim=(1, 2, 3, 4), keepdim=True)
    return (x - mean) / x.std(dim=(1, 2, 3, 4), keepdim=True).clamp_min(1e-3)


class EFRegressor(ModelMixin, ConfigMixin):
    """Base of all regressors. A subclass registers the contract below and defines `embed` and `head`.

    Contract: `fps` (Hz), `frames` and `size` (pixels) of a window; `mirrored`, whether the prediction is the mean over
    a window and its mirror image, which needs weights trained on both; `error90`, the half width of the 90 % interval,
    EF points, measured on held-out clips after training, 0 where it was not measured; for weights trained elsewhere
    `statistics`, see `normalise`.
    """

    head: nn.Linear

    def train(self, mode: bool = True) -> Self:
        """Set the training mode, but keep a frozen encoder in evaluation: its batch statistics are frozen too."""
        super().train(mode)
        if self.contract.get("frozen_encoder"):
            self.get_submodule("encoder").eval()
        return self

    @property
    def contract(self) -> Any:
        """The registered config: fps, frames, size, mirrored, error90."""
        return self.config

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        """Clips normalised for its network, see `normalise`; fixed statistics are for weights trained elsewhere."""
        return normalise(x, self.contract.get("statistics"))

    @property
    def gradcam_layer(self) -> nn.Module:
        """The layer whose maps Grad-CAM weights, (B, C, T, H, W) or one frame after the other (B T, C, H, W)."""
        raise NotImplementedError

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Features of normalised clips: (B, 1, T, H, W) -> (B, D)."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor, details: bool = False) -> Any:
        """EF of clips in [-1, 1] that meet the contract.

        Args:
            x: (B, 1, T, H, W).
            details: return all outputs.

        Returns:
            EF (B,), per cent; with details an `EFDetails`.
        """
        ef = EF_MIDDLE + EF_UNIT * self.head(self.embed(self.normalised(x)))[:, 0].float()
        return EFDetails(ef) if details else ef

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Features of clips in [-1, 1], normalised here: (B, 1, T, H, W) -> (B, D)."""
        return self.embed(self.normalised(x)).float()

    @torch.no_grad()
    def embed_clip(self, clip: EchoClip) -> np.ndarray:
        """Features that EF is read from, mean over a clip's windows: float32 (D,)."""
        parts = [self.features(part.to(self.device)) for part in self.iter_windows(clip)]
        features: np.ndarray = torch.cat(parts).mean(0).cpu().numpy()
        return features

    def sample_posterior(self, x: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor | None:
        """Samples of the predictive distribution of EF, for regressors that have one.

        Args:
            x: (B, 1, T, H, W) in [-1, 1].
            count: how many for each clip.
            generator: of the noise.

        Returns:
            Paths (steps, B, count), per cent; the last step holds the samples. None for regressors without.
        """
        return None

    @torch.no_grad()
    def deviation(self, x: torch.Tensor) -> torch.Tensor | None:
        """Standard deviation of EF as the regressor states it: (B, 1, T, H, W) -> (B,), EF points, or None."""
        drawn = self.sample_posterior(x, POSTERIOR_SAMPLES, make_generator(0, "deviation"))
        return None if drawn is None else drawn[-1].std(-1)

    def reduced_ef_probability(self, x: torch.Tensor) -> torch.Tensor | None:
        """Probability of an EF of at most 40 % by a classifier of its own: (B, 1, T, H, W) -> (B,), or None."""
        return None

    def fit_attribute_scale(self, attributes: torch.Tensor) -> None:
        """Fit mean and standard deviation of the training patients' attributes (N, 4), NaN where not known.

        Does nothing in regressors that use no attributes.
        """

    @torch.no_grad()
    def subtract_bias(self, error: float) -> None:
        """Subtract a mean error on whole clips, EF points, from every answer."""
        self.head.bias.sub_(error / EF_UNIT)

    @property
    def num_second_stage_patients(self) -> int:
        """How many training patients' features `fit_second_stage` needs; 0 for a regressor without a second stage."""
        return 0

    def fit_second_stage(self, features: torch.Tensor, ef: torch.Tensor) -> None:
        """Fit what no gradient trains, on features (N, D) of training patients and their EF (N,), per cent."""

    def contract_violations(self, clip: EchoClip) -> list[str]:
        """What the contract asks for and a clip cannot give, each with what is done instead; [] if nothing."""
        c = self.contract
        return find_violations(clip, c.fps, c.frames, c.size)

    def iter_windows(
        self,
        clip: EchoClip,
        size: int | None = None,
        around: Sequence[float] | None = None,
        coverage: Coverage = None,
    ) -> Iterator[torch.Tensor]:
        """Cut a clip to the contract, a few windows at a time: (at most 8, 1, T, H, W) in [-1, 1]; see `windows`."""
        c = self.contract
        pixels = fit_pixels(clip, c.fps, c.frames, c.size if size is None else size)
        last = len(pixels) - c.frames
        if around is None:
            starts = choose_starts(last, c.frames, coverage)
        else:
            starts = choose_around(last, c.frames, c.fps, around)
        for k in range(0, len(starts), WINDOWS_AT_ONCE):
            some = [to_network(pixels[s : s + c.frames]) for s in starts[k : k + WINDOWS_AT_ONCE]]
            yield torch.stack(some)[:, None]

    def windows(self, clip: EchoClip, size: int | None = None, around: Sequence[float] | None = None) -> torch.Tensor:
        """Cut a clip to the contract: (N, 1, T, H, W) in [-1, 1]; a clip too short is played forwards and backwards.

        Args:
            clip: of any frame rate, length and size.
            size: side of the windows in pixels, where more detail is to be shown; None for the contract's.
            around: moments, s, that windows are centred on as far as the clip reaches; None for the whole clip.
        """
        return torch.cat(list(self.iter_windows(clip, size, around)))

    @torch.no_grad()
    def predict_windows(self, x: torch.Tensor, attributes: Mapping[str, float] | None = None) -> torch.Tensor:
        """EF of windows of one clip; if the contract is `mirrored`, the mean over each window and its mirror image.

        Args:
            x: (B, 1, T, H, W) in [-1, 1].
            attributes: what is known of the patient, see `EchoClip`; most regressors use none.

        Returns:
            (B,), per cent.
        """
        return (self(x) + self(x.flip(-1))) / 2 if self.contract.mirrored else self(x)

    @torch.no_grad()
    def predict(
        self,
        clips: Sequence[EchoClip],
        around: Sequence[Sequence[float] | None] | None = None,
        coverage: Coverage = None,
    ) -> list[EFPrediction]:
        """Measure EF clip by clip, with bounded memory.

        Args:
            clips: any frame rate, length and size.
            around: for each clip the moments, s, that its windows are centred on, e.g. its end-systoles; None for
                windows over the whole clip.
            coverage: which windows of the whole clip, see windows.py.

        Returns:
            One prediction per clip.
        """
        self.eval()
        answers = []
        for clip, moments in zip(clips, around or [None] * len(clips), strict=True):
            values: list[float] = []
            outputs = {"deviation": self.deviation, "reduced_ef_probability": self.reduced_ef_probability}
            more: dict[str, list[float]] = {name: [] for name in outputs}
            for cut in self.iter_windows(clip, around=moments or None, coverage=coverage):
                part = cut.to(self.device)
                values += self.predict_windows(part, clip.attributes).clamp(0, 100).tolist()
                for name, output in outputs.items():
                    found = output(part)
                    more[name] += [] if found is None else found.tolist()
            ef, margin = float(np.mean(values)), float(self.contract.error90)
            known = {name: float(np.mean(found)) for name, found in more.items() if found}
            low, high = (max(0.0, ef - margin), min(100.0, ef + margin)) if margin else (0.0, 100.0)
            warnings = tuple(self.contract_violations(clip))
            answers.append(EFPrediction(ef, low, high, tuple(values), **known, warnings=warnings))
        return answers

"""Training and sampling start a stage from the same tensors."""

from typing import Any

import pytest
import torch

from echosynth.diffusion.cascade import StageSpec, superres_reference
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.stage_input import StageExtent, StageInput, draw_stage_noise, prepare_stage_input
from echosynth.diffusion.stage_sampler import SamplingRequest, StageSampler
from echosynth.diffusion.tissue_tracker import TissueTracker
from echosynth.edm.noise import Generators
from echosynth.seeding import make_generator
from echosynth.training.stage_config import StageConfig
from echosynth.training.tasks.denoising import DiffusionTask
from tests.stages import Noise, make_stage

SEED = 5
BASE = make_stage("base", 4, 8.0, 16)
TIME = make_stage("temporal", 16, 32.0, 16)
SHIFT = {"noise_share": 0.7, "lowres_sigma_max": 0.2}
CHAINS: dict[str, tuple[StageConfig, StageConfig | None]] = {
    "base": (make_stage("base", 4, 8.0, 16), None),
    "base with shared noise": (make_stage("base", 4, 8.0, 16, noise_share=0.4), None),
    "temporal": (make_stage("temporal", 16, 32.0, 16, lowres_sigma_max=0.2), BASE),
    "spatial": (make_stage("spatial", 16, 32.0, 32, **SHIFT), TIME),
    "tracked": (make_stage("spatial", 16, 32.0, 32, tracked=True, **SHIFT), TIME),
    "tracked in time and space": (make_stage("both", 16, 32.0, 32, tracked=True, **SHIFT), BASE),
}


class Replayed(SamplingRequest):
    """A request whose stage draws from a generator that has already drawn what only training draws."""

    def __init__(self, generator: torch.Generator, **asked: Any) -> None:
        super().__init__(**asked)
        object.__setattr__(self, "seeds", self)
        object.__setattr__(self, "own", generator)

    def generators(self, stage: str, first: bool) -> Generators:
        return self.own  # type: ignore[attr-defined]


class Inputs(torch.nn.Module):
    """A network that notes what it is shown, and answers zero."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.config = network, network.config
        self.seen: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor, c_noise: torch.Tensor, **conditions: Any) -> torch.Tensor:
        self.seen = {"x": x, "c_noise": c_noise} | {k: v for k, v in conditions.items() if k != "scalars"}
        return torch.zeros_like(x)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_network_sees_the_same_in_training_and_in_sampling(chain: str, given: bool) -> None:
    stage, previous = CHAINS[chain]
    stage = stage.model_copy(update={"frame_dropout": 0.0 if given else 1.0, "scalar_dropout": {}})
    tracker = None
    if stage.sampling.tracked:
        torch.manual_seed(0)
        tracker = TissueTracker(reach=2, widths=[32, 32], blocks=[1, 1])
        torch.nn.init.normal_(tracker.last.weight, std=0.5)
    task, network = DiffusionTask(stage, previous, Noise(), tracker), Inputs(stage.network())
    batch = task.make_batch(1, make_generator(SEED))
    sigma = torch.tensor([stage.sampling.sigma_max])
    task.denoise(network, batch, sigma, sigma * batch["noise"])
    trained = network.seen

    clips = task.draw_whole(1, make_generator(SEED))
    generator = make_generator(SEED)
    torch.rand(1, generator=generator)  # whether training drops the frame
    level = 0.0
    if previous is not None:
        level = float(torch.rand(1, generator=generator) * stage.noise.lowres_sigma_max)
    spec = StageSpec(**stage.spec("stage").to_dict() | {"lowres_sigma": level, "num_inference_steps": 1})  # type: ignore[arg-type]
    scheduler = EDMScheduler(
        stage.sampling.sigma_min, stage.sampling.sigma_max, stage.noise.sigma_data, solver="consistency"
    )
    sampler = StageSampler(spec, spec.frames, network, scheduler, 32, None, tracker)  # type: ignore[arg-type]
    asked = {"frame": clips.frame if given else None, "scalars": {"ef": torch.tensor([55.0])}}
    sampler.sample(clips.previous, Replayed(generator, **asked), lambda *_: None)
    sampled = network.seen

    assert trained.keys() == sampled.keys()
    for name in trained.keys() - ({"frame"} if not given else set()):
        assert torch.equal(trained[name], sampled[name]), name
    assert torch.equal(batch["frame_given"], torch.tensor([given]))


def count_draws(like: torch.Tensor) -> torch.Tensor:
    return torch.arange(like.numel(), dtype=torch.float32).reshape(like.shape)


def test_clips_of_a_batch_with_and_without_a_frame_start_as_they_would_alone() -> None:
    torch.manual_seed(0)
    tracker = TissueTracker(reach=2, widths=[32, 32], blocks=[1, 1])
    torch.nn.init.normal_(tracker.last.weight, std=0.5)
    frame, previous = torch.rand(2, 1, 32, 32) * 2 - 1, torch.rand(2, 1, 4, 16, 16) * 2 - 1
    given, level = torch.tensor([True, False]), torch.tensor([0.1, 0.2])
    extent, noise = StageExtent(4, 32, 1, 4), torch.randn(2, 1, 4, 16, 16)
    both = prepare_stage_input(extent, frame, given, lambda _: noise, previous, level, tracker)
    for k in range(2):
        one = slice(k, k + 1)
        alone = prepare_stage_input(
            extent, frame[one], given[one], lambda _, one=one: noise[one], previous[one], level[one], tracker
        )
        torch.testing.assert_close(both.reference[one], alone.reference)
        torch.testing.assert_close(both.displacement[one], alone.displacement)
    noisy = previous + level[:, None, None, None, None] * noise
    plain = superres_reference(noisy, 4, 32)
    torch.testing.assert_close(both.reference[1], plain[1]), "without a frame there is no detail to warp"
    assert not torch.allclose(both.reference[0], plain[0], atol=0.1)


def test_a_previous_clip_without_its_noise_level_is_refused() -> None:
    extent, frame = StageExtent(4, 32, 1, 4), torch.zeros(1, 1, 32, 32)
    with pytest.raises(ValueError, match="lowres_sigma"):
        prepare_stage_input(extent, frame, torch.tensor([True]), count_draws, torch.zeros(1, 1, 4, 16, 16))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_frames_share_as_much_of_their_noise_as_asked(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    start = StageInput(torch.zeros(1, 1, 2, 200, 200))
    noise = draw_stage_noise(start, share, lambda like: torch.randn(like.shape, generator=generator))
    first, second = noise[0, 0].flatten(1)
    assert float(torch.corrcoef(torch.stack([first, second]))[0, 1]) == pytest.approx(share, abs=0.02)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)

"""Every stage draws noise of its own: what one stage's sampler does leaves the others' noise bit-identical."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.stage_seeds import StageSeeds
from echosynth.seeding import derive_seed
from tests.pipelines import FRAME, make_pipeline, seeds


@pytest.fixture(scope="module")
def pipeline() -> EchoCascadePipeline:
    return make_pipeline()


@contextmanager
def starts_of(pipeline: EchoCascadePipeline) -> Iterator[dict[str, torch.Tensor]]:
    """What each network is given in its first evaluation: the noise that its chain starts from."""
    seen: dict[str, torch.Tensor] = {}
    handles = []
    for spec in pipeline.stages:

        def note(module: torch.nn.Module, given: tuple[torch.Tensor, ...], name: str = spec.name) -> None:
            seen.setdefault(name, given[0].clone())

        handles.append(getattr(pipeline, f"{spec.name}_unet").register_forward_pre_hook(note))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("change", [{"solver": "heun", "S_churn": 5.0}, {"solver": "consistency"}, {"steps": 7}])
@pytest.mark.parametrize("shared", [False, True])
def test_another_sampler_of_the_base_leaves_the_later_stages_noise(
    pipeline: EchoCascadePipeline, change: dict[str, object], shared: bool
) -> None:
    def make(steps: int | None = None) -> tuple[dict[str, torch.Tensor], np.ndarray]:
        generator = torch.Generator().manual_seed(3) if shared else seeds(3, 4)
        with starts_of(pipeline) as seen:
            clips = pipeline(FRAME[:2], 50.0, num_inference_steps=steps, guidance_scale=1.0, generator=generator).clips
        return seen, clips

    plain, clips = make()
    scheduler, settings = pipeline.base_scheduler, dict(pipeline.base_scheduler.config)
    steps = change.get("steps")
    try:
        scheduler.register_to_config(**{key: value for key, value in change.items() if key != "steps"})
        changed, other_clips = make(steps)  # type: ignore[arg-type]
    finally:
        scheduler.register_to_config(**{key: settings[key] for key in ("solver", "S_churn")})
    assert set(plain) == {"base", "sr1", "sr2"}
    assert all(torch.equal(plain[name], changed[name]) for name in ("sr1", "sr2"))
    assert not np.array_equal(clips, other_clips), "the base has made another clip"


def test_stages_clips_and_calls_differ_in_their_noise() -> None:
    generator = torch.Generator().manual_seed(3)
    first, second = StageSeeds(generator), StageSeeds(generator)
    assert first.roots == second.roots, "no number was drawn"
    torch.randn(1, generator=generator)
    roots = [first.roots, StageSeeds(generator).roots, StageSeeds(torch.Generator().manual_seed(4)).roots]
    assert len(set(map(str, roots))) == 3

    def draw(of: StageSeeds, stage: str) -> list[float]:
        generators = of.generators(stage, first=False)
        many = [generators] if isinstance(generators, torch.Generator) else generators
        return [float(torch.randn((), generator=one)) for one in many]

    numbers = [draw(of, stage) for of in (first, StageSeeds(seeds(1, 2))) for stage in ("base", "sr1", "sr2")]
    flat = [number for row in numbers for number in row]
    assert len(flat) == len(set(flat)) == 9
    assert draw(first, "sr1") == numbers[1], "a stage's noise goes by its name alone"


def test_the_first_stage_draws_from_the_caller_s_generator_and_the_others_by_name() -> None:
    (generator,) = seeds(5)
    copy = torch.Generator().manual_seed(5)
    made = StageSeeds([generator])
    assert made.generators("base", first=True) == [generator]
    root = int(torch.randint(2**63 - 1, (), generator=copy))
    assert made.roots == [root]
    (later,) = made.generators("sr1", first=False)  # type: ignore[misc]
    assert later.initial_seed() == derive_seed(root, "sr1")


@pytest.mark.heavy
def test_without_a_generator_torch_s_own_seed_decides(pipeline: EchoCascadePipeline) -> None:
    def make(seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        return np.stack([pipeline(FRAME[:1], 50.0).clips for _ in range(2)])

    assert np.array_equal(make(1), make(1))
    assert not np.array_equal(*make(1)), "two calls make two clips"
    assert not np.array_equal(make(1), make(2))

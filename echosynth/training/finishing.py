"""What a regressor gets after its last optimiser step: statistics, a second stage, and the error that it makes.

Processes share the work; all of them have the same network afterwards.
"""

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch.nn.modules.batchnorm import _BatchNorm

from echosynth.metrics.clinical import conformal_margin
from echosynth.metrics.ef_metrics import EFScores, compute_ef_scores
from echosynth.regression.base import EFRegressor
from echosynth.seeding import make_generator
from echosynth.training.clips.batches import EFSource
from echosynth.training.tasks.ef_regression import RegressionTask

STATISTICS_BATCHES = 64


@torch.no_grad()
def refresh_batch_norm(model: EFRegressor, task: RegressionTask, batch_size: int, seed: int) -> None:
    """Take the statistics of batch normalisation anew: those of the training belong to the weights before averaging.

    A frozen part keeps its own: they are what its weights were frozen with.
    """
    model.train()
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over batches
    for k in range(STATISTICS_BATCHES if layers else 0):
        batch = task.make_batch(batch_size, make_generator(seed, "statistics", k))
        model(batch["clip"].to(model.device), details=True)  # a layer that only details need is refreshed too
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def broadcast_weights(model: EFRegressor) -> None:
    """Give every process the main one's weights."""
    state = [{name: value.cpu() for name, value in model.state_dict().items()}]
    model.load_state_dict(broadcast_object_list(state)[0])


@torch.no_grad()
def fit_second_stage(model: EFRegressor, task: RegressionTask, batch_size: int, seed: int) -> None:
    """Fit what no gradient trains, on clips as they are transformed in training."""
    model.eval()
    processes, count = PartialState(), model.num_second_stage_patients
    parts: list[tuple[int, torch.Tensor, torch.Tensor]] = []
    for k in range(processes.process_index, -(-count // batch_size), processes.num_processes):
        batch = task.make_batch(batch_size, make_generator(seed, "finish", k))
        parts.append((k, model.features(batch["clip"].to(model.device)).cpu(), batch["ef"]))
    parts = sorted(gather_object(parts), key=lambda part: part[0])
    if processes.is_main_process:
        _, features, truth = (list(column) for column in zip(*parts, strict=True))
        with torch.enable_grad():
            model.fit_second_stage(*(torch.cat(column)[:count].to(model.device) for column in (features, truth)))
    broadcast_weights(model)


@torch.no_grad()
def measure_held_out(model: EFRegressor, source: EFSource) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted EF of every held-out clip, per cent, (N,) each; a whole clip as `predict` reads it."""
    model.eval()
    processes, answers = PartialState(), []
    for index in range(processes.process_index, len(source), processes.num_processes):
        clip = source.clip(index)
        windows = model.iter_windows(clip)
        values = [model.predict_windows(part.to(model.device), clip.attributes).cpu() for part in windows]
        answers.append((index, clip.ef, float(torch.cat(values).mean())))
    _, truth, predicted = np.array(sorted(gather_object(answers)), dtype=float).T
    return truth, predicted


def calibrate(model: EFRegressor, truth: np.ndarray, predicted: np.ndarray) -> EFScores:
    """Take a regressor's bias back and tell it how wide its 90 % interval is; returns its scores without the bias.

    Args:
        model: changed in place.
        truth: EF of held-out clips, per cent, (N,).
        predicted: what it makes of them, (N,).
    """
    bias = float((predicted - truth).mean())  # the windows in slow motion that it learns from leave one
    model.subtract_bias(bias)
    predicted = predicted - bias
    model.register_to_config(error90=conformal_margin(predicted - truth, 0.9))
    return compute_ef_scores(truth, predicted, [str(k) for k in range(len(truth))])

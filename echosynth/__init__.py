"""echosynth: synthetic echocardiograms that can be trusted. Research only, not for diagnosis.

The names of `__all__` are the library's door: value objects, models, and for each verb its config, function and
result. They are imported when they are first asked for, so that `import echosynth` and `--help` need no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "echosynth.augmentation.augment": ("AugmentResult", "augment"),
    "echosynth.augmentation.augment_config": ("AugmentConfig",),
    "echosynth.augmentation.generate": ("GenerateConfig", "generate"),
    "echosynth.augmentation.session": ("GenerateResult",),
    "echosynth.data.inspection": ("InspectConfig", "Inspection", "inspect_dataset"),
    "echosynth.data.layouts": ("open_dataset",),
    "echosynth.diffusion.loading": ("load_cascade",),
    "echosynth.diffusion.pipeline": ("EchoCascadePipeline",),
    "echosynth.errors": ("EchosynthError",),
    "echosynth.evaluation.config": ("EvaluateConfig",),
    "echosynth.evaluation.demo": ("DemoConfig", "DemoResult", "demo"),
    "echosynth.evaluation.explain": ("ExplainConfig", "ExplainResult", "explain"),
    "echosynth.evaluation.measure": ("MeasureConfig", "MeasureResult", "measure"),
    "echosynth.evaluation.probe": ("ProbeConfig", "ProbeResult", "probe"),
    "echosynth.evaluation.result": ("EvaluationResult",),
    "echosynth.evaluation.runner": ("evaluate",),
    "echosynth.evaluation.uplift.config": ("UpliftConfig",),
    "echosynth.evaluation.uplift.runner": ("UpliftResult", "uplift"),
    "echosynth.phantom.plan": ("SimulateConfig",),
    "echosynth.phantom.simulate": ("SimulateResult", "simulate"),
    "echosynth.regression.base": ("EFPrediction",),
    "echosynth.regression.loading": ("load_regressor",),
    "echosynth.storage.model_ref": ("ModelRef",),
    "echosynth.training.adaptation.adapt": ("AdaptConfig", "AdaptResult", "adapt"),
    "echosynth.training.cascade": ("CascadeConfig",),
    "echosynth.training.regressor": ("RegressorConfig",),
    "echosynth.training.train": ("TrainResult", "load_training_config", "train"),
    "echosynth.video.clip": ("EchoClip",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["__version__", *_HOME_OF]

if TYPE_CHECKING:  # the same for type checkers and editors, who do not run the code
    from echosynth.augmentation.augment import AugmentResult as AugmentResult
    from echosynth.augmentation.augment import augment as augment
    from echosynth.augmentation.augment_config import AugmentConfig as AugmentConfig
    from echosynth.augmentation.generate import GenerateConfig as GenerateConfig
    from echosynth.augmentation.generate import generate as generate
    from echosynth.augmentation.session import GenerateResult as GenerateResult
    from echosynth.data.inspection import InspectConfig as InspectConfig
    from echosynth.data.inspection import Inspection as Inspection
    from echosynth.data.inspection import inspect_dataset as inspect_dataset
    from echosynth.data.layouts import open_dataset as open_dataset
    from echosynth.diffusion.loading import load_cascade as load_cascade
    from echosynth.diffusion.pipeline import EchoCascadePipeline as EchoCascadePipeline
    from echosynth.errors import EchosynthError as EchosynthError
    from echosynth.evaluation.config import EvaluateConfig as EvaluateConfig
    from echosynth.evaluation.demo import DemoConfig as DemoConfig
    from echosynth.evaluation.demo import DemoResult as DemoResult
    from echosynth.evaluation.demo import demo as demo
    from echosynth.evaluation.explain import ExplainConfig as ExplainConfig
    from echosynth.evaluation.explain import ExplainResult as ExplainResult
    from echosynth.evaluation.explain import explain as explain
    from echosynth.evaluation.measure import MeasureConfig as MeasureConfig
    from echosynth.evaluation.measure import MeasureResult as MeasureResult
    from echosynth.evaluation.measure import measure as measure
    from echosynth.evaluation.probe import ProbeConfig as ProbeConfig
    from echosynth.evaluation.probe import ProbeResult as ProbeResult
    from echosynth.evaluation.probe import probe as probe
    from echosynth.evaluation.result import EvaluationResult as EvaluationResult
    from echosynth.evaluation.runner import evaluate as evaluate
    from echosynth.evaluation.uplift.config import UpliftConfig as UpliftConfig
    from echosynth.evaluation.uplift.runner import UpliftResult as UpliftResult
    from echosynth.evaluation.uplift.runner import uplift as uplift
    from echosynth.phantom.plan import SimulateConfig as SimulateConfig
    from echosynth.phantom.simulate import SimulateResult as SimulateResult
    from echosynth.phantom.simulate import simulate as simulate
    from echosynth.regression.base import EFPrediction as EFPrediction
    from echosynth.regression.loading import load_regressor as load_regressor
    from echosynth.storage.model_ref import ModelRef as ModelRef
    from echosynth.training.adaptation.adapt import AdaptConfig as AdaptConfig
    from echosynth.training.adaptation.adapt import AdaptResult as AdaptResult
    from echosynth.training.adaptation.adapt import adapt as adapt
    from echosynth.training.cascade import CascadeConfig as CascadeConfig
    from echosynth.training.regressor import RegressorConfig as RegressorConfig
    from echosynth.training.train import TrainResult as TrainResult
    from echosynth.training.train import load_training_config as load_training_config
    from echosynth.training.train import train as train
    from echosynth.video.clip import EchoClip as EchoClip

else:  # hidden from type checkers, which would take it for a promise that any name is there

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first asked for."""
        if name not in _HOME_OF:
            raise AttributeError(f"module 'echosynth' has no attribute '{name}'")
        value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
        return value


def __dir__() -> list[str]:
    """The public names, for completion and `help`."""
    return sorted(__all__)

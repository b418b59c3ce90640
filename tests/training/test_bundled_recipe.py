"""The bundled cascade's two configs: what phantom_fast starts from is what phantom_small makes."""

import re
import shlex
from pathlib import Path

from echosynth.config import load_config
from echosynth.training.cascade import CascadeConfig

ROOT = Path(__file__).resolve().parents[2]
DIFFUSION = ROOT / "configs" / "diffusion"


def test_the_tuned_cascade_has_the_networks_that_it_starts_from() -> None:
    before, tuned = (load_config(DIFFUSION / f"phantom_{name}.yaml", CascadeConfig) for name in ("small", "fast"))
    assert list(before.stages) == list(tuned.stages)
    for name, stage in tuned.stages.items():
        assert stage.unet == before.stages[name].unet
        assert (stage.kind, stage.frames, stage.fps, stage.size) == tuple(
            getattr(before.stages[name], field) for field in ("kind", "frames", "fps", "size")
        )
        assert stage.sigma_data == before.stages[name].sigma_data
    for part in ("ef_guide", "tissue_tracker"):
        old, new = getattr(before, part), getattr(tuned, part)
        assert (new.widths, new.blocks) == (old.widths, old.blocks)
    inits = {name: stage.init for name, stage in tuned.stages.items()}
    inits |= {"ef_guide": tuned.ef_guide.init, "tissue_tracker": tuned.tissue_tracker.init}  # type: ignore[union-attr]
    assert {name: str(folder) for name, folder in inits.items()} == {
        name: f"runs/phantom_small/{name}/model" for name in before.parts
    }
    makers = [stage for stage in tuned.stages.values() if stage.kind != "frame"]
    jumps = sum(stage.num_inference_steps * (2 if stage.correction else 1) for stage in makers)
    assert jumps + 3 <= 8  # the guide's readings, the tracker


def test_the_base_is_tuned_on_from_what_the_first_tuning_has_made() -> None:
    script = (ROOT / "scripts" / "train_bundle.sh").read_text()
    found = re.search(r"^again=\((.*?)\)$", script, re.MULTILINE | re.DOTALL)
    assert found
    words = [word for word in shlex.split(found[1]) if word != "--set"]
    first, again = (load_config(DIFFUSION / "phantom_fast.yaml", CascadeConfig, told) for told in ((), words))
    assert str(again.stages["base"].init) == "runs/phantom_fast/base/model"
    assert str(again.ef_guide.init) == "runs/phantom_fast/ef_guide/model"  # type: ignore[union-attr]
    tuned = [name for name in again.parts if (getattr(again, name, None) or again.stages[name]).optim.steps]
    assert tuned == ["base"]
    assert first.stages["base"].spec("base") == again.stages["base"].spec("base")

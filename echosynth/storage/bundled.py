"""The weights and configs that come with the package: beside it in a checkout, inside it where it is installed."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def bundled_folder(name: str) -> Path:
    """Return the folder `checkpoints` or `configs` that came with this copy of the package; it may not exist."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def find_config(path: str | Path) -> Path:
    """Return the file that a config's name means.

    A file that exists is meant itself. Otherwise `smoke/regressor_tiny`, `smoke/regressor_tiny.yaml` and
    `configs/smoke/regressor_tiny.yaml` all name a bundled config. What is neither is returned as it is.
    """
    path = Path(path)
    if path.exists() or path.is_absolute() or ".." in path.parts:
        return path
    name = path.relative_to("configs") if path.parts[:1] == ("configs",) else path
    bundled = bundled_folder("configs") / name
    for candidate in (bundled, bundled.with_name(f"{bundled.name}.yaml")):
        if candidate.is_file():
            return candidate
    return path

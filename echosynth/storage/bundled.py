"""The weights and configs that come with the package: beside it in a checkout, inside it where it is installed."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def bundled_folder(name: str) -> Path:
    """Return the folder `checkpoints` or `configs` that came with this copy of the package; it may not exist."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def bundled_config(name: str | Path) -> Path | None:
    """Return the bundled config of a name, None if there is none.

    `smoke/regressor_tiny`, `smoke/regressor_tiny.yaml` and `configs/smoke/regressor_tiny.yaml` name the same.
    """
    name = Path(name)
    if name.is_absolute() or ".." in name.parts:
        return None
    folder = bundled_folder("configs")
    file = folder / (name.relative_to("configs") if name.parts[:1] == ("configs",) else name)
    candidates = (file, file.with_name(f"{file.name}.yaml")) if file != folder else ()
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def find_config(path: str | Path) -> Path:
    """Return the file that is meant: one that exists, else a bundled config of this name, else the path as it is."""
    path = Path(path)
    return path if path.exists() else bundled_config(path) or path

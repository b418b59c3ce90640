"""What all tests share: one thread, no deadline that a busy machine could miss, and the quick folders first."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: workers share the cores, sums have one order
settings.register_profile("echosynth", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("echosynth")

HERE = Path(__file__).resolve().parent
# As the folders of the package stand upon one another: what is broken below fails first.
FOLDERS = ["storage", "cardiac", "metrics", "edm", "video", "data", "phantom", "diffusion", "regression", "training"]
FOLDERS += ["augmentation", "evaluation", "report", "benchmark", "commands"]
LAST = ["test_examples.py", "test_readme.py", "test_end_to_end.py", "test_gpu.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files at the top first, then the folders in their order, then the whole chain; files keep their order within."""

    def place(item: pytest.Item) -> int:
        top, *below = item.path.relative_to(HERE).parts
        if not below:
            return len(FOLDERS) + 1 + LAST.index(top) if top in LAST else -1
        return FOLDERS.index(top) if top in FOLDERS else len(FOLDERS)

    items.sort(key=place)

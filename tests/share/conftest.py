from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import kaggle_ray
from kaggle_ray.testing.toy import TINY, TOY_FILE


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    """A run of two experiments, which nobody writes to."""
    return kaggle_ray.run(
        TOY_FILE,
        experiments=[{**TINY, "epochs": 1}, {**TINY, "epochs": 1, "lr": 0.02}],
        data=toy_data,
        runs=tmp_path_factory.mktemp("team"),
        launcher="local",
        reporters=[],
        device="cpu",
    ).run_dir


@pytest.fixture
def copy_of_run(finished: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Make a copy of the run under a name of its own."""
    return lambda name: Path(shutil.copytree(finished, tmp_path / "runs" / "toy" / name))

"""The command line as tests use it: as a process, and within this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kaggle_ray.cli import main
from kaggle_ray.testing.toy import TINY

KAGGLE_RAY = [str(Path(sys.executable).parent / "kaggle-ray")]
"""The installed program."""

JSON_KEYS = {
    "run_dir", "submission", "refit", "metric", "greater_is_better", "best_experiment", "best_score",
    "ensemble_score_honest", "ensemble_score_in_sample", "num_experiments", "num_trials", "num_failed",
    "num_epochs_trained", "decoded_images", "seconds",
}  # fmt: skip
"""What ``run --json`` says of a run."""


def call(words: list[str], *, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Return what came of a program that was run in the folder ``cwd``."""
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def write_space_of_two(folder: Path) -> None:
    """Write ``space.py``, a search space of two tiny experiments for the toy competition."""
    (folder / "space.py").write_text(
        "from kaggle_ray import SearchSpace\n"
        f"SPACE = SearchSpace(base={{**{TINY!r}, 'epochs': 2}}, grid={{'lr': [1e-2, 1e-3]}})\n"
    )


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str, int]:
    """Return stdout, stderr and exit code of the command line in this process."""
    code = 0
    try:
        main(list(words))
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return out, err, code

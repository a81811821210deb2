"""A run of the toy competition as each past version of the store's schema wrote it: what a new version has to meet.

Each was written by the code of its time, with one experiment of two folds; the paths in its ``run.json`` were changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

PAST_SCHEMA_VERSIONS = (1, 2)


def copy_past_run(version: int, runs: Path) -> Path:
    """Copy the run of a past schema version below ``runs``, as ``toy/past``; return its folder."""
    run_dir = runs / "toy" / "past"
    shutil.copytree(Path(__file__).parent / f"v{version}", run_dir)
    return run_dir

"""The command line as tests use it: as a process, and within this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kaggle_ray.cli import main

KAGGLE_RAY = [str(Path(sys.executable).parent / "kaggle-ray")]
"""The installed program."""


def call(words: list[str], *, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Return what came of a program that was run in the folder ``cwd``."""
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str, int]:
    """Return stdout, stderr and exit code of the command line in this process."""
    code = 0
    try:
        main(list(words))
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return out, err, code

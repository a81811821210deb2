"""What a person's own code warns of in trials is told once, with the trial, whatever process it runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.launch.by_name import LauncherName
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.reporters.events import TrialWarned
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.toy import TINY

MINE = """
import warnings

import torch
from kaggle_ray import register_loss
from kaggle_ray.testing.toy import COMPETITION


@register_loss("wary", "binary")
def wary(head, count):
    def loss(logits, targets):
        warnings.warn("these targets are odd", stacklevel=1)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)

    return loss
"""


@pytest.mark.parametrize("launcher", ["local", pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.ray])])
def test_a_warning_of_the_users_file_is_told_once_and_names_the_trial(
    launcher: LauncherName, toy_data: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    recorder = Recorder()
    execute(
        RunOptions(
            competition=mine, data=toy_data, runs=tmp_path / "runs", launcher=launcher, num_slots=1,
            experiments=[{**TINY, "epochs": 2, "lr": lr, "loss": "wary"} for lr in (1e-2, 1e-3)],
        ),
        reporters=[recorder],
    )  # fmt: skip
    told = recorder.one(TrialWarned)
    assert told.warning.text == f"UserWarning: these targets are odd (line 12 of {mine})"
    assert told.warning.epoch == 1

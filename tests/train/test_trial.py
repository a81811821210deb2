from __future__ import annotations

import dataclasses
import gc
import logging
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kaggle_ray.models import register_model
from kaggle_ray.testing.launcher_contract import GOOD, NUM_EPOCHS, WARNING, toy_plan, trials_of
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.trial import TrialRunner
from kaggle_ray.types import EpochMetrics, JsonValue, Trial, TrialMessage, TrialResult, TrialWarning


def run(runner: TrialRunner, trial: Trial) -> tuple[list[TrialMessage], TrialResult]:
    yielded: list[TrialMessage] = []
    messages = runner.run(trial)
    while True:
        try:
            yielded.append(next(messages))
        except StopIteration as stop:
            return yielded, stop.value


def test_a_machine_that_does_not_see_the_runs_folder_says_what_to_do(toy_data: Path, tmp_path: Path) -> None:
    plan = toy_plan(data=toy_data, runs=tmp_path / "runs", experiments=GOOD[:1])
    elsewhere = dataclasses.replace(plan.trial_context(), run_dir=tmp_path / "not_shared")
    _, result = run(TrialRunner(elsewhere), trials_of(plan)[0])
    assert result.status == "failed"
    assert f"{tmp_path / 'not_shared'}: " in (result.error or "")
    assert "disk that all machines share, under the same path: name one with --runs" in (result.error or "")
    assert not (tmp_path / "not_shared").exists(), "and nothing is written where nobody looks"


class SteepAtZero(nn.Module):
    """Predicts a finite value, whose gradient is infinite."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(1))
        self.layer = nn.Linear(3, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.layer(images.mean(dim=(2, 3)) + self.zero.sqrt())
        return values


def test_a_warning_comes_before_the_measures_of_its_epoch(toy_data: Path, tmp_path: Path) -> None:
    plan = toy_plan(data=toy_data, runs=tmp_path, experiments=[WARNING])
    yielded, result = run(TrialRunner(plan.trial_context()), trials_of(plan)[0])
    assert [type(message) for message in yielded] == [TrialWarning, *[EpochMetrics] * NUM_EPOCHS]
    assert tuple(yielded[1:]) == result.history


def test_what_was_warned_of_before_a_failure_is_told_too(toy_data: Path, tmp_path: Path) -> None:
    register_model("steep")(SteepAtZero)
    steep: dict[str, JsonValue] = {"model": "steep", "image_size": 8, "batch_size": 16, "epochs": 2}
    plan = toy_plan(data=toy_data, runs=tmp_path, experiments=[steep])
    (warning,), result = run(TrialRunner(plan.trial_context()), trials_of(plan)[0])
    assert isinstance(warning, TrialWarning)
    assert (warning.topic, warning.epoch, warning.step) == ("exploding_gradient", 1, 1)
    assert result.status == "failed"
    assert "in step 2 it is not finite" in (result.error or "")


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Fit]]]:
    """The fits that are made; what is not needed any more has to be gone without the garbage collector."""
    made: list[weakref.ref[Fit]] = []
    initialise = Fit.__init__

    def init(self: Fit, *args: Any, **options: Any) -> None:
        made.append(weakref.ref(self))
        initialise(self, *args, **options)

    monkeypatch.setattr(Fit, "__init__", init)
    gc.disable()
    yield made
    gc.enable()


def test_a_trials_tensors_are_gone_when_it_ends(toy_data: Path, tmp_path: Path, fits: list[weakref.ref[Fit]]) -> None:
    plan = toy_plan(data=toy_data, runs=tmp_path / "runs", experiments=GOOD[:1])
    _, result = run(TrialRunner(plan.trial_context()), trials_of(plan)[0])
    assert result.status == "committed"
    assert [fit() for fit in fits] == [None], "else the next trial on a GPU has less memory"


def test_a_failed_trials_tensors_are_gone_when_it_ends(
    toy_data: Path, tmp_path: Path, fits: list[weakref.ref[Fit]], monkeypatch: pytest.MonkeyPatch
) -> None:
    activations: list[weakref.ref[Tensor]] = []

    def fail(*_: object) -> None:
        activation = torch.ones(1)
        activations.append(weakref.ref(activation))
        raise RuntimeError("for another reason")

    monkeypatch.setattr(Fit, "_step", fail)
    monkeypatch.setattr(logging.getLogger("kaggle_ray.train.trial"), "disabled", True)  # pytest keeps what is logged
    plan = toy_plan(data=toy_data, runs=tmp_path / "runs", experiments=GOOD[:1])
    _, result = run(TrialRunner(plan.trial_context()), trials_of(plan)[0])
    assert result.error == "RuntimeError: for another reason"
    assert [fit() for fit in fits] == [None]
    assert [activation() for activation in activations] == [None]

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
from kaggle_ray.testing.toy import TINY
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
    elsewhere = dataclasses.replace(plan.trial_context(), location=str(tmp_path / "not_shared"))
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
    assert (result.error or "").startswith("RuntimeError: for another reason")
    assert [fit() for fit in fits] == [None]
    assert [activation() for activation in activations] == [None]


OTHER_FOLDS: dict[str, JsonValue] = {**TINY, "epochs": 3, "epoch_rule": "other_folds"}


def undisturbed(data: Path, folder: Path) -> tuple[TrialResult, dict[str, str]]:
    plan = toy_plan(data=data, runs=folder, experiments=[OTHER_FOLDS])
    _, result = run(TrialRunner(plan.trial_context()), trials_of(plan)[0])
    return result, dict(result.blobs)


def cut_short(data: Path, folder: Path) -> tuple[TrialRunner, Trial, Path]:
    """Return a trial of which two epochs were trained, with who goes on with it, and its folder."""
    plan = toy_plan(data=data, runs=folder, experiments=[OTHER_FOLDS])
    (trial, *_), context = trials_of(plan), dataclasses.replace(plan.trial_context(), checkpoint_every_s=0)
    messages = TrialRunner(context).run(trial)
    while getattr(next(messages), "epoch", 0) < 2:
        pass
    messages.close()
    return TrialRunner(context), trial, Path(plan.location) / "trials" / str(trial)


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-8] + bytes(range(8)))


def test_a_trial_whose_checkpoints_or_kept_files_were_damaged_says_so_and_begins_anew(
    toy_data: Path, tmp_path: Path
) -> None:
    _, blobs = undisturbed(toy_data, tmp_path / "undisturbed")
    for damaged in ("checkpoint/*.safetensors", "attempts/*/epoch1/valid.npy"):
        runner, trial, folder = cut_short(toy_data, tmp_path / damaged.partition("/")[2][-9:])
        for file in folder.glob(damaged):
            damage(file)
        (first, second, *epochs), result = run(runner, trial)
        for warning in (first, second):
            assert isinstance(warning, TrialWarning)
            assert warning.topic == "unusable_checkpoint"
            assert "expected sha256" in warning.text
        assert [each.text.rpartition(". ")[2] for each in (first, second) if isinstance(each, TrialWarning)] == [
            "It goes on from the one before.", "It begins anew.",
        ]  # fmt: skip
        assert (len(epochs), result.status, result.num_resumed, result.blobs) == (3, "committed", 0, blobs)


def test_a_trial_whose_last_checkpoint_was_damaged_goes_on_from_the_one_before(toy_data: Path, tmp_path: Path) -> None:
    _, blobs = undisturbed(toy_data, tmp_path / "undisturbed")
    runner, trial, folder = cut_short(toy_data, tmp_path / "runs")
    kept = sorted((folder / "checkpoint").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    assert len(kept) == 2
    damage(kept[-1])
    (warning, *epochs), result = run(runner, trial)
    assert isinstance(warning, TrialWarning)
    assert warning.text.endswith("It goes on from the one before.")
    assert (len(epochs), result.num_resumed, result.blobs) == (3, 1, blobs), "the same bits"


def test_a_trial_that_a_version_with_one_checkpoint_left_is_gone_on_with(toy_data: Path, tmp_path: Path) -> None:
    runner, trial, folder = cut_short(toy_data, tmp_path / "runs")
    before, last = sorted((folder / "checkpoint").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    before.unlink()
    last.rename(folder / "checkpoint/state.safetensors")
    _, result = run(runner, trial)
    assert result.num_resumed == 2
    assert not (folder / "checkpoint").exists()


def test_a_trial_whose_kept_files_are_as_they_were_goes_on(toy_data: Path, tmp_path: Path) -> None:
    _, blobs = undisturbed(toy_data, tmp_path / "undisturbed")
    runner, trial, _ = cut_short(toy_data, tmp_path / "resumed")
    yielded, result = run(runner, trial)
    assert [type(message) for message in yielded] == [EpochMetrics] * 3
    assert (result.num_resumed, result.blobs) == (2, blobs)

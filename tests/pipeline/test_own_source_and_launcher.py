"""A source and a launcher of a user's own, through ``kaggle_ray.run``: resumed, against the clock, and refitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.launch.local import LocalLauncher
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import RunInterrupted, RunStarted
from kaggle_ray.schedule.source import Continue, Done, MakeSource, TrialSource, Wait
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.context import TrialContext
from kaggle_ray.types import EpochMetrics, Experiment, Trial, TrialResult

EXPERIMENTS: list[dict[str, Any]] = [{**TINY, "epochs": 1, "lr": lr} for lr in (1e-2, 3e-3, 1e-3)]


class FirstFoldFirst:
    """A race of one round: the better half by the first fold is run on the others, too, and alone is admitted."""

    def __init__(
        self, experiments: Sequence[Experiment], num_folds: int, ended: Callable[[Trial], TrialResult | None]
    ) -> None:
        self._experiments = experiments
        self._num_folds = num_folds
        known = (ended(Trial(experiment_id=e.experiment_id, fold=k)) for e in experiments for k in range(num_folds))
        self._results = [result for result in known if result is not None]
        self._begun = {result.trial for result in self._results}

    @property
    def results(self) -> tuple[TrialResult, ...]:
        return tuple(self._results)

    def next(self) -> Trial | Wait | Done:
        heats = [Trial(experiment_id=each.experiment_id, fold=0) for each in self._experiments]
        finals = [Trial(experiment_id=e.experiment_id, fold=k) for e in self.admitted() for k in range(self._num_folds)]
        for trial in (*heats, *finals):
            if trial not in self._begun:
                self._begun.add(trial)
                return trial
        return Done() if self._begun == {result.trial for result in self._results} else Wait()

    def report(self, trial: Trial, metrics: EpochMetrics) -> Continue:
        return Continue()

    def record(self, result: TrialResult) -> None:
        self._results.append(result)

    def admitted(self) -> tuple[Experiment, ...]:
        heats = {result.trial.experiment_id: result for result in self._results if result.trial.fold == 0}
        if len(heats) < len(self._experiments):
            return ()
        losses = {name: result.score for name, result in heats.items() if result.score is not None}
        best = sorted(losses, key=losses.__getitem__)[: len(self._experiments) // 2]
        return tuple(each for each in self._experiments if each.experiment_id in best)


class Counting:
    """Runs trials in this process, and counts them."""

    def __init__(self) -> None:
        self.num_runs = 0

    def run(self, source: TrialSource, context: TrialContext, emit: Emit) -> None:
        self.num_runs += 1
        LocalLauncher().run(source, context, emit)


_: tuple[MakeSource, type[kaggle_ray.Launcher]] = (FirstFoldFirst, Counting)


def race(data: Path, runs: Path, launcher: Counting, recorder: Recorder, **others: Any) -> kaggle_ray.RunResult:
    return kaggle_ray.run(
        TOY_FILE, EXPERIMENTS, data=data, runs=runs, run_id="x", device="cpu", threads=1,
        source=FirstFoldFirst, launcher=launcher, reporters=[recorder], **others,
    )  # fmt: skip


def test_a_race_is_run_resumed_and_refitted_by_a_launcher_of_ones_own(tmp_path: Path, toy_data: Path) -> None:
    launcher, recorder = Counting(), Recorder()
    first = race(toy_data, tmp_path, launcher, recorder)
    assert launcher.num_runs == 1
    assert recorder.all(RunStarted)[0].launcher == "Counting"
    assert not recorder.all(RunInterrupted), "what the race left out was not left out by the clock"
    assert first.num_epochs_trained == 4, "three heats, and the other fold of the best"
    assert first.ensemble is not None
    assert len(first.ensemble.weights) == 1
    again = race(toy_data, tmp_path, launcher, Recorder(), refit=True)
    assert again.num_epochs_trained == 1, "on all rows"
    assert again.refit is not None
    assert again.submission.read_bytes() == first.submission.read_bytes()


def test_a_race_ends_in_time_and_goes_on_where_it_was(tmp_path: Path, toy_data: Path) -> None:
    launcher, recorder = Counting(), Recorder()
    nothing = race(toy_data, tmp_path, launcher, recorder, budget="0s")
    assert launcher.num_runs == 0
    assert nothing.ensemble is None
    assert [event.reason for event in recorder.all(RunInterrupted)] == ["deadline"]

    class StopsAfterTwo(Recorder):
        def emit(self, envelope: Any) -> None:
            super().emit(envelope)
            if self.kinds.count("trial_ended") == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        race(toy_data, tmp_path, launcher, StopsAfterTwo())
    resumed = race(toy_data, tmp_path, launcher, Recorder(), budget="1h")
    whole = race(toy_data, tmp_path / "whole", launcher, Recorder())
    assert (resumed.num_epochs_trained, whole.num_epochs_trained) == (2, 4)
    assert resumed.submission.read_bytes() == whole.submission.read_bytes()

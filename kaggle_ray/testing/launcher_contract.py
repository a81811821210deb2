"""The contract of a launcher: call the three functions ``check_*`` in a test of each implementation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.pipeline.options import ExperimentLike, RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.reporters.events import EpochEnded, Event, TrialEnded, TrialStarted, TrialWarned
from kaggle_ray.schedule.source import Continue, Done, ListSource, Stop, Wait
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import EpochMetrics, Trial, TrialResult

NUM_EPOCHS = 3
GOOD: tuple[ExperimentLike, ...] = tuple({**TINY, "epochs": NUM_EPOCHS, "lr": lr} for lr in (1e-2, 3e-3, 1e-3))
WARNING = {**TINY, "epochs": NUM_EPOCHS, "lr": 10.0}
"""Predicts the same for all samples after its first epoch, and goes on."""
DIVERGING = {**TINY, "epochs": NUM_EPOCHS, "lr": 1e30}
DIVERGING_LATE = {**DIVERGING, "batch_size": 64, "schedule": "constant"}
"""The only step of its first epoch does it, so that the training loss is finite."""


TrialEvent = TrialStarted | EpochEnded | TrialWarned | TrialEnded


@dataclass(frozen=True, kw_only=True, slots=True)
class LauncherRun:
    """What a launcher made of the trials of a toy run that were left."""

    store: RunStore
    results: tuple[TrialResult, ...]
    """Results as the source was given them."""
    events: tuple[Event, ...]

    def predictions(self, trial: Trial) -> tuple[bytes, bytes]:
        """Return the bytes of the trial's valid.npy and test.npy."""
        result = self.store.result(trial)
        assert result is not None, f"{trial} has not ended"
        folder = f"trials/{trial}/attempts/{result.attempt_id}"
        valid, test = self.store.blobs.get(f"{folder}/valid.npy"), self.store.blobs.get(f"{folder}/test.npy")
        assert valid is not None, f"{trial} has no valid.npy"
        assert test is not None, f"{trial} has no test.npy"
        return valid, test

    def of(self, trial: Trial) -> list[TrialEvent]:
        """Return the trial's events, in order."""
        return [event for event in self.events if isinstance(event, TrialEvent) and event.trial == trial]

    def warnings(self, trial: Trial) -> list[TrialWarned]:
        """Return what the trial warned of, in order."""
        return [event for event in self.of(trial) if isinstance(event, TrialWarned)]


def toy_plan(*, data: Path, runs: Path, experiments: Sequence[ExperimentLike], num_slots: int = 2) -> RunPlan:
    """Return the plan of a run of the toy competition, which is begun, so that a launcher can run it."""
    plan = make_plan(
        RunOptions(
            competition=TOY_FILE, experiments=experiments, data=data, runs=runs, run_id="x",
            device="cpu", threads=1, dtype="float32", num_slots=num_slots,
        )
    )  # fmt: skip
    prepare(plan, None)
    return plan


def trials_of(plan: RunPlan) -> list[Trial]:
    """Return all trials of a plan in the order of a list."""
    folds = range(plan.folds.num_folds)
    return [Trial(experiment_id=e.experiment_id, fold=fold) for e in plan.experiments for fold in folds]


def launch(
    launcher: Launcher,
    plan: RunPlan,
    *,
    make_source: type[ListSource] = ListSource,
    on_event: Callable[[Event], None] | None = None,
) -> LauncherRun:
    """Run what is left of a plan; ``on_event`` is called in between, where a reporter would be."""
    store = open_run(plan.location)
    source = make_source(plan.experiments, plan.folds.num_folds, ended=store.result)
    num_before = len(source.results)
    events: list[Event] = []
    thread = threading.get_ident()

    def emit(event: Event) -> None:
        assert threading.get_ident() == thread, "events come from the thread that called run()"
        events.append(event)
        if on_event is not None:
            on_event(event)

    launcher.run(source, plan.trial_context(), emit)
    return LauncherRun(store=store, results=source.results[num_before:], events=tuple(events))


def check_launcher(launcher: Launcher, reference: Launcher, *, data: Path, runs: Path) -> LauncherRun:
    """Check results, events and the bytes of the predictions against another launcher's; return the run.

    Raises:
        Exception: whatever the launcher raised, or an AssertionError.
    """
    plan = toy_plan(
        data=data, runs=runs / "checked", experiments=[*GOOD[:1], DIVERGING, DIVERGING_LATE, WARNING, *GOOD[1:]]
    )
    run = launch(launcher, plan)
    expected = launch(reference, toy_plan(data=data, runs=runs / "reference", experiments=[*GOOD, WARNING]))
    good = {result.trial for result in expected.results}
    assert sorted(result.trial for result in run.results) == sorted(trials_of(plan)), "each trial is recorded once"
    for result in run.results:
        assert run.store.result(result.trial) == result, "what is recorded is what is committed"
        assert result.process_id > 0
        (_check_good if result.trial in good else _check_diverged)(run, result)
    for trial in good:
        assert run.predictions(trial) == expected.predictions(trial), f"{trial}: other bytes than the reference's"
        assert run.warnings(trial) == expected.warnings(trial), f"{trial}: other warnings than the reference's"
    assert sum(bool(expected.warnings(trial)) for trial in good) == plan.folds.num_folds, "those of one experiment"
    rerun = launch(launcher, plan)
    assert (rerun.results, rerun.events) == ((), ()), "neither a committed trial nor one that diverged is repeated"
    return run


def check_waiting(launcher: Launcher, *, data: Path, runs: Path) -> LauncherRun:
    """Check that a launcher, however many slots it has, waits where the source says so; return the run."""
    plan = toy_plan(data=data, runs=runs, experiments=GOOD[:2])
    run = launch(launcher, plan, make_source=OneAtATime)
    assert [result.trial for result in run.results] == trials_of(plan)
    types = [type(event) for event in run.events if not isinstance(event, EpochEnded)]
    assert types == [TrialStarted, TrialEnded] * len(trials_of(plan))
    return run


def check_pruning(launcher: Launcher, reference: Launcher, *, data: Path, runs: Path) -> LauncherRun:
    """Check that a launcher stops the trials that the source stops, and goes on with the others; return the run."""
    plan = toy_plan(data=data, runs=runs / "checked", experiments=GOOD)
    run = launch(launcher, plan, make_source=StopsSecond)
    expected = launch(reference, toy_plan(data=data, runs=runs / "reference", experiments=GOOD))
    stopped = plan.experiments[1].experiment_id
    assert sorted(result.trial for result in run.results) == sorted(trials_of(plan)), "each trial is recorded once"
    for result in run.results:
        assert run.store.result(result.trial) == result, "what is recorded is what is committed"
        if result.trial.experiment_id == stopped:
            _check_pruned(run, result)
        else:
            _check_good(run, result)
            assert run.predictions(result.trial) == expected.predictions(result.trial)
    rerun = launch(launcher, plan, make_source=StopsSecond)
    assert (rerun.results, rerun.events) == ((), ()), "a pruned trial is not repeated"
    return run


class StopsSecond(ListSource):
    """Stops the trials of its second experiment after two epochs."""

    def report(self, trial: Trial, metrics: EpochMetrics) -> Continue | Stop:
        """Stop a trial of the second experiment as soon as its second epoch is told."""
        is_second = trial.experiment_id == self.admitted()[1].experiment_id
        return Stop(reason=f"{metrics.epoch} epochs are enough") if is_second and metrics.epoch >= 2 else Continue()


class OneAtATime(ListSource):
    """Waits for each trial to end before it hands out the next."""

    _running: Trial | None = None

    def next(self) -> Trial | Wait | Done:
        """Return the next trial once the last one has ended."""
        if self._running is not None:
            return Wait()
        step = super().next()
        self._running = step if isinstance(step, Trial) else None
        return step

    def record(self, result: TrialResult) -> None:
        """Take note of how the running trial ended."""
        assert result.trial == self._running
        self._running = None
        super().record(result)


def _check_good(run: LauncherRun, result: TrialResult) -> None:
    assert result.status == "committed", f"{result.trial}: {result.error}"
    assert [metrics.epoch for metrics in result.history] == list(range(1, NUM_EPOCHS + 1))
    trial, metrics = result.trial, result.history
    epochs = [EpochEnded(trial=trial, metrics=of_epoch) for of_epoch in metrics]
    without_warnings = [event for event in run.of(trial) if not isinstance(event, TrialWarned)]
    assert without_warnings == [TrialStarted(trial=trial), *epochs, TrialEnded.of(result)]


def _check_pruned(run: LauncherRun, result: TrialResult) -> None:
    assert (result.status, result.reason, result.score) == ("pruned", "2 epochs are enough", None)
    assert [metrics.epoch for metrics in result.history] == [1, 2], "it took no step after it was stopped"
    epochs = [EpochEnded(trial=result.trial, metrics=metrics) for metrics in result.history]
    assert run.of(result.trial) == [TrialStarted(trial=result.trial), *epochs, TrialEnded.of(result)]
    assert run.store.checkpoint(result.trial) is None, "nothing goes on from it"


def _check_diverged(run: LauncherRun, result: TrialResult) -> None:
    assert result.status == "failed"
    assert "the loss of epoch 1 is" in (result.error or "")
    without_warnings = [event for event in run.of(result.trial) if not isinstance(event, TrialWarned)]
    assert without_warnings == [TrialStarted(trial=result.trial), TrialEnded.of(result)]

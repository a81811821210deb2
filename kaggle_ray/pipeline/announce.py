"""What the driver tells the reporters of a run as a whole: that it began, and how to go on where it is stopped."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from kaggle_ray.counted import counted
from kaggle_ray.errors import KaggleRayError
from kaggle_ray.launch.by_name import launcher_name
from kaggle_ray.pipeline.costs import Costs, costs_of
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.services import Services
from kaggle_ray.pipeline.stalls import StallWatch
from kaggle_ray.pool.gather import missing_folds
from kaggle_ray.progress import progress_told_to, throttled
from kaggle_ray.report.board import Board
from kaggle_ray.reporters import Emit, FanOut, Reporter
from kaggle_ray.reporters.events import (
    InterruptReason,
    PreparationProgressed,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunStarted,
    TrialEnded,
)
from kaggle_ray.reporters.jsonl import JsonlReporter
from kaggle_ray.store.labels import Label
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.preemption import Terminated
from kaggle_ray.types import Experiment, Location, TrialResult


@contextmanager
def announcing(reporters: Sequence[Reporter]) -> Iterator[FanOut]:
    """Yield what tells all reporters; within the context they hear how preparations get on. Close them at the end."""
    fan_out = FanOut(reporters)
    try:
        with progress_told_to(throttled(lambda progress: fan_out.emit(PreparationProgressed(progress=progress)))):
            yield fan_out
    finally:
        fan_out.close()


@contextmanager
def recording(plan: RunPlan, fan_out: FanOut, services: Services) -> Iterator[Emit]:
    """Yield what tells of a run that has its name: its events.jsonl first, then services, then the other reporters.

    A stall is told, too. The diary and the services are closed at the end, before another driver may tell of the run.
    """
    store = open_run(plan.location)
    diary = JsonlReporter(store.diary)
    with services.told_of(store) as deliveries:
        watch = StallWatch(fan_out.emit)
        fan_out.name_run(competition=plan.competition.name, run_id=plan.run_id, first=[diary, watch, *deliveries])
        try:
            yield fan_out.emit
        finally:
            watch.close()
            diary.close()


@contextmanager
def announcing_stop(plan: RunPlan, command: Sequence[str] | None, emit: Emit) -> Iterator[None]:
    """Tell how to go on where a person, the machine or an error stops the run within the context."""
    try:
        yield
    except Exception as error:
        if not plan.is_fast_dev:
            text = str(error) if isinstance(error, KaggleRayError) else f"{type(error).__name__}: {error}"
            emit(RunFailed(error=text, how_to_resume=_ways_on(plan, command)[0]))
        raise
    except KeyboardInterrupt as stop:
        reason: InterruptReason = "sigterm" if isinstance(stop, Terminated) else "ctrl-c"
        if not plan.is_fast_dev:  # which is not resumed
            emit(interrupted(reason, plan, open_run(plan.location), command))
        raise


def run_started(
    plan: RunPlan,
    experiments: Sequence[Experiment],
    ended: Sequence[TrialResult],
    command: Sequence[str] | None,
    *,
    labels: Mapping[str, Label] = MappingProxyType({}),
) -> RunStarted:
    """Return the event that begins a run, of the ``experiments`` that are known by now, and of their notes."""
    costs = Costs(epochs={}) if plan.is_fast_dev else costs_of(plan, experiments, ended)
    return RunStarted(
        metric=plan.competition.metric.name,
        greater_is_better=plan.competition.metric.greater_is_better,
        experiments={experiment.experiment_id: experiment.name for experiment in experiments},
        num_folds=plan.folds.num_folds,
        ended=tuple(TrialEnded.of(result) for result in ended),
        epochs={experiment.experiment_id: plan.epochs_of(experiment) for experiment in experiments},
        epoch_costs=costs.epochs,
        feature_costs=costs.features,
        hyperparameters={experiment.experiment_id: experiment.hyperparameters for experiment in experiments},
        num_experiments=plan.num_experiments,
        launcher=launcher_name(plan.options.launcher),
        num_slots=plan.num_slots,
        run_dir=Location(plan.location),
        how_to_resume=_ways_on(plan, command)[0],
        notes={experiment_id: label.notes for experiment_id, label in labels.items() if label.notes},
        weights=plan.content.weights,
    )


def interrupted(
    reason: InterruptReason, plan: RunPlan, store: RunStore, command: Sequence[str] | None
) -> RunInterrupted:
    """Return the event of a run that stops early: how far it is, and what to type to go on."""
    how_to_resume, how_to_ensemble = _ways_on(plan, command)
    return RunInterrupted(
        reason=reason,
        num_committed=_num_committed(plan, store),
        num_trials=plan.num_trials,
        how_to_resume=how_to_resume,
        how_to_ensemble=how_to_ensemble,
    )


def _ways_on(plan: RunPlan, command: Sequence[str] | None) -> tuple[str, str]:
    """Return what to type, or to call, to go on with the run, and to ensemble what it has."""
    if command is None:
        again = f"call run() again with run_id={plan.run_id!r}"
        return again, f"{again} and budget='0s'"
    words = list(command) if "--run-id" in command else [*command, "--run-id", plan.run_id]
    return shlex.join(words), shlex.join([*words, "--budget", "0s"])


def run_ended(
    plan: RunPlan,
    submission: Location,
    report: Location,
    board: Board,
    command: Sequence[str] | None,
    *,
    seconds: float,
) -> RunEnded:
    """Return the event that ends a run, after so many ``seconds`` of this session."""
    return RunEnded(
        submission=submission,
        report=report,
        seconds=seconds,
        board=board.rows,
        note=_note(plan, command) if plan.is_fast_dev else None,
    )


def _note(plan: RunPlan, command: Sequence[str] | None) -> str:
    """Return what there is to know of the numbers of a fast-dev run, and how the real one is started."""
    real = "the same call without fast_dev" if command is None else shlex.join(w for w in command if w != "--fast-dev")
    return (
        f"This was a fast-dev run, of {len(plan.samples.train_ids)} training and "
        f"{counted(len(plan.samples.test_ids), 'test row')}: its scores mean nothing, "
        f"and its submission is not whole. The real run: {real}"
    )


def _num_committed(plan: RunPlan, store: RunStore) -> int:
    num_folds = plan.folds.num_folds
    return sum(num_folds - len(missing_folds(store, plan.folds, experiment)) for experiment in store.experiments())
